"""TCP options by which the system finds out that the other side of a connection has gone without a word."""

from __future__ import annotations

import socket
import sys
from typing import Protocol

# Seconds without progress after which the kernel drops a connection (Hypercorn's sends are shielded from
# cancellation, so one that hangs would delay the shutdown for ever), and of silence before it is probed.
DEAD_PEER_SECONDS = 30.0


class Socket(Protocol):
    """The standard library's, or trio's."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def detect_dead_peer(of: Socket) -> None:
    """Sets the options; what a listener accepts inherits them."""
    if sys.platform == "linux":
        milliseconds = int(DEAD_PEER_SECONDS * 1000)
        # With keep-alive this also decides when a silent connection is given up, in place of the number of
        # probes (tcp(7)).
        of.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        of.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(DEAD_PEER_SECONDS))
        of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
