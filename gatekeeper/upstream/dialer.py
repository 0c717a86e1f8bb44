"""TCP connections to one host and port.

The host's name is looked up, and its addresses are tried, as trio does it (RFC 8305). For a while after that
the address that was reached is connected to at once: look-up, nursery and tasks cost as much as a whole call.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

import trio

REMEMBERED_SECONDS = 30.0  # what names mean changes, and so does which address is near
ATTEMPT_SECONDS = 1.0  # for the remembered address, before all are tried


class Dialer:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reached: tuple[socket.AddressFamily, tuple[object, ...]] | None = None
        self._until = 0.0  # on trio's clock

    async def open(self) -> trio.SocketStream:
        """A new connection. Raises OSError."""
        if self._reached is not None and trio.current_time() < self._until:
            # Only a connection is an answer: whatever else comes of it, all addresses are tried.
            with suppress(OSError), trio.move_on_after(ATTEMPT_SECONDS):
                return await _connect(*self._reached)
            self._reached = None
        # What others open meanwhile goes to the old address: one look-up is enough.
        self._until = trio.current_time() + REMEMBERED_SECONDS
        stream = await trio.open_tcp_stream(self._host, self._port)
        with suppress(OSError):  # it was reset meanwhile, which its first use will find
            self._reached = stream.socket.family, stream.socket.getpeername()
        return stream


async def _connect(family: socket.AddressFamily, address: tuple[object, ...]) -> trio.SocketStream:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        await _shake_hands(connecting, address)
    # Also where the call is cancelled: nobody else knows the socket yet.
    except BaseException:
        connecting.close()
        raise
    return trio.SocketStream(trio.socket.from_stdlib_socket(connecting))


async def _shake_hands(connecting: socket.socket, address: tuple[object, ...]) -> None:
    connecting.setblocking(False)
    error = connecting.connect_ex(address)
    if error == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(connecting)
        error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
