"""TLS of connections to the API, with the module `ssl` between two memory buffers.

Why not `trio.SSLStream`: its locks, checkpoints and reads that are tried in vain cost more than encryption.
"""

from __future__ import annotations

import ssl

import trio

from gatekeeper.upstream.stream import SocketStream

RECORD_BYTES = 16384  # of plaintext in one TLS record, at most
FED_AT_ONCE = 32 * 1024  # bytes; the buffer that takes them keeps the size of the most that it ever held
MAX_PENDING = 16384  # bytes of TLS' own messages (key updates) that the upstream does not take


class TlsStream(SocketStream):
    """A connection with TLS. As in HTTP, whose messages have their own ends, whether the upstream ends TLS
    properly (close_notify) or only its connection makes no difference."""

    def __init__(self, connected: trio.SocketStream, context: ssl.SSLContext, host: str) -> None:
        super().__init__(connected)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""  # of TLS' own messages, encrypted
        self._writing = False  # stays True once a write was cancelled half-way
        self._input_ended = False
        self._failure: ssl.SSLError | None = None  # found behind what could be decrypted

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
            # What came with the end of the handshake is there already.
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
        # Once also without new data: records may have come with the end of the handshake.
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
        """Sends TLS' own messages without waiting, unless a write does: that takes them along."""
        if not self._writing:
            self._unsent += self._outgoing.read()
            self._unsent = self._unsent[self.write_nowait(self._unsent) :]
        if len(self._unsent) + self._outgoing.pending > MAX_PENDING:
            raise trio.BrokenResourceError("it has the keys changed again and again, and reads nothing")

    async def write(self, data: bytes) -> None:
        # All of it at once: a memory buffer has no end.
        self._session.write(data)
        await self._flush()

    async def _flush(self) -> None:
        self._writing = True
        # While one write waits the reading task may have left an answer of TLS.
        while encrypted := self._unsent + self._outgoing.read():
            self._unsent = b""
            await super().write(encrypted)
        self._writing = False
