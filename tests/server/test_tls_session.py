"""What a TLS session makes of the bytes between a socket and HTTP, however they are cut."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from rig.certificate import make_certificate
from rig.tls_peer import CUTS, EXAMPLES, PIECES, TlsPeer, assert_nothing_changed_arrives, cut, send

from gatekeeper.server import certificate as certificates
from gatekeeper.server.tls import TlsSession


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    file = make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")
    return certificates.load(file, file).context


def new_client() -> TlsPeer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return TlsPeer(context, is_server=False)


@asynccontextmanager
async def agree(
    client: TlsPeer, session: TlsSession
) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """Both after their handshake. Two ends of a stream: what the first sends is received by the second."""
    sending, serving = trio.testing.memory_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.shake_hands, sending)
        await session.handshake(serving)
    ours, theirs = map(trio.socket.from_stdlib_socket, socket.socketpair())
    async with trio.SocketStream(theirs) as feed, trio.SocketStream(ours) as stream:
        yield feed, stream


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
        client, session = new_client(), TlsSession(context)
        async with agree(client, session) as (feed, stream), trio.open_nursery() as nursery:
            records = b"".join(client.records(piece) for piece in pieces)
            if proper:
                records += client.close_notify()
            nursery.start_soon(send, feed, cut(records, cuts))
            assert await receive_all(session, stream) == b"".join(pieces)

    trio.run(run)


@EXAMPLES
@given(PIECES, CUTS, st.integers(0, 60_000), st.integers(1, 255))
def test_what_was_changed_on_the_way_never_arrives(
    context: ssl.SSLContext, pieces: list[bytes], cuts: list[int], place: int, change: int
) -> None:
    async def run() -> None:
        client, session = new_client(), TlsSession(context)
        async with agree(client, session) as (feed, stream):
            read = partial(session.receive_some, stream)
            broken = trio.BrokenResourceError
            await assert_nothing_changed_arrives(client, feed, read, broken, pieces, cuts, place, change)

    trio.run(run)


@EXAMPLES
@given(PIECES, st.integers(0, 6))
def test_what_is_encrypted_in_order_is_read_in_order(
    context: ssl.SSLContext, pieces: list[bytes], ahead: int
) -> None:
    """While something of the client is read ahead in between; the end is told once."""

    async def run() -> None:
        client, session = new_client(), TlsSession(context)
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
    client, session = new_client(), TlsSession(context)
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
        async with agree(new_client(), session) as (feed, stream):
            await feed.send_all(garbage)
            number = stream.socket.fileno() if garbage else -1
            assert session.read_ahead(number) == b""
        with pytest.raises(trio.ClosedResourceError):
            await TlsSession(context).receive_some(stream)
