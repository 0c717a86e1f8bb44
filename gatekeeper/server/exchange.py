"""One plain request and the response to it, without h11: its body is counted, its response framed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gatekeeper.server.asgi_types import Message
from gatekeeper.server.response_head import REASON_PHRASES, date_field
from gatekeeper.server.simple_request import SimpleRequest
from gatekeeper.server.websocket_stream import Read, Write

Headers = list[tuple[bytes, bytes]]
BODYLESS_STATUSES = (204, 304)  # RFC 9110 §15.3.5 and §15.4.5
CONNECTION_CLOSE = ((b"connection", b"close"),)
LAST_CHUNK = b"0\r\n\r\n"


class ClientDisconnected(Exception):
    """The client has disconnected, or its connection is broken."""


class FramingError(ClientDisconnected):
    """What is to be sent does not belong here: a second head, more than the announced length, anything after
    the end. The client cannot be sent anything more."""


class ResponseFraming(Protocol):
    """Frames one response, from its head to its end. Each method returns the bytes to write, and raises
    FramingError."""

    def encode_response_head(self, status: int, headers: Headers, reason: bytes | None = None) -> bytes:
        """With the standard reason phrase if none is given."""
        ...

    def encode_informational(self, status: int, headers: Headers, reason: bytes) -> bytes:
        """The head of a 1xx response."""
        ...

    def encode_data(self, data: bytes) -> bytes:
        """A piece of the body."""
        ...

    def encode_end(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
        """The end of the body. Only one of unknown length can have trailers."""
        ...


def encode_head(status: int, headers: Iterable[tuple[bytes, bytes]], reason: bytes) -> bytes:
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, fields)


class SimpleExchange:
    """`unread`: bytes of the request's body that were not received yet; `surplus`: what came behind it, of
    the next request; `closing_headers`: of a response after which the connection is closed."""

    def __init__(self, request: SimpleRequest, read: Read, write: Write) -> None:
        self._received, self.surplus = b"", b""
        self._read, self._write = read, write
        self.unread = request.body_length
        self.closing_headers: Sequence[tuple[bytes, bytes]] = ()
        self.response_started = self.response_complete = False
        self._has_body = True
        self._remaining: int | None = None  # bytes of the response's body; None: it is sent in chunks
        self._take(request.received)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow on the same connection."""
        return self.response_complete and not self.unread and not self.closing_headers

    def internal_error(self) -> bytes:
        """The response for an application that has failed before its own."""
        self.closing_headers = CONNECTION_CLOSE
        head = self.encode_response_head(500, [(b"content-length", b"0")])
        return head + self.encode_end()

    # The request

    def _take(self, received: bytes) -> None:
        # A client may send its next request before it has the response (pipelining, RFC 9112 §9.3.2).
        if len(received) > self.unread:
            received, self.surplus = received[: self.unread], received[self.unread :]
        self._received = received
        self.unread -= len(received)

    async def receive(self) -> Message:
        """ASGI's: the next piece of the request's body. Not to be called after it."""
        if self.unread and not self._received:
            if data := await self._read():
                self._take(data)
            else:
                self.closing_headers = CONNECTION_CLOSE
                return {"type": "http.disconnect"}
        body, self._received = self._received, b""
        return {"type": "http.request", "body": body, "more_body": self.unread > 0}

    # The response

    async def send(self, message: Message) -> None:
        """ASGI's."""
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            await self._write(self.encode_response_head(message["status"], headers, message.get("reason")))
            return
        framed = self.encode_data(message["body"])
        await self._write(framed if message["more_body"] else framed + self.encode_end())

    def encode_response_head(self, status: int, headers: Headers, reason: bytes | None = None) -> bytes:
        if self.response_started:
            raise FramingError
        self.response_started = True
        if reason is None:
            reason = REASON_PHRASES.get(status, b"")
        fields = dict(headers)
        if b"date" not in fields:
            headers = [*headers, date_field()]
        if status in BODYLESS_STATUSES:
            self._has_body = False
        else:
            length = fields.get(b"content-length")
            if length is None:
                headers = [*headers, (b"transfer-encoding", b"chunked")]
            else:
                # Digits only: it was parsed by llhttp, or made by the gateway.
                self._remaining = int(length)
        # RFC 9112 §9.6: `Connection: close` goes only into the last response of a connection.
        return encode_head(status, (*headers, *self.closing_headers), reason)

    def encode_informational(self, status: int, headers: Headers, reason: bytes) -> bytes:
        return encode_head(status, headers, reason)

    def encode_data(self, data: bytes) -> bytes:
        if not self.response_started or self.response_complete:
            raise FramingError
        # An empty chunk would be the last one.
        if not (self._has_body and data):
            return b""
        if self._remaining is None:
            return b"%x\r\n%b\r\n" % (len(data), data)
        self._remaining -= len(data)
        if self._remaining < 0:
            raise FramingError
        return data

    def encode_end(self, trailers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
        if not self.response_started or self.response_complete or self._remaining:
            raise FramingError
        self.response_complete = True
        if self._remaining == 0 or not self._has_body:
            return b""
        if not trailers:
            return LAST_CHUNK
        return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % field for field in trailers])
