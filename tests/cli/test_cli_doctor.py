"""`gatekeeper doctor` and `gatekeeper config`: what is set, what is there, and what to do about it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
from rig.cases import cases
from rig.certificate import make_certificate

from gatekeeper.cli.conventions import Target
from gatekeeper.cli.deadline import ProbeError, error_text, run_with_timeout
from gatekeeper.cli.doctor import check_gateway, check_upstream, document, is_local
from gatekeeper.cli.price_findings import check_prices
from gatekeeper.cli.probes import (
    PROC_LOCKS,
    parse_date_header,
    upstream_clock,
)
from gatekeeper.cli.running_gateway import Readiness, ReportedSetting, ReportedSettings, Running
from gatekeeper.client.api_types import GatewayInfo
from gatekeeper.settings import SETTINGS, load
from gatekeeper.startup import load_catalogue

NOW = datetime.now(UTC)
GOOGLE_KEY = "AIzaThisIsTheGoogleKeyOfTheTests"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something has, and answers nobody on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def doctor(cli: Any, gateway: Any, free: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs it where all is well, but for what the arguments say; the small server is the upstream."""
    monkeypatch.setenv("GEMINI_API_KEY", GOOGLE_KEY)
    return lambda *args: cli("doctor", "--port", str(free), "--upstream", gateway.url, *args)


def findings(ended: Any) -> dict[str, str]:
    """By check: the remedies."""
    return {each["check"]: each["remedy"] for each in ended.document["checks"] if each["remedy"]}


