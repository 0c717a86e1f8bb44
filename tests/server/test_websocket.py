"""WebSockets of an ASGI application, by a client of another implementation, and by bytes of their own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.certificate import make_certificate
from rig.logs import capture_logs
from rig.websocket import UPGRADE, frame, opened, rest
from rig.wire import connect, head, read
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.trio.client import connect as open_websocket

from gatekeeper.logs import HypercornLogger
from gatekeeper.server.asgi_types import InlineApp, Receive, Send
from gatekeeper.server.certificate import ServerCertificate
from gatekeeper.server.listener import serve_listener
from gatekeeper.server.websocket_stream import MAX_MESSAGE_BYTES

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20)
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class Echo:
    """Sends each message back. `ends`: how the clients ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, str]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        subprotocol = next(iter(scope["subprotocols"]), None)
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [(b"x-a", b"b")]})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "close":
                await send({"type": "websocket.close", "code": 4321, "reason": "ä" * 200})
            elif message["text"] == "return":
                return
            elif message["text"] == "raise":
                raise ValueError("injected")
            else:
                await send({**message, "type": "websocket.send"})
        self.ends.append((message["code"], message["reason"]))


async def refuses(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    if scope["path"] == "/direct/plain":
        await send({"type": "websocket.close"})
    elif scope["path"] == "/direct/raises":
        raise ValueError("injected")
    elif scope["path"] == "/direct/http":
        headers = [(b"content-length", b"4"), (b"x-a", b"b")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"lat", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"er"[1:], "more_body": False})


@asynccontextmanager
async def served(app: App, certificate: ServerCertificate | None = None) -> AsyncIterator[str]:
    """Its address; `/direct/` and everything else are the same application."""
    config, stop = Config(), trio.Event()
    config.logger_class = HypercornLogger  # pyright: ignore[reportAttributeAccessIssue]
    with trio.fail_after(20), socket.create_server(("127.0.0.1", 0)) as listener:
        async with trio.open_nursery() as nursery:
            inline = InlineApp((b"/direct/",), app)
            nursery.start_soon(serve_listener, app, config, listener, stop, inline, certificate)
            yield f"127.0.0.1:{listener.getsockname()[1]}"
            stop.set()


def client(address: str, path: str = "/direct/a", **named: Any) -> open_websocket:
    return open_websocket(f"ws://{address}{path}", proxy=None, max_size=None, **named)


