"""Connections to the upstream: what is known of a request when one breaks."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.upstream.connection import ConnectionLost, UpstreamConnection
from gatekeeper.upstream.pool import UpstreamPool

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
ASK = ("POST", b"/", [(b"host", b"x"), (b"content-length", b"5000")], b"q" * 5000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def read(peer: socket.socket, count: int) -> None:
    """A request's body is read to so many bytes, its head as a whole."""
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < count:
        received += peer.recv(1)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[UpstreamPool, UpstreamConnection, socket.socket]]:
    """An upstream, a connection to it that has carried one call, and the other side's end of that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = UpstreamPool(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=5)
        connection = await upstream.connect()
        peer, _ = listener.accept()
        with peer:
            await connection.send_request(*ASK)
            read(peer, 5000)
            peer.send(ANSWER)
            await connection.read_head()
            while await connection.read_chunk():
                pass
            upstream.release(connection)
            try:
                yield upstream, connection, peer
            finally:
                upstream.close_idle()


async def readable(connection: UpstreamConnection) -> None:
    with trio.fail_after(2):
        while not connection.has_expired(connection.idle_since):
            await trio.sleep(0.001)


async def ask(connection: UpstreamConnection) -> ConnectionLost:
    async def call() -> None:
        await connection.send_request(*ASK)
        await connection.read_head()

    with pytest.raises(ConnectionLost) as death:
        await call()
    return death.value


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
SWITCH = b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n"
ANSWERS = {
    "of known length": (ANSWER, b"{}", True),
    "in chunks": (CHUNKED, b"{}", True),
    "without a body": (b"HTTP/1.1 204 X\r\n\r\n", b"", True),
    "after an informational one": (b"HTTP/1.1 103 X\r\n\r\n" + ANSWER, b"{}", True),
    "that closes": (ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"{}", False),
    "that closes, without a body": (b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n", b"", False),
    "of HTTP/1.0": (ANSWER.replace(b"1.1", b"1.0"), b"{}", False),
    "with more bytes": (ANSWER + b"x", b"{}", False),
    "with another one behind it": (CHUNKED + ANSWER, b"{}", False),
    "with an empty line behind it": (CHUNKED + b"\r\n", b"{}", False),
    "to a switch that nobody asked for": (SWITCH, b"", False),
}


@cases(("answer", "body", "again"), ANSWERS.values())
async def test_after_which_responses_a_connection_is_used_again(
    answer: bytes, body: bytes, again: bool
) -> None:
    async with connected() as (upstream, _, peer):
        connection = await upstream.acquire()
        await connection.send_request(*ASK)
        read(peer, 5000)
        peer.send(answer)
        received = b""
        with suppress(ConnectionLost):
            await connection.read_head()
            while (chunk := await connection.read_chunk()) is not None:
                received += chunk
        upstream.release(connection)
        assert (received, upstream.open) == (body, again)


async def test_what_follows_a_switch_of_protocols_is_of_the_other_one() -> None:
    method, target, headers, body = ASK
    async with connected() as (upstream, _, peer):
        connection = await upstream.acquire()
        await connection.send_request(method, target, [*headers, (b"upgrade", b"a")], body)
        read(peer, 5000)
        peer.send(SWITCH + b"first")
        assert (await connection.read_head()).status == 101
        stream, received = connection.switch_protocols()
        assert received == b"first"
        peer.send(b"second")
        assert await stream.read() == b"second"
        upstream.release(connection)
        assert upstream.open == 0


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@cases("unread", [0, 1, 4999])
@cases("close", [socket.socket.close, reset])
async def test_a_request_that_was_read_counts_as_delivered(
    unread: int, close: Callable[[socket.socket], None]
) -> None:
    """With bytes unread any close is a reset."""

    def read_and_close() -> None:
        read(peer, 5000 - unread)
        close(peer)

    async with connected() as (upstream, _, peer):
        connection = await upstream.acquire()
        assert connection.request_count == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, read_and_close)
            death = await ask(connection)
        assert death.maybe_delivered
        upstream.release(connection)
        assert upstream.open == 0


async def test_a_request_that_came_after_the_close_was_not_delivered() -> None:
    async with connected() as (upstream, connection, peer):
        assert await upstream.acquire() is connection
        peer.close()
        await readable(connection)  # its end is here, but nobody has looked since it was taken
        assert not (await ask(connection)).maybe_delivered
        upstream.release(connection)
        assert upstream.open == 0


async def test_a_first_request_is_never_sent_again() -> None:
    """Nothing is known of what a new connection's other side did with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = UpstreamPool(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=5)
        connection = await upstream.connect()
        peer, _ = listener.accept()
        peer.close()
        assert (await ask(connection)).maybe_delivered
        upstream.release(connection)
        assert upstream.open == 0


class NoticesLate(UpstreamPool):
    """An upstream whose idle connection is closed in the moment between the last look at it and its use."""

    before_use: Callable[[], Awaitable[None]]

    async def acquire(self) -> UpstreamConnection:
        connection = await super().acquire()
        if connection.request_count:
            await self.before_use()
            await readable(connection)
        return connection


async def test_a_request_that_never_arrived_is_sent_again(gateway: Running, google: StandIn) -> None:
    streams: list[trio.SocketStream] = []

    async def answer(reply: Reply) -> None:
        streams.append(reply.stream)
        await reply.json(b"{}")

    google.script = answer
    upstream = NoticesLate(google.url, connect_timeout=5)
    upstream.before_use = lambda: streams[0].aclose()
    gateway.gateway.proxy.context.upstream = upstream
    for _ in range(2):
        assert (await exchange(gateway.url, GENERATE, body=b"{}")).status == 200
    assert [asked.connection for asked in google.asked] == [1, 2], "each request arrived once"
    await gateway.row(2)
    assert [row["outcome"] for row in await gateway.rows()] == ["ok", "ok"]
    upstream.close_idle()
    assert upstream.open == 0
