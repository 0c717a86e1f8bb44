"""The byte stream of one connection to the API, cleartext or TLS, faster than trio's streams.

trio's `send_all` has a checkpoint, which costs a twentieth of a call; for reading see `SocketReader`. TLS is
by the module `ssl` with memory BIOs: the locks and checkpoints of `trio.SSLStream`, and its reads without
data, cost more than encryption.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import sys

import trio

from gatekeeper.server.sockets import SocketReader, detect_dead_peer

TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
# By its offset, because Python has no name for it; the struct only grows at its end.
BYTES_ACKED = struct.Struct("120xQ")  # where Linux' `struct tcp_info` has `tcpi_bytes_acked`
RECORD_BYTES = 16384  # of plaintext in one TLS record, at most
FED_AT_ONCE = 32 * 1024  # bytes; a memory BIO never shrinks
MAX_PENDING = 16384  # bytes of TLS' own messages (key updates) that the upstream does not take


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
        # By `poll`: `select` cannot take descriptors from 1,024 on.
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
        """Lets the kernel detect a peer that is gone without closing the connection."""
        detect_dead_peer(self._socket)

    def close(self) -> None:
        """At once and without a TLS close_notify, so that it needs no await and works in a cancelled task."""
        self._socket.close()
        self._descriptor = -1  # the kernel reuses the number for the next connection


class TlsStream(SocketStream):
    """A connection with TLS. HTTP messages have their own framing, so a missing close_notify at the end makes
    no difference."""

    def __init__(self, connected: trio.SocketStream, context: ssl.SSLContext, host: str) -> None:
        super().__init__(connected)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""  # of TLS' own messages, encrypted
        self._writing = False  # stays True once a write was cancelled half-way
        self._input_ended = False
        self._failure: ssl.SSLError | None = None  # raised once the data before it was returned

    async def handshake(self) -> None:
        """Raises ssl.SSLError for an upstream that does not speak TLS or is not trusted, and OSError."""
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await super().read():
                    self._incoming.write(data)
                else:
                    # OpenSSL then says itself that the handshake was broken off (SSLEOFError).
                    self._incoming.write_eof()
            else:
                return await self._flush()

    async def read(self) -> bytes:
        while not self._input_ended:
            if self._failure is not None:
                raise self._failure
            # Data may have been received with the end of the handshake.
            data = b"" if self._incoming.pending else await super().read()
            if not (data or self._incoming.pending):
                self._input_ended = True
                break
            plain = self._decrypt(data)
            if self._outgoing.pending:
                self._answer()
            if plain:
                return plain
        return b""

    def is_readable(self) -> bool:
        return self._input_ended or self._failure is not None or super().is_readable()

    def _decrypt(self, data: bytes) -> bytes:
        """All that can be decrypted with these bytes; empty if no record with data is complete. Raises
        ssl.SSLError."""
        parts: list[bytes] = []
        # At least once, also without new data: records may have been received with the handshake.
        for start in range(0, len(data) or 1, FED_AT_ONCE):
            self._incoming.write(data[start : start + FED_AT_ONCE])
            self._read_records(parts)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_records(self, parts: list[bytes]) -> None:
        read, incoming = self._session.read, self._incoming
        try:
            while part := read(RECORD_BYTES):
                parts.append(part)
                # Without it each read ends with an exception, which costs as much as the decryption.
                if not incoming.pending:
                    return
            self._input_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if not parts:
                raise
            self._failure = self._failure or error

    def _answer(self) -> None:
        """Sends TLS' own messages without waiting, unless a write is waiting, which then sends them."""
        if not self._writing:
            self._unsent += self._outgoing.read()
            self._unsent = self._unsent[self.write_nowait(self._unsent) :]
        if len(self._unsent) + self._outgoing.pending > MAX_PENDING:
            raise trio.BrokenResourceError("it has the keys changed again and again, and reads nothing")

    async def write(self, data: bytes) -> None:
        # All of it at once: a memory BIO is unbounded.
        self._session.write(data)
        await self._flush()

    async def _flush(self) -> None:
        self._writing = True
        # While a write waits the reading task may add messages of TLS.
        while encrypted := self._unsent + self._outgoing.read():
            self._unsent = b""
            await super().write(encrypted)
        self._writing = False
