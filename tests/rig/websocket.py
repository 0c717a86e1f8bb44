"""A client of WebSockets that sends exactly the frames that a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio
from websockets.frames import Frame, Opcode

from rig.wire import connect, head

UPGRADE = [
    "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]  # fmt: skip


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=masked)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[trio.SocketStream]:
    """A connection whose handshake is done, for frames of our own."""
    async with await connect(url) as stream:
        await stream.send_all(head(f"GET {urlsplit(url)._replace(scheme='', netloc='').geturl()}", UPGRADE))
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += await stream.receive_some(1)
        assert received.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in received
        yield stream


async def rest(stream: trio.SocketStream) -> bytes:
    received = b""
    while data := await stream.receive_some():
        received += data
    return received
