"""What a TLS session makes of the bytes between a socket and HTTP, however they are cut."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

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


async def agree(client: Client, session: TlsSession) -> tuple[Any, Any]:
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
    return trio.testing.memory_stream_one_way_pair()


def cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(edges) if end > start)


async def receive_all(session: TlsSession, stream: Any) -> bytes:
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
        feed, stream = await agree(client, session)
        records = b"".join(client.records(piece) for piece in pieces)
        if proper:
            with pytest.raises(ssl.SSLWantReadError):
                client.session.unwrap()
            records += client.sent.read()
        for part in cut(records, cuts):
            await feed.send_all(part)
        await feed.aclose()
        assert await receive_all(session, stream) == b"".join(pieces)

    trio.run(run)


@EXAMPLES
@given(PIECES, CUTS, st.integers(0, 60_000), st.integers(1, 255))
def test_what_was_changed_on_the_way_never_arrives(
    context: ssl.SSLContext, pieces: list[bytes], cuts: list[int], place: int, change: int
) -> None:
    async def run() -> None:
        client, session = Client(), TlsSession(context)
        feed, stream = await agree(client, session)
        records = bytearray(b"".join(client.records(piece) for piece in [*pieces, b"last"]))
        records[place % len(records)] ^= change
        for part in cut(bytes(records), cuts):
            await feed.send_all(part)
        await feed.aclose()
        received = b""
        try:
            while data := await session.receive_some(stream):
                received += data
        except trio.BrokenResourceError:
            pass
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
        feed, stream = await agree(client, session)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            for number, piece in enumerate(pieces):
                client.received.write(session.encrypt(piece))
                if number == ahead:
                    theirs.sendall(client.records(b"ahead"))
                    assert session.read_ahead(ours.fileno()) == b"ahead"
                    assert session.read_ahead(ours.fileno()) == b"ahead"
        client.received.write(session.close_notify())
        assert session.close_notify() == b""
        read = b""
        while part := client.session.read(65_536):
            read += part
        assert read == b"".join(pieces)
        if ahead >= len(pieces):
            await feed.send_all(b"discarded")
            assert await session.receive_some(stream) == b"discarded"

    trio.run(run)


async def test_read_ahead_takes_all_that_came_before_the_end(context: ssl.SSLContext) -> None:
    client, session = Client(), TlsSession(context)
    _, stream = await agree(client, session)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            ours.setblocking(False)
            theirs.sendall(client.records(bytes(100_000)))
        assert session.read_ahead(ours.fileno()) == bytes(100_000)
        assert await session.receive_some(stream) == bytes(100_000)
        assert await session.receive_some(stream) == b""


async def test_read_ahead_survives_garbage_and_a_closed_socket(context: ssl.SSLContext) -> None:
    for garbage in (b"\x17\x03\x03\x00\x20" + bytes(32), None):
        session = TlsSession(context)
        await agree(Client(), session)
        ours, theirs = socket.socketpair()
        number = ours.fileno()
        with ours, theirs:
            ours.setblocking(False)
            if garbage:
                theirs.sendall(garbage)
            else:
                number = os.dup(number)
                os.close(number)
            assert session.read_ahead(number) == b""
