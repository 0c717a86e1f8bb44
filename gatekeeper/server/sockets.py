"""Sockets, to clients and to the API: fast reads, and the detection of dead peers."""

from __future__ import annotations

import os
import socket
import sys
from typing import Protocol

import trio

# Seconds without progress after which the kernel drops a connection (Hypercorn's sends are shielded from
# cancellation, so one that hangs would delay the shutdown for ever), and of silence before it is probed.
DEAD_PEER_SECONDS = 30.0
READ_SIZE = 120 * 1024  # bytes; from 128 KiB on glibc maps memory for each read, which costs more than it
READS_IN_A_ROW = 8  # without waiting, as long as each returns READ_SIZE bytes, before other tasks run


class SocketReader:
    """Reads a socket, by one task, faster than trio, which tries `recv` first: the BlockingIOError when
    nothing is there costs more than the read."""

    def __init__(self, connected: trio.socket.SocketType) -> None:
        self._socket = connected
        self._reads_left = 0

    async def read(self) -> bytes:
        """The next bytes; empty at the end of the connection. Raises OSError if the connection is broken, and
        trio.ClosedResourceError if it is closed by this process meanwhile."""
        if self._reads_left:
            self._reads_left -= 1
            try:
                data = os.read(self._socket.fileno(), READ_SIZE)
            except BlockingIOError:
                pass
            else:
                if len(data) < READ_SIZE:
                    self._reads_left = 0
                return data
        while True:
            await trio.lowlevel.wait_readable(self._socket.fileno())
            try:
                data = os.read(self._socket.fileno(), READ_SIZE)
            # The system may report a socket as readable that is not (select(2), BUGS).
            except BlockingIOError:
                continue
            # A read of fewer bytes has emptied the socket: another one would only raise BlockingIOError.
            self._reads_left = READS_IN_A_ROW if len(data) == READ_SIZE else 0
            return data


class Socket(Protocol):
    """The standard library's, or trio's."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def detect_dead_peer(of: Socket) -> None:
    """Sets the socket options for it; connections accepted by a listener inherit them."""
    if sys.platform == "linux":
        milliseconds = int(DEAD_PEER_SECONDS * 1000)
        # With keep-alive this also decides when a silent connection is given up, in place of the number of
        # probes (tcp(7)).
        of.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        of.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(DEAD_PEER_SECONDS))
        of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
