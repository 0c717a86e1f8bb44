"""The bytes of one connection to the API: the socket, read and written without what trio adds for any use.

trio's `send_all` takes a turn of the event loop, a twentieth of a call; for reading see `SocketReader`.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys

import trio

from gatekeeper.server.dead_peers import detect_dead_peer
from gatekeeper.server.socket_reader import SocketReader

TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
# By its place, because Python has no name for it; the struct only grows at its end.
BYTES_ACKED = struct.Struct("120xQ")  # where Linux' `struct tcp_info` has `tcpi_bytes_acked`


class SocketStream:
    """A connected socket. One task reads and one writes. Their methods raise OSError where the connection is
    broken, and trio.ClosedResourceError where it was closed here."""

    def __init__(self, connected: trio.SocketStream) -> None:
        self._socket = connected.socket
        self._descriptor = self._socket.fileno()
        self._poller = select.poll()
        self._poller.register(self._descriptor, select.POLLIN)
        self._reader = SocketReader(self._socket)

    async def read(self) -> bytes:
        """The next bytes that have arrived; empty at the end of the connection."""
        return await self._reader.read()

    async def write(self, data: bytes) -> None:
        written = self.write_nowait(data)
        if written < len(data):
            await self.write_rest(memoryview(data)[written:])

    async def write_rest(self, rest: memoryview) -> None:
        while rest:
            await trio.lowlevel.wait_writable(self._descriptor)
            rest = rest[self.write_nowait(rest) :]

    def write_nowait(self, data: bytes | memoryview) -> int:
        """Writes what fits into the socket without waiting; returns how many bytes that were."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0

    def is_readable(self) -> bool:
        """Whether something has arrived, the end of the connection included."""
        # By `poll`: `select` cannot look at descriptors from 1,024 on.
        return bool(self._poller.poll(0))

    def acked_bytes(self) -> int | None:
        """How many bytes the upstream has acknowledged since the connection began; None if the system does
        not report it. Costs less than a microsecond."""
        if TCP_INFO is None:
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, TCP_INFO, BYTES_ACKED.size)
            return BYTES_ACKED.unpack(info)[0]
        except (OSError, struct.error):  # closed; a kernel before 4.1
            return None

    def detect_dead_peer(self) -> None:
        """Has the system find out that the other side has gone without a word."""
        detect_dead_peer(self._socket)

    def close(self) -> None:
        """At once and without a TLS close_notify, so that it needs no await and works in a cancelled task."""
        self._socket.close()
        self._descriptor = -1  # the system gives the old one to the next connection
