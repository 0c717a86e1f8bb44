"""TLS of client connections, by the module `ssl` with memory BIOs.

Why not `trio.SSLStream`: here a piece of a response is encrypted and written at once, as on a cleartext
connection, without that class's lock and checkpoints, and the socket itself can be polled, half-closed and
reset. Ciphertext that does not fit into the socket waits: `encrypt` must be called in the order in which its
results are sent.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl

import trio

from gatekeeper.logs import RateLimitedLog
from gatekeeper.server.certificate import ServerCertificate

HANDSHAKE_TIMEOUT = 10.0  # seconds
REFUSAL_TIMEOUT = 2.0  # seconds for a client without TLS to read why it is refused
RECEIVE_BYTES = 65536
RECORD_BYTES = 16384  # of plaintext in one TLS record, at most
MAX_PENDING = 16384  # bytes of TLS' own messages (session tickets, key updates) that wait for the next write

# In Google's format, and in that of the admin API.
PLAIN_HTTP_BODY = (
    b'{"error": {"code": 400, "message": "This port speaks TLS: use https:// in the URL.", '
    b'"status": "INVALID_ARGUMENT"}, "detail": "This port speaks TLS: use https:// in the URL."}\n'
)
PLAIN_HTTP_RESPONSE = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(PLAIN_HTTP_BODY), PLAIN_HTTP_BODY)
)
# OpenSSL recognizes plain HTTP by four methods only.
HTTP_REQUEST, PLAIN_HTTP, MAX_METHOD = "HTTP_REQUEST", re.compile(rb"[A-Z]+ "), 20
# By OpenSSL's reason for a handshake that failed.
REMEDIES = {
    HTTP_REQUEST: "this port speaks TLS: the client must use https://",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust the issuer of the certificate in tls_cert",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not accept the certificate in tls_cert",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not accept the certificate in tls_cert",
    "UNSUPPORTED_PROTOCOL": "the client needs TLS 1.2 or 1.3",
}


class HandshakeFailed(Exception):
    """The client and this server do not agree on TLS; `reason` is OpenSSL's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsSession:
    """The TLS of one connection, from its handshake on."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ahead = b""  # plaintext that was decrypted but not returned yet
        self._input_ended = False
        self._closing = False

    async def handshake(self, stream: trio.SocketStream) -> None:
        """Raises HandshakeFailed, and trio.BrokenResourceError where the client has disconnected."""
        opening = b""
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                await stream.send_all(self._outgoing.read())
                data = await stream.receive_some(RECEIVE_BYTES)
                if not data:
                    raise trio.BrokenResourceError from None
                opening = (opening + data)[:MAX_METHOD]
                self._incoming.write(data)
            except ssl.SSLError as error:
                if PLAIN_HTTP.match(opening):
                    raise HandshakeFailed(HTTP_REQUEST) from None
                # The alert that tells the client why.
                await stream.send_all(self._outgoing.read())
                raise HandshakeFailed(error.reason or "unknown") from None
            else:
                break
        # With TLS 1.3 these are session tickets. They are sent with the first response: a client that does
        # not read before it has sent its request would leave them in the socket's buffer.
        if self._session.version() != "TLSv1.3":
            await stream.send_all(self._outgoing.read())

    async def receive_some(self, stream: trio.SocketStream) -> bytes:
        """The next bytes that the client has sent; empty at the end. Raises trio.BrokenResourceError."""
        while not self._closing:
            if data := self._decrypt():
                return data
            if self._input_ended:
                return b""
            await self._read(stream)
        # After the last response input is only discarded.
        return bytes(await stream.receive_some(RECEIVE_BYTES))

    async def _read(self, stream: trio.SocketStream) -> None:
        # Not the stream's own method, which has a checkpoint between reading and returning: meanwhile
        # `read_ahead` in another task could read the bytes after these first.
        if stream.socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(stream.socket.fileno())
        try:
            self._feed(os.read(stream.socket.fileno(), RECEIVE_BYTES))
        except BlockingIOError:
            pass
        except OSError:
            raise trio.BrokenResourceError from None

    def read_ahead(self, descriptor: int) -> bytes:
        """The unread bytes from the client, without waiting; the next call of `receive_some` returns them,
        too."""
        try:
            while not self._input_ended:
                self._feed(os.read(descriptor, RECEIVE_BYTES))
                # `_decrypt` returns the earlier `_ahead` first.
                self._ahead = self._decrypt()
        except BlockingIOError:
            pass
        except (OSError, trio.BrokenResourceError):
            self._input_ended = True
        return self._ahead

    def _feed(self, data: bytes | bytearray) -> None:
        if data:
            self._incoming.write(data)
        else:
            # HTTP messages have their own framing, so a missing close_notify does not matter.
            self._input_ended = True

    def _decrypt(self) -> bytes:
        """All that can be decrypted; empty if no record is complete."""
        parts, self._ahead = [self._ahead], b""
        try:
            while part := self._session.read(RECORD_BYTES):
                parts.append(part)
            # An empty read is the client's close_notify.
            self._input_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._input_ended = True
            raise trio.BrokenResourceError from None
        # A client that requests key updates again and again, while nothing is sent to it.
        if self._outgoing.pending > MAX_PENDING:
            raise trio.BrokenResourceError
        return b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """The records for `data`, which is not empty. Raises ssl.SSLError (an OSError) if the session is
        broken."""
        self._session.write(data)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The close_notify alert, which tells the client that the data is complete; empty if it was sent
        before. Nothing can be encrypted afterwards."""
        if not self._closing:
            self._closing = True
            with contextlib.suppress(ssl.SSLError):
                self._session.unwrap()
        return self._outgoing.read()


class TlsAcceptor:
    """Does the TLS handshake of accepted connections, with the current certificate."""

    def __init__(self, certificate: ServerCertificate) -> None:
        self._certificate = certificate
        self._failures = RateLimitedLog("tls_handshake_failed")
        self._running: set[trio.CancelScope] = set()

    async def accept(self, stream: trio.SocketStream) -> TlsSession | None:
        """The session after its handshake; None if that failed, which is logged."""
        session = TlsSession(self._certificate.current.context)
        scope = trio.move_on_after(HANDSHAKE_TIMEOUT)
        self._running.add(scope)
        try:
            with scope:
                await session.handshake(stream)
                return session
            # Cancelled by `cancel_handshakes`, not by its timeout.
            if scope.deadline > trio.current_time():
                return None
            self._failures.record("timeout", seconds=HANDSHAKE_TIMEOUT)
        except HandshakeFailed as failure:
            todo = {"remedy": REMEDIES[failure.reason]} if failure.reason in REMEDIES else {}
            self._failures.record(failure.reason, **todo)
            if failure.reason == HTTP_REQUEST:
                await _refuse_plain_http(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has disconnected, as port checks do
        finally:
            self._running.discard(scope)
        return None

    def cancel_handshakes(self) -> None:
        """Ends running handshakes at a shutdown: no request can be lost."""
        for scope in self._running:
            scope.cancel()


async def _refuse_plain_http(stream: trio.SocketStream) -> None:
    """Responds to a request without TLS in cleartext, and waits until the client has read it."""
    with trio.move_on_after(REFUSAL_TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(PLAIN_HTTP_RESPONSE)
        await stream.send_eof()
        while await stream.receive_some(RECEIVE_BYTES):
            pass
