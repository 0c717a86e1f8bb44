"""The other side of a TLS connection, in memory, and what it sends: in pieces, cut anywhere, or changed."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st

PIECES = st.lists(st.binary(min_size=1, max_size=300) | st.just(bytes(40_000)), max_size=6)
CUTS = st.lists(st.integers(0, 60_000), max_size=8)
EXAMPLES = settings(max_examples=30)
LAST = b"last"


class TlsPeer:
    """`sent` is what it has for us, `received` takes what is sent to it."""

    def __init__(self, context: ssl.SSLContext, *, is_server: bool) -> None:
        self.received, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        host = None if is_server else "localhost"
        self.session = context.wrap_bio(self.received, self.sent, is_server, host)

    async def shake_hands(self, stream: trio.abc.Stream) -> None:
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                await stream.send_all(self.sent.read())
                self.received.write(await stream.receive_some())
            else:
                return await stream.send_all(self.sent.read())

    def records(self, data: bytes) -> bytes:
        self.session.write(data)
        return self.sent.read()

    def close_notify(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.session.unwrap()
        return self.sent.read()


async def send(target: trio.SocketStream, parts: Iterator[bytes]) -> None:
    for part in parts:
        await target.send_all(part)
        await trio.lowlevel.checkpoint()
    await target.aclose()


def cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(edges) if end > start)


async def assert_nothing_changed_arrives(
    peer: TlsPeer,
    theirs: trio.SocketStream,
    read: Callable[[], Awaitable[bytes]],
    broken: type[Exception],
    pieces: list[bytes],
    cuts: list[int],
    at: int,
    by: int,
) -> None:
    """The peer sends some pieces and a last one, and one byte is changed on the way: `read` returns what came
    before it, and raises `broken`."""
    received = b""
    async with trio.open_nursery() as nursery:
        records = bytearray(b"".join(peer.records(piece) for piece in [*pieces, LAST]))
        records[at % len(records)] ^= by
        nursery.start_soon(send, theirs, cut(bytes(records), cuts))
        try:
            while data := await read():
                received += data
        except broken:
            nursery.cancel_scope.cancel()
    sent = b"".join([*pieces, LAST])
    assert sent.startswith(received)
    assert received != sent