def test_where_all_is_well(doctor: Any, gateway: Any, tmp_path: Path) -> None:
    ended = doctor()
    assert (ended.status, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["✓"] * 9
    checked = doctor("--json").document
    assert checked["ok"] is True
    assert {each["check"] for each in checked["checks"]} == {
        "settings", "Google key", "upstream", "data folder", "disk", "port", "clock", "prices", "gateway",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert GOOGLE_KEY not in ended.out + str(gateway.asked)


def test_each_finding_says_what_to_do(cli: Any, taken: int, free: int, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    ended = cli("doctor", "--port", str(taken), "--upstream", f"http://127.0.0.1:{free}")
    assert ended.status == 7
    lines = [line for line in ended.out.splitlines() if "✓" not in line]
    assert len(lines) == 8
    for what, remedy in zip(lines[::2], lines[1::2], strict=True):
        assert what.startswith("✗ ")
        assert remedy.strip().startswith("→ ")
    text = ended.out
    assert "serve --sandbox" in text
    assert "cannot be reached: Connection refused" in text
    assert "data is no folder" in text
    assert "--port" in text


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("GATEKEEPER_PORT", "x", "GATEKEEPER_PORT"), ("GATEKEEPER_HOST", "0.0.0.0", "GATEKEEPER_MASTER_KEY")],
)
def test_settings_that_do_not_do(
    cli: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    ended = cli("doctor", "--json")
    assert ended.status == 7
    assert said in findings(ended)["settings"]


@pytest.mark.parametrize(
    ("ends", "mode", "remedy"),
    [
        (timedelta(days=30), 0o600, None),
        (timedelta(days=13), 0o600, "renew it"),
        (timedelta(days=30), 0o644, "chmod o-r"),
        (timedelta(hours=-1), 0o600, "change that file"),
    ],
)
def test_the_certificate_is_looked_at(
    doctor: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: timedelta,
    mode: int,
    remedy: str | None,
) -> None:
    file = make_certificate(tmp_path / "gateway.pem", ends=ends)
    file.chmod(mode)
    monkeypatch.setenv("GATEKEEPER_TLS_CERT", str(file))
    monkeypatch.setenv("GATEKEEPER_TLS_KEY", str(file))
    ended = doctor("--json")
    assert [text[: len(remedy or "")] for text in findings(ended).values()] == ([remedy] if remedy else [])
    assert "for a gateway at https://127.0.0.1:" in ended.out
    assert str(file) in ended.out or remedy in (None, "renew it")


@pytest.mark.parametrize("everyone", ["0.0.0.0/0", "10.0.0.1,::/0"])
def test_trusting_everybody_is_a_finding(doctor: Any, monkeypatch: pytest.MonkeyPatch, everyone: str) -> None:
    monkeypatch.setenv("GATEKEEPER_TRUSTED_PROXIES", everyone)
    assert findings(doctor("--json")).keys() == {"proxies"}
    monkeypatch.setenv("GATEKEEPER_TRUSTED_PROXIES", "10.0.0.0/8")
    assert findings(doctor("--json")) == {}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_an_upstream_that_is_the_gateway_itself(
    cli: Any, free: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also while it runs there, and would answer."""
    monkeypatch.setenv("GEMINI_API_KEY", GOOGLE_KEY)
    monkeypatch.setenv("GEMINI_API_BASE", f"http://{name}:{free}/gemini")
    ended = cli("doctor", "--port", str(free), "--json")
    assert ended.status == 7
    assert findings(ended).keys() == {"upstream"}
    assert "unset it for the gateway" in findings(ended)["upstream"]
    assert "(set by GEMINI_API_BASE) is this gateway's own address" in ended.out
    assert cli("doctor", "--port", str(free), "--sandbox").status == 0, "the sandbox has no use for it"


def test_the_sandbox_needs_neither_key_nor_network(cli: Any, free: int) -> None:
    ended = cli("doctor", "--sandbox", "--port", str(free))
    assert ended.status == 0
    assert "the built-in sandbox" in ended.out


POOL = [{"label": "a", "state": "ok"}, {"label": "b", "state": "cooling"}]
READY = {"ready": True, "reasons": [], "warnings": [], "google_keys": POOL}
MASTER = "master-of-the-tests"


def telling(data: Path, **changed: Any) -> dict[str, Any]:
    """The answers of a gateway of this machine where all is well; `changed`: what was set there."""
    values = document(load({"data": str(data), "sandbox": True, **changed}, {}))
    settings = {name: {"value": each["value"], "source": each["source"]} for name, each in values.items()}
    today = datetime.now(UTC)
    return {
        "GET /": {"version": "9.9.9", "mode": "open", "sandbox": False, "upstream": "http://127.0.0.1:9"},
        "GET /readyz": READY,
        "GET /settings": {"time": today.isoformat(), "settings": settings},
        "GET /prices": {
            "version": "2026-11-24-0",
            "checked": str(today.date()),
            "own_file": None,
        },
        "GET /spend": {"rows": [], "total": {"calls": 1}, "unpriced_models": []},
    }


def test_a_running_gateway_is_asked_what_it_is(
    cli: Any, gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By any name, and whatever this shell would start: its data folder, its keys, its settings count."""
    gateway.answers = telling(tmp_path)
    port = gateway.url.rpartition(":")[2]
    monkeypatch.setenv("GATEKEEPER_DATA", "/nonexistent/elsewhere")
    for name in (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/gemini"):
        ended = cli("doctor", "--url", name)
        assert (ended.status, ended.err) == (0, ""), ended.out
        lines = {line.split("  ")[0]: " ".join(line.split()) for line in ended.out.splitlines()}
        assert [line[0] for line in ended.out.splitlines()] == ["✓"] * 9
        assert lines["✓ gateway"].startswith("✓ gateway 9.9.9 at http://")
        assert lines["✓ gateway"].endswith(", open mode, ready")
        assert "data (--data), sandbox (--sandbox)" in lines["✓ settings"]
        assert "a ok, b cooling" in lines["✓ Google key"]
        assert f"{tmp_path}, in use by the gateway" in lines["✓ data folder"]
        assert "2026-11-24-0" in lines["✓ prices"]
    assert cli("doctor", "--port", port).status == 0, "where one runs that this shell would start"


@cases(
    ("path", "change", "check", "said", "remedy"),
    [
        ("GET /readyz", (503, {"ready": False, "reasons": ["it is stopping"]}), "gateway", "stopping", "log"),
        ("GET /readyz", {"ready": True, "warnings": ["the disk is slow"]}, "gateway", "is slow", "log"),
        ("GET /prices", {"faults": ["/x/prices.toml, line 3: no"]}, "prices", "line 3", "fix that line"),
        ("GET /prices", {"checked": "2020-01-01"}, "prices", "older than 90 days", "newer gatekeeper"),
        ("GET /settings", {"time": "2020-01-01T00:00:00Z"}, "clock", "from this machine's", "NTP"),
        ("GET /settings", (401, {"title": "no"}), "settings", "not told", "GATEKEEPER_MASTER_KEY"),
        ("GET /settings", (500, {"title": "no"}), "settings", "not told", "GATEKEEPER_MASTER_KEY"),
    ],
)
def test_what_is_wrong_with_a_running_gateway(
    cli: Any, gateway: Any, tmp_path: Path, path: str, change: Any, check: str, said: str, remedy: str
) -> None:
    gateway.answers = telling(tmp_path)
    known = gateway.answers[path]
    gateway.answers[path] = {**known, **change} if isinstance(change, dict) else change
    ended = cli("doctor", "--url", gateway.url, "--key", MASTER, "--json")
    assert ended.status == 7
    assert findings(ended).keys() == {check}
    assert remedy in findings(ended)[check]
    assert said in " ".join(each["detail"] for each in ended.document["checks"] if each["check"] == check)
    assert MASTER not in ended.out


def test_without_its_key_it_tells_what_it_tells_everybody(cli: Any, gateway: Any, tmp_path: Path) -> None:
    gateway.answers = telling(tmp_path) | {"GET /settings": (401, {"title": "no"})}
    ended = cli("doctor", "--url", gateway.url)
    assert ended.status == 0, "nothing that was looked at is wrong"
    assert "not told without a key, nor are prices and data folder; give its master key" in ended.out
    assert "9.9.9" in ended.out


def test_its_own_settings_are_checked(cli: Any, gateway: Any, tmp_path: Path) -> None:
    gateway.answers = telling(tmp_path, trusted_proxies="10.0.0.1,::/0")
    assert findings(cli("doctor", "--url", gateway.url, "--json")).keys() == {"proxies"}
    gateway.answers["GET /settings"]["settings"]["port"]["value"] = "of another version"
    assert cli("doctor", "--url", gateway.url).status == 0


def test_of_a_gateway_on_another_machine_nothing_is_looked_at_here(tmp_path: Path) -> None:
    settings = ReportedSettings(
        datetime.now(UTC),
        msgspec.convert(telling(tmp_path)["GET /settings"]["settings"], dict[str, ReportedSetting]),
    )
    running = Running("http://192.0.2.7:4000", GatewayInfo(), Readiness(), settings)
    found = {each.check: each.detail for each in check_gateway(running, Target(running.url, None), None, NOW)}
    assert found["data folder"] == f"{tmp_path}, on the gateway's machine"
    assert found["upstream"].endswith(", not looked at from here")
    assert "disk" not in found


def test_the_key_of_the_settings_file_stays_on_this_machine(cli: Any, gateway: Any, tmp_path: Path) -> None:
    gateway.answers = telling(tmp_path)
    (tmp_path / "gatekeeper.toml").write_text(f'master_key = "{MASTER}"\n')
    assert cli("doctor", "--url", gateway.url).status == 0
    assert {asked.headers.get("authorization") for asked in gateway.asked} == {f"Bearer {MASTER}"}
    assert not is_local("http://192.0.2.7:4000")
    assert not is_local("nonsense")


def test_an_address_that_is_none(doctor: Any) -> None:
    ended = doctor("--url", "nonsense", "--json")
    assert ended.status == 7
    assert findings(ended) == {"gateway": "change it, or unset GATEKEEPER_URL"}
    assert "'nonsense' is not an address of a gateway: --url and GATEKEEPER_URL take http" in ended.out


@pytest.mark.parametrize("answer", [(404, {}), b"<html>"], ids=["no gateway", "no JSON"])
def test_something_else_at_the_address(doctor: Any, gateway: Any, answer: object) -> None:
    gateway.answers = {"GET /readyz": answer}
    ended = doctor("--url", gateway.url)
    assert ended.status == 7
    assert "something else responds" in ended.out


def test_a_gateway_whose_certificate_is_not_trusted_is_not_taken_for_none(
    cli: Any, secured: tuple[str, Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cli("doctor", "--url", secured[0])
    assert ended.status == 7
    assert "is not trusted: self-signed certificate" in " ".join(ended.out.split())
    assert "none runs" not in ended.out
    monkeypatch.setenv("SSL_CERT_FILE", "no-such.pem")
    for command, status in (("doctor", 7), ("calls list", 6)):
        ended = cli(*command.split(), "--url", secured[0])
        assert ended.status == status
        assert (
            "no-such.pem (SSL_CERT_FILE) cannot be read as certificates: No such file"
            in f"{ended.out}{ended.err}"
        )


def test_a_gateway_that_speaks_tls_where_the_address_does_not(doctor: Any, gateway: Any) -> None:
    gateway.answers = {"GET /readyz": (400, {"detail": "This port speaks TLS: use https:// in the URL"})}
    assert "This port speaks TLS: use https://" in doctor("--url", gateway.url).out


def test_a_folder_that_another_gateway_uses(doctor: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "gatekeeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = doctor("--json")
    assert ended.status == 7
    assert "--data" in findings(ended)["in use"]
    assert f"(process {os.getpid()})" in ended.out
    assert doctor().status == 0


@pytest.mark.skipif(not PROC_LOCKS.exists(), reason="this system does not tell who holds a lock")
def test_an_analytics_file_that_another_program_has(doctor: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "gatekeeper.duckdb").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        ended = doctor("--json")
    assert ended.status == 7
    assert "close that program" in findings(ended)["in use"]


def test_damaged_lines_of_a_journal_that_no_gateway_reads(doctor: Any, tmp_path: Path) -> None:
    (tmp_path / "data" / "journal").mkdir(parents=True)
    (tmp_path / "data" / "journal" / "00000007.ndjson").write_bytes(b"no line\nnor this\ntorn")
    ended = doctor("--json")
    assert ended.status == 7
    assert "check the disk" in findings(ended)["journal"]
    assert "2 damaged lines in 00000007.ndjson" in ended.out


def test_a_folder_of_the_other_kind(doctor: Any, tmp_path: Path) -> None:
    (tmp_path / "data" / "journal").mkdir(parents=True)
    (tmp_path / "data" / "gatekeeper.kind").write_text("sandbox\n")
    ended = doctor("--json")
    assert ended.status == 7
    assert findings(ended) == {"data folder": "choose another --data, or add --sandbox"}
    assert doctor("--sandbox", "--data", "data").status == 0


def test_what_takes_connections_and_does_not_answer(
    cli: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.cli.running_gateway.ASK_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        found = findings(cli("doctor", "--sandbox", "--port", str(port), "--json"))
    assert set(found) == {"port", "gateway"}


def test_long_findings_go_on_below_their_beginning(
    cli: Any, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli("doctor", "--upstream", f"http://127.0.0.1:{free}").out.splitlines()
    at = lines.index("                → either set GEMINI_API_KEY")
    assert lines[at + 1 : at + 3] == [
        "                  (https://aistudio.google.com/apikey), or try it without one:",
        "                  gatekeeper serve --sandbox",
    ]


# Single checks


@cases(
    ("days", "faulty"),
    [(-30, {"clock"}), (0, set()), (80, set()), (100, {"prices"})],
)
def test_prices_and_clock_against_each_other(days: int, faulty: set[str]) -> None:
    checked = datetime.combine(load_catalogue().checked, datetime.min.time(), UTC)
    found = list(check_prices(checked + timedelta(days=days), None))
    assert {finding.check for finding in found} == {"clock", "prices"}
    assert {finding.check for finding in found if finding.remedy} == faulty


@pytest.mark.parametrize(("minutes", "wrong"), [(0, False), (1, False), (5, True), (-600, True)])
def test_the_clock_against_the_upstreams(gateway: Any, minutes: int, wrong: bool) -> None:
    settings = load({"upstream": gateway.url}, {})
    found = list(check_upstream(settings, datetime.now(UTC) + timedelta(minutes=minutes)))
    assert [finding.check for finding in found if finding.remedy] == (["clock"] if wrong else [])


def test_an_upstream_without_tls(gateway: Any) -> None:
    with pytest.raises(ProbeError, match="TLS"):
        upstream_clock(gateway.url.replace("http:", "https:"))


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Path, SimpleQueue[str | None]]]:
    """An upstream with TLS: its address, its certificate, and the protocol of each connection."""
    certificate = make_certificate(tmp_path / "upstream.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    spoken: SimpleQueue[str | None] = SimpleQueue()

    def answer_one() -> None:
        with (
            contextlib.suppress(OSError),
            listener.accept()[0] as plain,
            context.wrap_socket(plain, server_side=True) as connection,
        ):
            spoken.put(connection.selected_alpn_protocol())
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_one)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}", certificate, spoken
        thread.join()


def test_a_certificate_is_believed_where_serve_believes_it(
    secured: tuple[str, Path, SimpleQueue[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate, spoken = secured
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    upstream_clock(url)
    assert spoken.get(timeout=5) == "http/1.1"


def test_and_no_other(secured: tuple[str, Path, SimpleQueue[str | None]]) -> None:
    with pytest.raises(ProbeError, match="certificate is not trusted"):
        upstream_clock(secured[0])


def test_what_takes_too_long_is_left_behind() -> None:
    begun, release = time.monotonic(), threading.Event()
    with pytest.raises(ProbeError, match="no response within"):
        run_with_timeout(0.05, release.wait)
    release.set()
    assert time.monotonic() - begun < 5


@cases(
    ("error", "text"),
    [
        (socket.gaierror(-2, "x"), "name"),
        (TimeoutError(), "does not respond"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ssl.SSLError(1, "x"), "TLS"),
        (OSError(), "OSError"),
    ],
)
def test_why_in_words(error: OSError, text: str) -> None:
    assert text in error_text(error)


@pytest.mark.parametrize(
    ("head", "at"),
    [
        (b"X\r\nDate: Tue, 24 Nov 2026 13:07:21 GMT\r\n", datetime(2026, 11, 24, 13, 7, 21, tzinfo=UTC)),
        (b"HTTP/1.1 404 X\r\ndate:soon\r\n\r\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_the_date_of_an_answer(head: bytes, at: datetime | None) -> None:
    assert parse_date_header(head) == at


# Config


def test_config_tells_where_each_setting_is_from(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gatekeeper.toml").write_text('timezone = "Europe/Berlin"\nport = 4100\n')
    monkeypatch.setenv("GATEKEEPER_PORT", "4200")
    monkeypatch.setenv("GEMINI_API_KEY", f"{GOOGLE_KEY},short")
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-master-of-the-tests")
    settings = cli("config", "--host", "localhost", "--json").document["settings"]
    assert set(settings) == {setting.name for setting in SETTINGS}
    given = {name: each for name, each in settings.items() if each["source"] != "default"}
    assert {name: (each["value"], each["source"]) for name, each in given.items()} == {
        "host": ("localhost", "--host"),
        "port": (4200, "GATEKEEPER_PORT"),
        "timezone": ("Europe/Berlin", "gatekeeper.toml"),
        "gemini_api_key": (f"…{GOOGLE_KEY[-4:]}, …", "GEMINI_API_KEY"),
        "master_key": ("…ests", "LITELLM_MASTER_KEY"),
    }  # fmt: skip
    ended = cli("config", "--host", "localhost")
    rows = {line.split()[0]: line for line in ended.out.splitlines()}
    assert set(rows) == {"setting", *settings}
    assert "not set" in rows["database_url"]
    assert "GATEKEEPER_PORT" in rows["port"]
    assert GOOGLE_KEY not in ended.out
    assert "sk-master" not in ended.out
