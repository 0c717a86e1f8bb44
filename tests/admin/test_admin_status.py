"""What the gateway says of itself, and which way a request goes at its door."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import trio

from gatekeeper.cli.running_gateway import Readiness, ReportedSettings, Running
from gatekeeper.client.api_types import GatewayInfo
from gatekeeper.ledger.analytics import worker
from gatekeeper.ledger.call import Outcome
from gatekeeper.setting_definitions import SETTINGS


async def test_it_says_what_it_is(guarded):
    root = await guarded.get("/")
    assert (root["name"], root["mode"], root["sandbox"]) == ("gatekeeper", "master key", False)
    assert root["upstream"] == "http://127.0.0.1:9"
    assert root["gemini"] == f"{guarded.client.base_url}/gemini".replace("//gemini", "/gemini")
    for link in root["links"].values():
        if link != "/calls/stream":
            assert (await guarded.client.get(link)).status_code == 200, link


async def test_it_has_all_that_the_client_reads(serve):
    """The terminal application draws its time axis by this zone."""
    async with serve(GATEKEEPER_TIMEZONE="Pacific/Auckland") as admin:
        root = await admin.get("/")
    assert set(GatewayInfo.__struct_fields__) <= root.keys()
    assert root["timezone"] == "Pacific/Auckland"


async def test_its_settings_have_their_sources_and_no_secret(serve, tmp_path):
    async with serve(GATEKEEPER_MASTER_KEY="master-of-the-tests", GATEKEEPER_RPM_LIMIT="60") as admin:
        headers = {"Authorization": "Bearer master-of-the-tests"}
        answer = await admin.client.get("/settings", headers=headers)
    told = answer.json()["settings"]
    assert told["rpm_limit"] == {"value": 60, "source": "GATEKEEPER_RPM_LIMIT"}
    assert told["master_key"] == {"value": "…", "source": "GATEKEEPER_MASTER_KEY"}
    assert told["max_budget"] == {"value": None, "source": "default"}
    assert told["sandbox"]["value"] is False
    assert Path(told["data"]["value"]).is_absolute()
    assert "of-the-tests" not in answer.text.replace(told["data"]["value"], "")


async def test_doctor_reads_the_settings_as_they_are(serve):
    """Every kind of value: paths, lists, networks, money, numbers, switches."""
    given = {
        "GATEKEEPER_MASTER_KEY": "master-of-the-tests",
        "GATEKEEPER_TRUSTED_PROXIES": "10.0.0.0/8,::1",
        "GATEKEEPER_ALLOWED_ORIGINS": "https://a.example,https://b.example:8443",
        "GATEKEEPER_MAX_BUDGET": "1234.56",
        "GATEKEEPER_READ_TIMEOUT": "0.25",
        "GATEKEEPER_TPM_LIMIT": "100000",
        "GATEKEEPER_TIMEZONE": "Europe/Berlin",
        "GATEKEEPER_PUBLIC_URL": "https://gateway.example",
    }
    async with serve(**given) as admin:
        answer = await admin.client.get("/settings", headers={"Authorization": "Bearer master-of-the-tests"})
        own = admin.gateway.settings
    told = msgspec.json.decode(answer.content, type=ReportedSettings)
    read = Running(url="", info=GatewayInfo(), readiness=Readiness(), told=told).settings()
    secrets = {setting.name: None for setting in SETTINGS if setting.secret}
    assert read == dataclasses.replace(own, **secrets, data=own.data.absolute())


READY = {
    "ready": True,
    "reasons": [],
    "warnings": [],
    "google_keys": [{"label": "#1", "state": "ok"}],
    "analytics_lag_seconds": 0.0,
}


async def test_in_open_mode_it_says_so(admin):
    assert (await admin.get("/"))["mode"] == "open"


async def test_it_is_alive_and_ready(admin):
    assert await admin.get("/healthz") == {"status": "ok"}
    assert await admin.get("/readyz") == READY


async def test_while_it_drains_it_is_alive_and_not_ready(admin):
    admin.gateway.proxy.context.draining = True
    answer = await admin.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert "stopping" in answer.json()["reasons"][0]
    assert await admin.get("/healthz") == {"status": "ok"}


async def test_a_journal_that_cannot_be_written_is_a_reason_without_its_path(admin):
    admin.ledger.journal.error = OSError(28, "No space left on device", str(admin.gateway.settings.data))
    answer = await admin.client.get("/readyz")
    admin.ledger.journal.error = None
    assert answer.status_code == 503
    assert "journal" in answer.json()["detail"]
    assert str(admin.gateway.settings.data) not in answer.text


async def test_an_analytics_file_in_trouble_is_a_warning_only(admin):
    file = admin.gateway.settings.data / "gatekeeper.duckdb"
    file.write_bytes(b"no database")
    admin.priced()
    await admin.ledger.consumers.run_last_rounds()  # which tries to move the row, now
    ready = await admin.get("/readyz")
    assert ready["ready"] is True
    assert "damaged" in ready["warnings"][0]
    assert str(file) not in str(ready)
    listed = await admin.get("/calls")
    assert (listed["partial"], "damaged" in listed["partial_reason"]) == (True, True)
    missing = await admin.client.get("/calls/019a1b2c-0000-7000-8000-000000000001")
    assert "damaged" in missing.json()["detail"]
    answer = await admin.client.post("/sql/lend", json={"seconds": 1})
    assert answer.status_code == 503
    assert "gatekeeper.duckdb cannot be used" in answer.json()["detail"]
    assert str(file) not in answer.text
    file.unlink()


async def test_rows_that_cannot_move_for_long_make_it_unready_until_they_can(admin, monkeypatch):
    file = admin.gateway.settings.data / "gatekeeper.duckdb"
    file.write_bytes(b"no database")
    monkeypatch.setattr(worker, "STALL_SECONDS", 0.0)
    admin.priced()
    await admin.ledger.consumers.run_last_rounds()  # which tries to move the row, now
    answer = await admin.client.get("/readyz")
    assert answer.status_code == 503
    assert "analytics file" in answer.json()["reasons"][0]
    assert str(file) not in answer.text
    file.unlink()
    await admin.ledger.consumers.run_last_rounds()
    assert await admin.get("/readyz") == READY


async def test_calls_that_a_sink_lacks_are_a_warning(admin):
    subscription = admin.ledger.consumers.subscribe(admin.ledger.metrics)
    for lost, calls in ((1, "1 call"), (3, "3 calls")):
        subscription.lost = lost
        assert (await admin.get("/readyz"))["warnings"] == [
            f"CallMetrics lacks {calls}, which the journal deleted before it had consumed them"
        ]


async def test_damaged_lines_of_the_journal_are_a_warning(serve, tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "00000001.ndjson").write_bytes(b"no line\nnor this\n")
    async with serve() as admin:
        await admin.get("/calls")
        ready = await admin.get("/readyz")
    assert ready["warnings"] == ["2 damaged lines of the journal had to be skipped"]


async def test_more_calls_than_memory_keeps_while_the_file_is_lent_make_it_unready(admin, monkeypatch):
    monkeypatch.setattr(worker, "MAX_PENDING_CHARS", 1000)
    await admin.ledger.analytics.lend(60)
    for _ in range(5):
        admin.priced()
    assert len((await admin.get("/calls"))["calls"]) > 0
    answer = await admin.client.get("/readyz")
    assert (answer.status_code, "wait for" in answer.json()["reasons"][0]) == (503, True)
    admin.ledger.analytics.end_loan()
    await admin.ledger.consumers.run_last_rounds()
    assert (await admin.get("/readyz"))["ready"]
    assert len((await admin.get("/calls"))["calls"]) == 5


async def test_what_begins_with_gemini_goes_to_the_proxy_and_into_the_ledger(admin):
    answer = await admin.client.get("/gemini/v1beta/models/gemini-2.5-flash")
    assert answer.status_code == 502
    assert answer.json()["error"]["details"][0]["reason"] == "GATEKEEPER_UPSTREAM_UNREACHABLE"
    (call,) = (await admin.get("/calls"))["calls"]
    assert (call["id"], call["outcome"]) == (
        answer.headers["x-gatekeeper-call-id"],
        Outcome.UPSTREAM_UNREACHABLE,
    )


async def test_websockets_are_refused_with_an_answer(admin):
    url = admin.client.base_url
    for path, status in (("/calls/stream", b"403"), ("/key/list", b"403"), ("/nowhere", b"403")):
        handshake = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with await trio.open_tcp_stream(url.host, url.port) as stream:
            await stream.send_all(handshake.encode())
            with trio.fail_after(5):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 %b " % status), path


async def test_a_large_body_is_read_before_it_is_refused_and_the_connection_goes_on(guarded):
    body = b" " * 4_000_000
    for _ in range(3):
        assert (await guarded.client.post("/key/generate", content=body)).status_code == 413
        answer = await guarded.client.post("/key/generate", content=body, headers={"Authorization": "none"})
        assert answer.status_code == 401
    assert await guarded.post("/key/generate")


async def test_an_idle_connection_is_closed_when_the_gateway_stops(admin):
    url = admin.client.base_url
    async with await trio.open_tcp_stream(url.host, url.port) as stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await stream.receive_some()
        admin.stop.set()
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