@pytest.mark.parametrize("path", ["/direct/a", "/other"])
@pytest.mark.parametrize("tls", [False, True])
async def test_messages_of_all_sizes_come_back_as_they_were(path: str, tls: bool, tmp_path: Path) -> None:
    certificate = context = None
    if tls:
        file = make_certificate(tmp_path / "certificate.pem")
        certificate, context = ServerCertificate(file, file), ssl.create_default_context(cafile=file)
    async with (
        served(Echo(), certificate) as address,
        open_websocket(
            f"{'wss' if tls else 'ws'}://{address}{path}", ssl=context, proxy=None, max_size=None
        ) as websocket,
    ):
        for size in SIZES:
            for message in (b"\x80" * size, "x" * size, "🦕é" * (size // 6)):
                await websocket.send(message)
                assert await websocket.recv() == message


async def test_the_handshake_chooses_a_subprotocol_and_no_extension() -> None:
    async with (
        served(Echo()) as address,
        client(address, subprotocols=["first", "second"], compression="deflate") as websocket,
    ):
        assert websocket.subprotocol == "first"
        assert websocket.response is not None
        assert websocket.response.reason_phrase == "Switching Protocols"
        assert websocket.response.headers["x-a"] == "b"
        assert "sec-websocket-extensions" not in websocket.response.headers
        await websocket.send("uncompressed")
        assert await websocket.recv() == "uncompressed"


async def test_subprotocols_may_come_in_several_fields() -> None:
    """RFC 6455 §11.3.4."""
    fields = [*UPGRADE, "Sec-WebSocket-Protocol: first, second", "Sec-WebSocket-Protocol: third"]
    async with served(Echo()) as address, await connect(f"http://{address}") as stream:
        await stream.send_all(head("GET /direct/a", fields))
        answer = await stream.receive_some(4096)
    assert b"\r\nsec-websocket-protocol: first\r\n" in answer


async def test_codes_and_reasons_go_both_ways() -> None:
    app = Echo()
    async with served(app) as address:
        async with client(address) as websocket:
            await websocket.aclose(4000, "why ä")
            assert (websocket.close_code, websocket.close_reason) == (4000, "")
        async with client(address) as websocket:
            await websocket.send("close")
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert (websocket.close_code, websocket.close_reason) == (4321, "ä" * 61)
    assert app.ends == [(4000, "why ä"), (4321, "ä" * 61)]


@cases(("said", "code"), [("return", 1006), ("raise", 1011)])
async def test_an_application_that_ends_without_a_close(said: str, code: int) -> None:
    with capture_logs() as logs:
        async with served(Echo()) as address, client(address) as websocket:
            await websocket.send(said)
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert websocket.close_code == code
    assert bool(logs) is (said == "raise")


@cases(("path", "status", "body"), [("plain", 403, b""), ("http", 429, b"latr"), ("raises", 500, b"")])
async def test_a_handshake_is_refused_over_http(path: str, status: int, body: bytes) -> None:
    with capture_logs():
        async with served(refuses) as address:
            with pytest.raises(InvalidStatus) as refused:
                async with client(address, f"/direct/{path}"):
                    pass
    assert (refused.value.response.status_code, refused.value.response.body) == (status, body)


@cases(
    "fields",
    [
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
        [*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]],
        [*UPGRADE, "Content-Length: 2"],
        [*UPGRADE, UPGRADE[3]],
        [*UPGRADE, UPGRADE[2]],
        [*UPGRADE[:2], UPGRADE[2], UPGRADE[3], "Sec-WebSocket-Version: 8"],
    ],
    ids=["no key", "version 8", "a body", "two keys", "a version twice", "two versions"],
)
async def test_a_handshake_that_is_none_is_a_bad_request(fields: list[str]) -> None:
    said: list[str] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        said.append(scope["state"]["malformed"].message)
        await send({"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with served(app) as address, await connect(f"http://{address}") as stream:
        await stream.send_all(head("GET /direct/a", fields))
        answer = await read(stream, "GET")
    assert answer.status == 400
    assert answer.headers.get("sec-websocket-version") == ("13" if "8" in fields[2] else None)
    assert "WebSocket" in said[0]


async def test_a_handshake_may_say_that_it_has_no_body() -> None:
    async with served(Echo()) as address, await connect(f"http://{address}") as stream:
        await stream.send_all(head("GET /direct/a", [*UPGRADE, "Content-Length: 0"]))
        assert (await stream.receive_some(12)) == b"HTTP/1.1 101"


VIOLATIONS = {
    "not masked": (frame(Opcode.TEXT, b"a", masked=False), 1002),
    "a reserved bit": (b"\xc1\x81" + bytes(4) + b"a", 1002),
    "an unknown opcode": (b"\x83\x80abcd", 1002),
    "a fragment of nothing": (frame(Opcode.CONT, b"a"), 1002),
    "a message within another": (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002),
    "a long ping": (b"\x89\xfe\x00\x7eabcd" + bytes(126), 1002),
    "a ping in fragments": (b"\x09\x80abcd", 1002),
    "not UTF-8": (frame(Opcode.TEXT, b"\xff"), 1007),
    "half of a character": (frame(Opcode.TEXT, "ä".encode()[:1]), 1007),
    "a close reason that is not UTF-8": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "a reason of 1014 that is not UTF-8": (frame(Opcode.CLOSE, b"\x03\xf6\xff"), 1007),
    "a close code of nobody": (frame(Opcode.CLOSE, b"\x03\xed"), 1002),
    "too large": (frame(Opcode.BINARY, bytes(MAX_MESSAGE_BYTES + 1)), 1009),
    "too large in fragments": (
        frame(Opcode.TEXT, b"a", fin=False)
        + 2 * frame(Opcode.CONT, b"b" * (MAX_MESSAGE_BYTES // 2), fin=False),
        1009,
    ),
}


@cases(("sent", "code"), VIOLATIONS.values())
async def test_what_is_no_websocket_is_closed_with_a_reason(sent: bytes, code: int) -> None:
    app = Echo()
    async with served(app) as address, opened(f"http://{address}/direct/a") as stream:
        await stream.send_all(sent + frame(Opcode.TEXT, b"more"))
        await stream.send_eof()
        closed = await rest(stream)
    assert closed[0] == 0x88
    assert int.from_bytes(closed[2:4], "big") == code
    assert [end for end, _ in app.ends] == [code]


async def test_a_message_of_the_limit_passes() -> None:
    async with served(Echo()) as address, client(address) as websocket:
        await websocket.send(b"x" * MAX_MESSAGE_BYTES)
        assert len(await websocket.recv()) == MAX_MESSAGE_BYTES


async def test_pings_between_fragments_are_answered_first() -> None:
    async with served(Echo()) as address, opened(f"http://{address}/direct/a") as stream:
        for sent in (
            frame(Opcode.TEXT, b"a", fin=False),
            frame(Opcode.PING, b"1"),
            frame(Opcode.CONT, b"", fin=False),
            frame(Opcode.PING, b""),
            frame(Opcode.CONT, b"b"),
            frame(Opcode.CLOSE, b""),
        ):
            await stream.send_all(sent)
        assert await rest(stream) == b"\x8a\x011" + b"\x8a\x00" + b"\x81\x02ab" + b"\x88\x00"


async def test_a_client_that_goes_has_ended_by_1006() -> None:
    app = Echo()
    async with served(app) as address:
        async with opened(f"http://{address}/direct/a") as stream:
            await stream.send_all(frame(Opcode.TEXT, b"a")[:-1])
        while not app.ends:
            await trio.sleep(0.001)
    assert app.ends == [(1006, "")]


async def test_frames_that_come_with_the_handshake_are_not_lost() -> None:
    async with served(Echo()) as address, await connect(f"http://{address}") as stream:
        closing = frame(Opcode.TEXT, b"early") + frame(Opcode.CLOSE, b"\x03\xe8")
        await stream.send_all(head("GET /direct/a", UPGRADE) + closing)
        received = await rest(stream)
    assert received.partition(b"\r\n\r\n")[2] == b"\x81\x05early" + b"\x88\x02\x03\xe8"


async def test_a_client_that_does_not_read_is_not_read() -> None:
    """Back pressure: what it may send before the echo is taken is bounded by the connection's buffers."""
    async with served(Echo()) as address, opened(f"http://{address}/direct/a") as stream:
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await stream.send_all(frame(Opcode.BINARY, bytes(100_000)))
                sent += 1
        assert sent < 300
        stream.socket.shutdown(socket.SHUT_WR)
        assert len(await rest(stream)) >= sent * 100_000


async def test_many_small_frames_let_others_have_their_turn() -> None:
    async with (
        served(Echo()) as address,
        opened(f"http://{address}/direct/a") as busy,
        client(address) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(rest, busy)
        await busy.send_all(5_000 * frame(Opcode.PING, b"") + frame(Opcode.CLOSE, b""))
        await other.send("me too")
        assert await other.recv() == "me too"


@settings(max_examples=10)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.text(max_size=200), st.binary(max_size=200)),
            st.lists(st.integers(0, 200), max_size=3),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.integers(16, 4000),
)
def test_any_messages_in_any_fragments_come_back(
    messages: list[tuple[str | bytes, list[int], bool]], step: int
) -> None:
    """However they are cut into fragments and into pieces of the stream, with pings between."""
    sent, expected = b"", b""
    for message, cuts, ping in messages:
        opcode, data = (
            (Opcode.TEXT, message.encode()) if isinstance(message, str) else (Opcode.BINARY, message)
        )
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for number, (start, end) in enumerate(pairwise(edges)):
            fin = number == len(edges) - 2
            sent += frame(Opcode.CONT if number else opcode, data[start:end], fin=fin)
            sent += frame(Opcode.PING, b"p") if ping else b""
        expected += frame(opcode, data, masked=False)

    async def run() -> bytes:
        async with served(Echo()) as address, opened(f"http://{address}/direct/a") as stream:
            closing = sent + frame(Opcode.CLOSE, b"")
            async with trio.open_nursery() as nursery:
                for at in range(0, len(closing), step):
                    await stream.send_all(closing[at : at + step])
                received = await rest(stream)
                nursery.cancel_scope.cancel()
            return received

    received = trio.run(run)
    assert received.replace(b"\x8a\x01p", b"") == expected + b"\x88\x00"
