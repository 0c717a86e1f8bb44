"""`gatekeeper serve` as a process: how it starts, how it refuses to, and how it stops."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio
from rig.process import PATIENCE, Served, answers, command, end, free_port, rows_in_file, serving, start
from rig.standin import Reply, StandIn
from rig.wire import Answer, connect, exchange, head, read

from gatekeeper.data_dir import REPRICING, lock_data

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
STREAM = "POST /gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k"
EVENT = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "modelVersion": "gemini-2.5-flash", '
    b'"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}}\r\n\r\n'
)
KEY = {"GEMINI_API_KEY": "AIzaOfTheTests"}


# Refusals to start


async def test_one_data_folder_and_one_store_of_keys_are_for_one_gateway(folder: Path) -> None:
    shared = {"DATABASE_URL": "sqlite:///shared.sqlite"}
    async with serving(folder, "--sandbox", **shared) as first:
        (folder / "data" / "gatekeeper.lock").unlink()
        for data, store, words in (
            ("data", "own.sqlite", b"another gateway uses the data folder data"),
            ("other", "shared.sqlite", b"another gateway uses the keys in shared.sqlite"),
        ):
            words_of = ("serve", "--sandbox", "--port", str(free_port()), "--data", data)
            run = await command(folder, *words_of, DATABASE_URL=f"sqlite:///{store}")
            assert run.returncode == 6
            assert run.stderr.decode().count("\n") == 1
            assert words in run.stderr
        assert (await first.client.get("/readyz")).status_code == 200


async def test_a_start_waits_for_a_repricing_that_began_without_a_gateway(folder: Path) -> None:
    """It would be told that another gateway has the folder, after which systemd does not start it again."""
    data, said = folder / "data", folder / "stderr.txt"
    data.mkdir(parents=True)
    with lock_data(data, data / "keys.sqlite", REPRICING):
        process = await start(folder, port := free_port(), "--sandbox")
        with trio.fail_after(PATIENCE):
            while not said.read_text():
                await trio.sleep(0.01)
        assert said.read_text() == "gatekeeper: waits for `gatekeeper prices reprice`, which uses data\n"
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await answers(Served(process, folder, str(client.base_url), client))
            assert (data / "gatekeeper.lock").read_text() == "gateway"
    finally:
        await end(process)


async def test_files_are_the_owners_alone_those_of_earlier_runs_too(folder: Path) -> None:
    data = folder / "data"
    for path in (data / "journal", data / "theirs"):
        path.mkdir(parents=True)
    for name in ("keys.sqlite", "gatekeeper.lock", "gatekeeper.duckdb.wal.old", "theirs/file"):
        (data / name).touch()
    (data / "gatekeeper.kind").write_text("sandbox")
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    async with serving(folder, "--sandbox") as served:
        await served.post("/key/generate", {})
        await served.client.post(
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent", json={"contents": []}
        )
        assert len((await served.get("/calls"))["calls"]) == 1
        found = {path.relative_to(data): path.stat().st_mode & 0o077 for path in (data, *data.rglob("*"))}
        assert {str(path) for path, open_to in found.items() if open_to} == {"theirs", "theirs/file"}
        assert {"gatekeeper.duckdb", "keys.sqlite-wal", "journal"} <= {str(path) for path in found}


# Running


async def test_the_start_up_block(folder: Path) -> None:
    async with serving(folder, "--sandbox") as served:
        lines = served.printed().splitlines()
        fields = dict(re.findall(r"^  (\w+) {2,}(.*)$", served.printed(), re.MULTILINE))
        assert re.fullmatch(r"gatekeeper \d+\.\d+\.\d+.*", lines[0])
        assert fields["address"].startswith(f"{served.url}/gemini ")
        assert fields["mode"].startswith("open")
        assert "simulated" in fields["upstream"]
        assert fields["data"] == str(served.data.resolve())
        assert f"--url {served.url}" in fields["keys"]
        assert fields["faults"].startswith("begin a prompt with !429 !500 !503 !slow !cut !error !long ")
        assert served.logged() == ""
        if shutil.which("curl"):
            tried = served.printed().partition("try it ")[2].partition("  keys ")[0]
            answer = await trio.run_process(["sh", "-c", tried], capture_stdout=True, capture_stderr=True)
            assert b'"usageMetadata"' in answer.stdout
            assert [call["outcome"] for call in (await served.get("/calls"))["calls"]] == ["ok"]


async def test_health_needs_no_key(folder: Path, google: StandIn) -> None:
    async with serving(
        folder, "--upstream", google.url, **KEY, GATEKEEPER_MASTER_KEY="of-the-tests"
    ) as served:
        for path in ("/healthz", "/readyz", "/"):
            assert (await exchange(served.url, f"GET {path}")).status == 200
        assert (await exchange(served.url, "GET /key/list")).status == 401
        assert "mode       master key" in served.printed()


# Stopping


class Stream:
    """One call that is under way: its first event is here, the rest comes when `go_on` is set."""

    def __init__(self, google: StandIn, client: trio.SocketStream) -> None:
        self._google = google
        self.client = client
        self.go_on = trio.Event()

    async def script(self, reply: Reply) -> None:
        await reply.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await reply.raw(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await self.go_on.wait()
        await reply.raw(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT))

    async def begin(self) -> None:
        self._google.script = self.script
        await self.client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(PATIENCE):
            self._received = b""
            while EVENT not in self._received:
                self._received += await self.client.receive_some()

    async def rest(self) -> Answer:
        with trio.fail_after(PATIENCE):
            return await read(self.client, received=self._received)


@asynccontextmanager
async def streaming(served: Served, google: StandIn) -> AsyncIterator[Stream]:
    async with await connect(served.url) as client:
        stream = Stream(google, client)
        await stream.begin()
        yield stream


COLUMNS = (
    "CAST(id AS VARCHAR) AS id, status, outcome, reason, stream, total_tokens, response_bytes, "
    "CAST(cost_usd AS VARCHAR) AS cost_usd"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_lets_open_calls_finish(folder: Path, google: StandIn, number: signal.Signals) -> None:
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        whole = await exchange(served.url, GENERATE, body=b"{}")
        refused = await exchange(served.url, "POST /gemini/batch/x", body=b"{}")
        before = (await served.get("/calls"))["calls"]
        async with streaming(served, google) as stream:
            served.process.send_signal(number)
            await served.has_logged('"stopping"')
            stream.go_on.set()
            answer = await stream.rest()
        assert await served.ended() == 0
        assert (answer.whole, answer.body) == (True, EVENT * 2)
    rows = rows_in_file(served.data, COLUMNS)
    told = [{name: call[name] for name in rows[0]} for call in reversed(before)]
    answers = [whole, refused, answer]
    assert rows[:2] == told
    assert [row["id"] for row in rows] == [each.headers["x-gatekeeper-call-id"] for each in answers]
    assert rows[2] | {"id": None} == {
        "id": None,
        "status": 200,
        "outcome": "ok",
        "reason": None,
        "stream": True,
        "total_tokens": 6,
        "response_bytes": 2 * len(EVENT),
        "cost_usd": "0.000006200000",
    }


OWN_PRICES = "[[models]]\nids = ['gemini-2.5-flash']\nprices = [{ tier = 'standard', input = '%s' }]\n"


async def test_a_hang_up_has_the_own_prices_read_again(folder: Path, google: StandIn) -> None:
    (folder / "data").mkdir(parents=True)
    file = folder / "data" / "prices.toml"
    file.write_text(OWN_PRICES % "1")

    async def reply(to: Reply) -> None:
        await to.json(b'{"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}}')

    google.script = reply
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        await exchange(served.url, GENERATE, body=b"{}")
        file.write_text(OWN_PRICES % "2")
        served.process.send_signal(signal.SIGHUP)
        await served.has_logged("prices_reloaded")
        await exchange(served.url, GENERATE, body=b"{}")
        file.write_text(OWN_PRICES % "free")
        served.process.send_signal(signal.SIGHUP)
        await served.has_logged("data/prices.toml, line 3: input is 'free'")
        await exchange(served.url, GENERATE, body=b"{}")
        assert len((await served.get("/prices"))["faults"]) == 1
    rows = rows_in_file(served.data, "CAST(cost_usd AS VARCHAR) AS cost_usd, price_version")
    assert [row["cost_usd"] for row in rows] == ["0.000009000000", "0.000013000000", "0.000013000000"]
    assert rows[0]["price_version"] != rows[1]["price_version"] == rows[2]["price_version"]


async def test_whoever_comes_during_a_stop_is_told(folder: Path, google: StandIn) -> None:
    """A new call must not wait for an answer that never comes: it is refused at once, to come back later."""
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        async with streaming(served, google) as stream:
            served.process.send_signal(signal.SIGTERM)
            await served.has_logged('"stopping"')
            with trio.fail_after(5):
                late = await exchange(served.url, GENERATE, body=b"{}")
                ready = await exchange(served.url, "GET /readyz")
            stream.go_on.set()
            assert (await stream.rest()).whole
        assert (late.status, late.reason) == (503, "GATEKEEPER_DRAINING")
        assert late.headers["retry-after"] == "5"
        assert (ready.status, b"stopping" in ready.body) == (503, True)
        assert await served.ended() == 0
    assert [row["outcome"] for row in rows_in_file(served.data)] == ["ok", "refused"]


@pytest.mark.parametrize(
    ("signals", "settings"),
    [(2, {}), (1, {"GATEKEEPER_DRAIN_TIMEOUT": "0.2"})],
    ids=["second signal", "drain timeout"],
)
async def test_a_stop_that_will_not_wait_cuts_with_an_event(
    folder: Path, google: StandIn, signals: int, settings: dict[str, str]
) -> None:
    async with serving(folder, "--upstream", google.url, **KEY, **settings) as served:
        async with streaming(served, google) as stream:
            for _ in range(signals):
                served.process.send_signal(signal.SIGTERM)
                await served.has_logged('"stopping"')
            answer = await stream.rest()
        for _ in range(signals - 1):
            served.process.send_signal(signal.SIGTERM)  # while everything is written down
        assert await served.ended() in (0, -signal.SIGTERM)
        assert not answer.whole, "a cut stream must not look complete"
        assert answer.body.startswith(EVENT + b"data: ")
        assert answer.reason == "GATEKEEPER_DRAINING"
        assert served.logged().count("\n") == 1, "a stop is no trouble"
    (row,) = rows_in_file(served.data, COLUMNS)
    assert (row["outcome"], row["status"], row["reason"]) == ("cut", 200, "GATEKEEPER_DRAINING")
    assert (row["total_tokens"], row["cost_usd"]) == (6, "0.000006200000")


async def test_a_client_that_does_not_read_does_not_hold_up_a_stop(folder: Path, google: StandIn) -> None:
    async def endless(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            await reply.raw(EVENT * 1000)

    google.script = endless
    settings = {"GATEKEEPER_DRAIN_TIMEOUT": "0.2"}
    async with (
        serving(folder, "--upstream", google.url, **KEY, **settings) as served,
        await connect(served.url) as client,
    ):
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        await client.receive_some()
        assert await served.stop() == 0
    (row,) = rows_in_file(served.data, COLUMNS)
    assert row["outcome"] in ("cut", "client_disconnected")
