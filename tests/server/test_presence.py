"""Whether a client is still connected, while nothing is read from it."""

from __future__ import annotations

import errno
import select
import socket
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from rig.cases import cases
from rig.certificate import make_certificate
from rig.wire import connect, head

from gatekeeper.server import client_socket
from gatekeeper.server.asgi_types import InlineApp, Receive, Send
from gatekeeper.server.certificate import ServerCertificate
from gatekeeper.server.connection import ClientConnection
from gatekeeper.server.listener import serve_listener

PIECES = 15  # more than an application's inbox holds
CHUNK = b"4\r\n\r\n1\r\r\n"
WHOLE, CUT = False, True
WAYS = [b"/", b"/other"]  # in the connection's own task, and by Hypercorn's


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    file = make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")
    return ServerCertificate(file, file)


class Deaf:
    """An application that reads nothing, and keeps the connection that its request came by."""

    def __init__(self) -> None:
        self.peer: ClientConnection | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.peer = scope["state"]["connection"]
        await trio.sleep_forever()


@pytest.mark.parametrize("prefix", WAYS)
async def test_a_look_without_a_descriptor_left_is_none(
    monkeypatch: pytest.MonkeyPatch, prefix: bytes
) -> None:
    app, stop = Deaf(), trio.Event()

    def no_more(number: int) -> int:
        raise OSError(errno.EMFILE, "injected")

    with socket.create_server(("127.0.0.1", 0)) as listener, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listener, app, Config(), listener, stop, InlineApp((prefix,), app))
            async with await connect(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                await client.send_all(head("POST /", ["Transfer-Encoding: chunked"]) + CHUNK * PIECES)
                while app.peer is None:
                    await trio.sleep(0.002)
                await client.send_eof()
                with monkeypatch.context() as patch:
                    patch.setattr(client_socket.os, "dup", no_more)
                    while not app.peer.poller.poll(0):
                        await trio.sleep(0.002)
                    assert not app.peer.is_disconnected()
                # What is being read at the first look is nowhere to be seen: the second one decides.
                assert [app.peer.is_disconnected() for _ in range(2)] == [False, True]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("field", "last", "gone"),
    [
        ("Content-Length: 4", b"abcd", None),  # which nobody has read, so that the end does not show
        ("Content-Length: 0", b"", WHOLE),
        ("Content-Length: 5", b"", CUT),
    ],
)
async def test_an_end_where_the_system_does_not_tell_it(
    monkeypatch: pytest.MonkeyPatch, field: str, last: bytes, gone: bool | None
) -> None:
    monkeypatch.setattr(client_socket, "HALF_CLOSE_EVENTS", select.POLLIN)
    app, stop = Deaf(), trio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listener, app, Config(), listener, stop, InlineApp((b"/",), app))
            async with await connect(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                await client.send_all(head("POST /", [field]))
                while app.peer is None:
                    await trio.sleep(0.002)
                assert not app.peer.is_disconnected()
                await client.send_all(last)
                await client.send_eof()
                while not app.peer.poller.poll(0):
                    await trio.sleep(0.002)
                assert [app.peer.is_disconnected() for _ in range(2)] == [False, bool(gone)]
                assert app.peer.cleanly_half_closed is (gone is WHOLE)
            nursery.cancel_scope.cancel()


@cases("scheme", ["http", "https"])
@cases("prefix", WAYS)
@cases(
    ("field", "piece", "last", "gone"),
    [
        ("Transfer-Encoding: chunked", CHUNK, b"0\r\n\r\n", WHOLE),
        ("Transfer-Encoding: chunked", CHUNK, b"000;a\r\nX: a\r\n\r\n", WHOLE),
        ("Transfer-Encoding: chunked", CHUNK, b"", CUT),
        ("Transfer-Encoding: chunked", CHUNK, b"4\r\nabcd", CUT),
        ("Transfer-Encoding: chunked", CHUNK, b"4\r\n0", WHOLE),  # as far as can be known
        ("Content-Length: 60", b"abcd", b"", WHOLE),
        ("Content-Length: 60", b"abcd", b"GET / HTTP/1.1\r\n", WHOLE),
        ("Content-Length: 61", b"abcd", b"", CUT),
        ("Content-Length: 9000000", b"abcd", b"", CUT),
    ],
)
async def test_an_end_in_the_middle_of_a_body(
    certificate: ServerCertificate,
    field: str,
    piece: bytes,
    last: bytes,
    gone: bool,
    prefix: bytes,
    scheme: str,
) -> None:
    app, stop = Deaf(), trio.Event()
    pair = certificate if scheme == "https" else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                inline = InlineApp((prefix,), app)
                nursery.start_soon(serve_listener, app, Config(), listener, stop, inline, pair)
                async with await connect(url) as client:
                    await client.send_all(head("POST /", [field]))
                    for _ in range(PIECES):
                        await client.send_all(piece)
                        await trio.sleep(0.002)  # so that it comes as a piece of its own
                    await client.send_all(last)
                    assert app.peer is not None
                    assert not app.peer.is_disconnected()
                    await client.send_eof()
                    while not (app.peer.is_disconnected() or app.peer.cleanly_half_closed):
                        await trio.sleep(0.002)
                    assert app.peer.is_disconnected() is gone
                nursery.cancel_scope.cancel()
