"""The socket of one client connection, cleartext or TLS: reading, writing without waiting if possible, and
polling whether the client has disconnected."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from collections.abc import Iterable

import trio

from gatekeeper.server.sockets import SocketReader
from gatekeeper.server.tls import TlsSession

# Linux reports a half-closed connection; elsewhere that shows only once all data before it has been read.
HALF_CLOSE_EVENTS = getattr(select, "POLLRDHUP", select.POLLIN)
LINGER_ZERO = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing discards unsent data and sends a reset


def hung_up(descriptors: Iterable[int]) -> list[int]:
    """The sockets whose client may have disconnected, found by one system call."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, HALF_CLOSE_EVENTS)
    return [descriptor for descriptor, _ in poller.poll(0)]


class ClientSocket:
    """Writes are first tried without waiting: the lock, cancel scope and two checkpoints that Hypercorn's
    connection needs for each write cost more than the write."""

    write_failed = False  # what was written may be incomplete: nothing may follow it
    disconnected = False  # the client has disconnected before its request was complete
    half_closed_before = False  # an earlier check has found it half-closed
    cleanly_half_closed = False  # the client half-closed after what may be a complete request

    def __init__(self, stream: trio.SocketStream, tls: TlsSession | None) -> None:
        self.stream = stream
        self.tls = tls
        self.send_lock = trio.Lock()  # of writes by several tasks
        self.socket = stream.socket
        self._reader = SocketReader(self.socket)
        self.poller = select.poll()
        # POLLERR and POLLHUP are always reported.
        self.descriptor = self.socket.fileno()  # until `disconnected`
        self.poller.register(self.descriptor, HALF_CLOSE_EVENTS)

    def may_be_complete(self) -> bool:
        """Whether the request that is being read may be complete with the bytes so far."""
        raise NotImplementedError

    async def receive(self) -> bytes:
        """The next bytes from the client; empty at the end of the connection, clean or not."""
        if self.disconnected:  # perhaps closed by this server, and then there is no descriptor to wait for
            return b""
        try:
            if self.tls is not None:
                return await self.tls.receive_some(self.stream)
            return await self._reader.read()
        except (trio.ClosedResourceError, trio.BrokenResourceError, OSError):
            self.disconnected = True
            return b""

    def is_disconnected(self) -> bool:
        """Whether the client has disconnected before its request was complete, or the connection is broken.
        Polls the socket, and reads nothing."""
        if self.disconnected:
            return True
        # Without reading: the body may not have been read yet and must stay in the socket's buffer.
        events = self.poller.poll(0)
        if not events:
            return False
        if events[0][1] & (select.POLLERR | select.POLLHUP):
            return True
        if not self.cleanly_half_closed:
            try:
                # With TLS nothing can be peeked at: what is read has to be kept.
                if HALF_CLOSE_EVENTS == select.POLLIN and (self.tls or self.peek_unread()):
                    return False
                self.cleanly_half_closed = self.may_be_complete()
            except OSError:  # no descriptor is left for `dup`; the next check tries again
                return False
        # What trio has just read is for a moment neither in the socket nor with the protocol: the next check
        # decides.
        first_seen, self.half_closed_before = not self.half_closed_before, True
        return not (self.cleanly_half_closed or first_seen)

    def peek_unread(self) -> bytes:
        """The unread bytes in the socket's buffer; the client has half-closed, so no more follow."""
        if self.tls is not None:
            return self.tls.read_ahead(self.socket.fileno())
        # trio's socket has no MSG_PEEK and owns its descriptor: hence a copy of that.
        with socket.socket(fileno=os.dup(self.socket.fileno())) as copy:
            size = int.from_bytes(fcntl.ioctl(copy, termios.FIONREAD, bytes(4)), sys.byteorder)
            return copy.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT) if size else b""

    def shutdown_read(self) -> None:
        """Shuts down the read side; data already received is still processed."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def reset(self) -> None:
        """Resets the connection, so that the client sees that the response is incomplete."""
        # First, because closing wakes the task that reads: it must not wait for a descriptor that is gone.
        self.disconnected = True
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.socket.close()

    async def write(self, data: bytes) -> None:
        """Writes all of it, unless cancelled. Raises a trio error or OSError if the connection is broken."""
        if rest := self._begin_write(data):
            async with self.send_lock:
                await self.write_rest(rest)

    async def write_shielded(self, data: bytes) -> None:
        """Like `write`, but once it waits for the client it cannot be cancelled: the kernel closes a
        connection whose client does not read."""
        if rest := self._begin_write(data):
            async with self.send_lock:
                with trio.CancelScope(shield=True):
                    await self.write_rest(rest)

    def _begin_write(self, data: bytes) -> bytes:
        """Writes without waiting, unless another write waits; returns what is left for the slow path."""
        if not data:
            return data
        if self.send_lock.locked():
            # TLS records must be sent in the order of their encryption: the lock is fair, so this write,
            # encrypted now, gets it in that order.
            return data if self.tls is None else self.tls.encrypt(data)
        return self.write_nowait(data)

    def write_nowait(self, data: bytes) -> bytes:
        """Writes without waiting, encrypted if there is TLS; returns the bytes for the socket that did not
        fit, which must go out before any others. Raises OSError if the connection is broken."""
        if self.tls is not None:
            data = self.tls.encrypt(data)
        try:
            # Not trio's `send`, which has a checkpoint. A closed socket has the descriptor -1, for which this
            # raises OSError.
            written = os.write(self.socket.fileno(), data)
        except BlockingIOError:
            return data
        except OSError:
            self.write_failed = True
            raise
        return data[written:] if written < len(data) else b""

    async def write_rest(self, rest: bytes) -> None:
        """Writes what `write_nowait` has left over. Raises a trio error or OSError if the connection is
        broken."""
        self.write_failed = True  # unless it comes to its end
        await self.stream.send_all(rest)
        self.write_failed = False
