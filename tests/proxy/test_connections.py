"""What becomes of connections when their clients go."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, Script, StandIn, answer_ok
from rig.wire import PLAIN_AND_TLS, connect, exchange, head, read, reset

from gatekeeper.proxy import asgi
from gatekeeper.proxy.asgi import SWEEP_SECONDS
from gatekeeper.server import client_stream
from gatekeeper.server.asgi_types import Receive, Send
from gatekeeper.server.listener import serve_listener

EVENT = b'data: {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}\r\n\r\n'
STREAM = "POST /gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k"
GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"


def sockets() -> int:
    """How many sockets this process has open."""
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(entry.readlink()).startswith("socket:") for entry in entries)


@PLAIN_AND_TLS
async def test_a_connection_ends_with_its_client(gateway: Running, google: StandIn) -> None:
    await exchange(gateway.url, GENERATE, body=b"{}")
    before = sockets()
    for _ in range(20):
        await exchange(gateway.url, GENERATE, body=b"{}")
        async with await connect(gateway.url) as idle:
            await idle.send_all(head("GET /healthz", []))
            assert (await read(idle, "GET")).status == 200
    with trio.fail_after(2):
        while sockets() > before:
            await trio.sleep(0.01)


@pytest.fixture(autouse=True)
def sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway looks at all calls more often."""
    monkeypatch.setattr(asgi, "SWEEP_SECONDS", SWEEP_SECONDS / 10)


async def after_a_while(reply: Reply) -> None:
    """Later than three looks at all calls."""
    await trio.sleep(4.5 * asgi.SWEEP_SECONDS)
    if b"stream" in reply.asked.target:
        await reply.chunked([EVENT, EVENT])
    else:
        await answer_ok(reply)


