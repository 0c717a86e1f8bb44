"""The fast path: simple requests and their responses, parsed by llhttp and framed here, without h11. I/O is
by the `read` and `write` that are passed in. A request is simple if every server reads it alike: HTTP/1.1,
the whole head in one read, no framing field but `Content-Length`, no upgrade, no expectation. h11, with this
package's own checks, parses all others; no request is accepted here that would be refused there. llhttp takes
an eighth of h11's time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import NamedTuple, Protocol

import httptools

from gatekeeper.http_fields import Headers
from gatekeeper.server.asgi_types import Message
from gatekeeper.server.request_validation import HOST, line_error
from gatekeeper.server.websocket_stream import Read, Write

HEAD_END = b"\r\n\r\n"
# Not HEAD, whose response has no body, nor CONNECT and TRACE, which are refused.
METHODS = rb"(?:GET|POST|PUT|PATCH|DELETE|OPTIONS)"
# A chunked body (RFC 9112 §7.1), a client that waits for 100 (RFC 9110 §10.1.1), another protocol.
NOT_SIMPLE = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
# Fields that must not be repeated: two servers could choose different ones (request smuggling, RFC 9112 §3.2,
# §6.3, §11.2).
ONCE = (b"host", b"content-length", b"connection")
KEEP_ALIVE = b"keep-alive"
# 18 digits are below 2^63: nothing has to be compared with MAX_CONTENT_LENGTH.
LENGTH = re.compile(rb"[0-9]{1,18}")
REASON_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
BODYLESS_STATUSES = (204, 304)  # RFC 9110 §15.3.5 and §15.4.5
CONNECTION_CLOSE = ((b"connection", b"close"),)
LAST_CHUNK = b"0\r\n\r\n"


class SimpleRequest(NamedTuple):
    """Header names are in lower case, in the order received. `body_length` is in bytes; `received` are the
    bytes after the head: of the body, and of the next request."""

    method: bytes
    target: bytes
    headers: Headers
    body_length: int
    received: bytes


class HeaderReader:
    """The callbacks of llhttp's parser, which collect the header fields."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves the white space behind a value in it (RFC 9112 §5: it is none of it).
        self.fields.append((name.lower(), value.rstrip(b" \t")))

    def body_length(self) -> int | None:
        """The Content-Length, 0 without one; None if the fields are not those of a simple request."""
        first = dict(self.fields)
        host = first.get(b"host")
        if host is None or not HOST.fullmatch(host) or not NOT_SIMPLE.isdisjoint(first):
            return None
        # Counting is for the few heads in which any name comes twice.
        if len(first) < len(self.fields):
            names = [name for name, _ in self.fields]
            if any(names.count(name) > 1 for name in ONCE):
                return None
        if first.get(b"connection", KEEP_ALIVE).lower() != KEEP_ALIVE:
            return None
        value = first.get(b"content-length", b"0")
        return int(value) if LENGTH.fullmatch(value) else None


class SimpleRequests:
    """Parses simple requests whose target begins with one of `prefixes`, and whose head has at most
    `max_head` bytes."""

    def __init__(self, prefixes: tuple[bytes, ...], max_head: int) -> None:
        starts = b"|".join(map(re.escape, prefixes))
        # In a path as in a query: visible ASCII.
        self._line = re.compile(b"(" + METHODS + b") ((?:" + starts + rb")[!-~]*) HTTP/1\.1\r\n")
        self._max_head = max_head

    def parse(self, received: bytes) -> SimpleRequest | None:
        """The request at the start of `received`; None if it is not simple, or malformed."""
        if (line := self._line.match(received)) is None:
            return None
        end = received.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END) or end > self._max_head:
            return None
        raw, headers = received[:end], HeaderReader()
        try:
            # One for each request: it calls one object, and an error leaves llhttp's parser unusable.
            httptools.HttpRequestParser(headers).feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        length = headers.body_length()
        if length is None or line_error(raw):
            return None
        return SimpleRequest(line[1], line[2], headers.fields, length, received[end:])


class ClientDisconnected(Exception):
    """The client has disconnected, or its connection is broken."""


class FramingError(ClientDisconnected):
    """The response violates its framing: a second head, more bytes than its Content-Length, anything after
    the end. Nothing more can be sent to the client."""


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


def date_field() -> tuple[bytes, bytes]:
    """The `Date` of a response that has none, the gateway's own or a relayed one (RFC 9110 §6.6.1)."""
    return b"date", _http_date(int(time()))


@lru_cache(maxsize=1)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")


def encode_head(status: int, headers: Iterable[tuple[bytes, bytes]], reason: bytes) -> bytes:
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, fields)


class SimpleExchange:
    """One simple request and its response. `unread`: bytes of the request's body that were not received yet;
    `surplus`: the bytes received after it, of the next request; `closing_headers`: headers for a response
    after which the connection is closed."""

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
        """The 500 response for an application that has failed before it has sent one."""
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
