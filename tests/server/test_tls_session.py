"""What a TLS session makes of the bytes between a socket and HTTP, however they are cut."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.certificate import make_certificate

from gatekeeper.server import certificate as certificates
from gatekeeper.server.tls import TlsSession

PIECES = st.lists(st.binary(min_size=1, max_size=300) | st.just(bytes(40_000)), max_size=6)
CUTS = st.lists(st.integers(0, 60_000), max_size=8)
EXAMPLES = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    file = make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")
    return certificates.load(file, file).context


class Client:
    """The other side, in memory: `sent` is what it has for the server, `received` takes what that sends."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.received, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.received, self.sent, server_hostname="localhost")

    def records(self, data: bytes) -> bytes:
        self.session.write(data)
        return self.sent.read()


@asynccontextmanager
async def agree(
    client: Client, session: TlsSession
) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """Both after their handshake. Two ends of a stream: what the first sends is received by the second."""
    sending, serving = trio.testing.memory_stream_pair()

    async def shake_hands() -> None:
        while True:
            try:
                client.session.do_handshake()
            except ssl.SSLWantReadError:
                await sending.send_all(client.sent.read())
                client.received.write(await sending.receive_some())
            else:
                await sending.send_all(client.sent.read())
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake_hands)
        await session.handshake(serving)
    ours, theirs = map(trio.socket.from_stdlib_socket, socket.socketpair())
    async with trio.SocketStream(theirs) as feed, trio.SocketStream(ours) as stream:
        yield feed, stream


async def send(feed: trio.SocketStream, parts: Iterator[bytes]) -> None:
    for part in parts:
        await feed.send_all(part)
        await trio.lowlevel.checkpoint()
    await feed.aclose()


def cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(edges) if end > start)


async def receive_all(session: TlsSession, stream: trio.SocketStream) -> bytes:
    received = b""
    while data := await session.receive_some(stream):
        received += data
    return received


@EXAMPLES
@given(PIECES, CUTS, st.booleans())
def test_what_is_sent_arrives_and_then_an_end(
    context: ssl.SSLContext, pieces: list[bytes], cuts: list[int], proper: bool
) -> None:
    async def run() -> None:
        client, session = Client(), TlsSession(context)
        async with agree(client, session) as (feed, stream), trio.open_nursery() as nursery:
            records = b"".join(client.records(piece) for piece in pieces)
            if proper:
                with pytest.raises(ssl.SSLWantReadError):
                    client.session.unwrap()
                records += client.sent.read()
            nursery.start_soon(send, feed, cut(records, cuts))
            assert await receive_all(session, stream) == b"".join(pieces)

    trio.run(run)


@EXAMPLES
@given(PIECES, CUTS, st.integers(0, 60_000), st.integers(1, 255))
def test_what_was_changed_on_the_way_never_arrives(
    context: ssl.SSLContext, pieces: list[bytes], cuts: list[int], place: int, change: int
) -> None:
    async def run() -> None:
        client, session = Client(), TlsSession(context)
        received = b""
        async with agree(client, session) as (feed, stream), trio.open_nursery() as nursery:
            records = bytearray(b"".join(client.records(piece) for piece in [*pieces, b"last"]))
            records[place % len(records)] ^= change
            nursery.start_soon(send, feed, cut(bytes(records), cuts))
            try:
                while data := await session.receive_some(stream):
                    received += data
            except trio.BrokenResourceError:
                nursery.cancel_scope.cancel()
        sent = b"".join([*pieces, b"last"])
        assert sent.startswith(received)
        assert received != sent

    trio.run(run)


@EXAMPLES
@given(PIECES, st.integers(0, 6))
def test_what_is_encrypted_in_order_is_read_in_order(
    context: ssl.SSLContext, pieces: list[bytes], ahead: int
) -> None:
    """While something of the client is read ahead in between; the end is told once."""

    async def run() -> None:
        client, session = Client(), TlsSession(context)
        async with agree(client, session) as (feed, stream):
            for number, piece in enumerate(pieces):
                client.received.write(session.encrypt(piece))
                if number == ahead:
                    await feed.send_all(client.records(b"ahead"))
                    assert session.read_ahead(stream.socket.fileno()) == b"ahead"
                    assert session.read_ahead(stream.socket.fileno()) == b"ahead"
            client.received.write(session.close_notify())
            assert session.close_notify() == b""
            await feed.send_all(b"discarded")
            assert await session.receive_some(stream) == b"discarded"
        read = b""
        while part := client.session.read(65_536):
            read += part
        assert read == b"".join(pieces)

    trio.run(run)


@pytest.mark.parametrize("looks", [1, 1000])
async def test_read_ahead_takes_nothing_out_of_turn(context: ssl.SSLContext, looks: int) -> None:
    """While another task receives: what it has taken from the socket is in the session, not on its way."""
    client, session = Client(), TlsSession(context)
    sent = os.urandom(1_000_000)
    received = b""
    async with agree(client, session) as (feed, stream), trio.open_nursery() as nursery:
        nursery.start_soon(send, feed, iter([client.records(sent)]))

        async def look() -> None:
            for _ in range(looks):
                ahead = session.read_ahead(stream.socket.fileno())
                assert ahead == sent[len(received) : len(received) + len(ahead)]
                await trio.lowlevel.checkpoint()

        nursery.start_soon(look)
        while data := await session.receive_some(stream):
            received += data
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert received == sent


async def test_read_ahead_survives_garbage_and_a_closed_socket(context: ssl.SSLContext) -> None:
    for garbage in (b"\x17\x03\x03\x00\x20" + bytes(32), b""):
        session = TlsSession(context)
        async with agree(Client(), session) as (feed, stream):
            await feed.send_all(garbage)
            number = stream.socket.fileno() if garbage else -1
            assert session.read_ahead(number) == b""
        with pytest.raises(trio.ClosedResourceError):
            await TlsSession(context).receive_some(stream)