@cases(
    ("line", "body", "status"),
    [
        (GENERATE, b"Content-Length: 2\r\n\r\n{}", 200),
        (STREAM, b"Content-Length: 2\r\n\r\n{}", 200),
        (GENERATE, b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200),
        (GENERATE, b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, 200),
        (GENERATE, b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", 200),
        ("GET /healthz", b"\r\n", 200),
        ("GET /nothing", b"X : malformed\r\n\r\n", 400),
    ],
    ids=["unary", "stream", "chunked", "large", "last", "admin", "malformed"],
)
@PLAIN_AND_TLS
async def test_a_client_that_has_ended_its_side_is_answered(
    gateway: Running, google: StandIn, line: str, body: bytes, status: int
) -> None:
    google.script = after_a_while
    before = sockets()
    async with await connect(gateway.url) as client:
        await client.send_all(head(line, [])[:-2] + body)
        await client.send_eof()
        answer = await read(client, line.split()[0])
        assert (answer.status, answer.whole) == (status, True)
        with trio.fail_after(1):
            assert await client.receive_some() == b"", "nothing more can be asked on it"
    if line.startswith("POST"):
        row = await gateway.row()
        assert (row["outcome"], row["status"], row["total_tokens"]) == ("ok", 200, 1)
        gateway.gateway.proxy.context.upstream.close_idle()
    with trio.fail_after(2):
        while sockets() > before:
            await trio.sleep(0.01)


@PLAIN_AND_TLS
async def test_one_that_has_ended_its_side_after_two_requests_gets_both_answers(gateway: Running) -> None:
    async with await connect(gateway.url) as client:
        await client.send_all(2 * (head(GENERATE, ["Content-Length: 2"]) + b"{}"))
        await client.send_eof()
        received = b""
        with trio.fail_after(5):
            while data := await client.receive_some():
                received += data
    assert received.count(b"HTTP/1.1 200") == 2


@PLAIN_AND_TLS
async def test_one_that_closed_is_found_out_by_the_first_writes(gateway: Running, google: StandIn) -> None:
    """A proper close looks like the end of one side until something is written."""
    go_on = trio.Event()

    async def waits(reply: Reply) -> None:
        await go_on.wait()
        await reply.chunked([EVENT], end=False)
        await reply.hung_up()

    google.script = waits
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(2):
            while not google.asked:
                await trio.sleep(0.01)
    go_on.set()
    with trio.fail_after(1.5):
        while google.open:
            await trio.sleep(0.01)
    assert (await gateway.row())["outcome"] == "client_disconnected"


async def hangs(reply: Reply) -> None:
    await reply.hung_up()


@PLAIN_AND_TLS
@pytest.mark.parametrize("line", [GENERATE, STREAM], ids=["unary", "stream"])
@pytest.mark.parametrize("size", [2, 3_000_000])
async def test_one_that_closed_is_found_out_while_its_response_is_awaited(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch, line: str, size: int
) -> None:
    """As by `curl --max-time`: nothing is unread, so that it breaks nothing off."""
    monkeypatch.setattr(client_stream, "PROBE_AFTER", 0.0)
    google.script = hangs
    async with await connect(gateway.url) as client:
        await client.send_all(head(line, [f"Content-Length: {size}"]) + b"x" * size)
        with trio.fail_after(5):
            while not google.asked:
                await trio.sleep(0.01)
    with trio.fail_after(5):
        while google.open:
            await trio.sleep(0.01)
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == ("client_disconnected", None)


@PLAIN_AND_TLS
async def test_one_that_closed_before_its_response_came_in_one_piece(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row has the tokens that nobody got, and is not `ok`."""
    monkeypatch.setattr(client_stream, "PROBE_AFTER", 60.0)

    async def answers_once_it_has_closed(reply: Reply) -> None:
        (call,) = gateway.gateway.proxy.open_calls
        while not call.transport.client_socket.cleanly_half_closed:
            await trio.sleep(0.001)
        await answer_ok(reply)

    google.script = answers_once_it_has_closed
    async with await connect(gateway.url) as client:
        await client.send_all(head(GENERATE, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(5):
            while not google.asked:
                await trio.sleep(0.001)
    row = await gateway.row()
    assert (row["outcome"], row["total_tokens"], row["usage_note"]) == ("client_disconnected", 1, None)
    assert row["cost_usd"] == "0.000000300000"


async def hangs_after_an_event(reply: Reply) -> None:
    await reply.chunked([EVENT], end=False)
    await reply.hung_up()


@PLAIN_AND_TLS
async def test_one_that_closed_is_found_out_between_two_events(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_stream, "PROBE_AFTER", 0.0)
    google.script = hangs_after_an_event
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        received = b""
        while EVENT not in received:
            received += await client.receive_some()
    with trio.fail_after(5):
        while google.open:
            await trio.sleep(0.01)
    row = await gateway.row()
    assert (row["outcome"], row["status"], row["total_tokens"]) == ("client_disconnected", 200, 1)


@PLAIN_AND_TLS
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 2", b"{}"), ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")],
    ids=["plain", "by h11"],
)
async def test_one_that_has_ended_its_side_between_two_events_gets_the_others(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch, framing: str, body: bytes
) -> None:
    monkeypatch.setattr(client_stream, "PROBE_AFTER", 0.0)
    go_on = trio.Event()

    async def waits(reply: Reply) -> None:
        await reply.chunked([EVENT], end=False)
        await go_on.wait()
        await reply.raw(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT))

    google.script = waits
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, [framing]) + body)
        received = b""
        while EVENT not in received:
            received += await client.receive_some()
        await client.send_eof()
        with trio.fail_after(5):
            while not received.endswith(b"\r\n0"):
                received += await client.receive_some()
        go_on.set()
        answer = await read(client, received=received)
    assert (answer.status, answer.body, answer.whole) == (200, 2 * EVENT, True)
    assert (await gateway.row())["outcome"] == "ok"


@PLAIN_AND_TLS
@pytest.mark.parametrize(("version", "asked"), [("1.1", [100]), ("1.0", [])])
async def test_one_that_has_ended_its_side_is_asked_once_whether_it_reads(
    gateway: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch, version: str, asked: list[int]
) -> None:
    monkeypatch.setattr(client_stream, "PROBE_AFTER", 0.0)
    google.script = after_a_while
    async with await connect(gateway.url) as client:
        line = head(GENERATE, ["Content-Length: 2"]).replace(b"HTTP/1.1", b"HTTP/" + version.encode())
        await client.send_all(line + b"{}")
        await client.send_eof()
        answer = await read(client)
    assert [status for status, *_ in answer.informational] == asked
    assert (answer.status, answer.whole) == (200, True)
    assert (await gateway.row())["outcome"] == "ok"


async def reads_nothing(stream: trio.SocketStream, number: int) -> None:
    await trio.sleep_forever()


@PLAIN_AND_TLS
async def test_one_that_breaks_off_in_an_upload_that_nobody_takes(gateway: Running, google: StandIn) -> None:
    google.read = reads_nothing  # type: ignore[method-assign, assignment]
    async with await connect(gateway.url) as client:
        await client.send_all(head(GENERATE, ["Content-Length: 1000000000"]))
        with trio.move_on_after(0.5):
            while True:
                await client.send_all(bytes(65536))
        assert len(gateway.gateway.proxy.open_calls) == 1
        reset(client)
    with trio.fail_after(4 * SWEEP_SECONDS):
        while gateway.gateway.proxy.open_calls:
            await trio.sleep(0.01)
    assert (await gateway.row())["outcome"] == "client_disconnected"


@PLAIN_AND_TLS
async def test_one_that_breaks_off_with_a_request_in_waiting(gateway: Running, google: StandIn) -> None:
    async def never(reply: Reply) -> None:
        await reply.hung_up()

    google.script = never
    async with await connect(gateway.url) as client:
        await client.send_all(2 * (head(GENERATE, ["Content-Length: 2"]) + b"{}"))
        with trio.fail_after(2):
            while not google.asked:
                await trio.sleep(0.01)
        reset(client)
    with trio.fail_after(4 * SWEEP_SECONDS):
        while gateway.gateway.proxy.open_calls:
            await trio.sleep(0.01)
    assert (await gateway.row())["outcome"] == "client_disconnected"
    assert len(google.asked) == 1, "what it had asked next is not asked"


@cases("answer", [answer_ok, lambda reply: reply.chunked([EVENT])], ids=["unary", "stream"])
@PLAIN_AND_TLS
async def test_one_that_breaks_off_before_an_answer_with_a_request_in_waiting(
    gateway: Running, google: StandIn, answer: Script
) -> None:
    """The first that is known of it is that the answer's head cannot be written."""
    broken_off = trio.Event()

    async def answers_too_late(reply: Reply) -> None:
        await broken_off.wait()
        await answer(reply)

    google.script = answers_too_late
    before = sockets()
    async with await connect(gateway.url) as client:
        await client.send_all(2 * (head(GENERATE, ["Content-Length: 2"]) + b"{}"))
        with trio.fail_after(2):
            while not google.asked:
                await trio.sleep(0.01)
        reset(client)
    broken_off.set()
    with trio.fail_after(2):
        while sockets() > before:
            gateway.gateway.proxy.context.upstream.close_idle()
            await trio.sleep(0.01)
    assert (await gateway.row())["outcome"] == "client_disconnected"


async def slow_app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Takes longer than an idle connection is kept."""
    await trio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def test_idle_connections_end_in_time_and_busy_ones_do_not() -> None:
    config, stop = Config(), trio.Event()
    config.keep_alive_timeout = 0.3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_listener, slow_app, config, listener, stop)
                async with await connect(url) as client:
                    for _ in range(2):  # the second one finds the connection as it was
                        await client.send_all(head("GET /", []))
                        assert (await read(client, "GET")).body == b"ok"
                    assert await client.receive_some() == b"", "idle for long enough"
                async with await connect(url) as busy:
                    await busy.send_all(head("GET /", []))
                    await trio.sleep(0.1)
                    stop.set()
                    assert (await read(busy, "GET")).body == b"ok", "a stop lets it finish"
                    assert await busy.receive_some() == b""
