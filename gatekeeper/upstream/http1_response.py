"""Parses HTTP/1.1 responses (RFC 9112) by llhttp. No I/O.

llhttp refuses lines that do not end in CRLF, folded headers, control characters in headers, blanks around
names, and two Content-Lengths. Other things that it tolerates are checked here. Bodies with a Content-Length,
and those delimited by the end of the connection, are returned as received.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gatekeeper.http_fields import Headers

MAX_HEAD = (
    256 * 1024
)  # bytes of an incomplete head; of trailers or chunk extensions between two pieces of a body
HEAD_END, LAST_BYTES = b"\r\n\r\n", 5
VERSION_1_1, VERSION_1_0 = b"HTTP/1.1 ", b"HTTP/1.0 "
ANY_VERSION = b"HTTP/1."
BARE_LF = re.compile(rb"(?<!\r)\n")
REASON = re.compile(rb"[\t -~\x80-\xff]*")
MAX_LENGTH_DIGITS = 20  # of a Content-Length
NO_CONTENT = 204
BODYLESS = (NO_CONTENT, 304)
SWITCHING_PROTOCOLS = 101
BLANKS = b" \t"
TOO_LONG = "it sent more than its Content-Length"
INTERRUPTED = "the response was interrupted"


class MalformedResponse(Exception):
    """A response is not valid HTTP/1.1; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"its response is not valid HTTP/1.1: {why}")


class ResponseHead(NamedTuple):
    """The head of a response. Its headers have no `content-length` if the body is chunked; `fields` are the
    first values by name; `reason` is the phrase after the status code, which may be empty."""

    status: int
    headers: Headers
    reason: bytes
    fields: dict[bytes, bytes]

    @classmethod
    def of(cls, status: int, headers: Headers, reason: bytes) -> ResponseHead:
        return cls(status, headers, reason, dict(reversed(headers)))


class HeadBuffer:
    """Collects the bytes of a head."""

    def __init__(self) -> None:
        self._received = bytearray()

    def __bool__(self) -> bool:
        return bool(self._received)

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The head, and the bytes received after it; None while it is incomplete. Raises MalformedResponse as
        soon as it cannot become a valid head."""
        if not self._received and (end := data.find(HEAD_END)) >= 0:
            return data[: end + len(HEAD_END)], data[end + len(HEAD_END) :]
        received, start = self._received, max(0, len(self._received) - len(HEAD_END))
        received += data
        if (end := received.find(HEAD_END, start)) >= 0:
            head, rest = received[: end + len(HEAD_END)], received[end + len(HEAD_END) :]
            self._received = bytearray()
            return bytes(head), bytes(rest)
        # At once: another protocol (TLS, SMTP) may never send an empty line.
        if not ANY_VERSION.startswith(received[: len(ANY_VERSION)]):
            raise MalformedResponse("it does not begin with HTTP/1")
        if BARE_LF.search(received, start):
            raise MalformedResponse("a line ends in LF without CR")
        if len(received) > MAX_HEAD:
            raise MalformedResponse(f"its head is over {MAX_HEAD:,} bytes")
        return None


class _ParsedMessage:
    """The parts of one response, collected by llhttp's callbacks `on_…`."""

    __slots__ = ("ended", "excess", "headers", "last_pieces", "on_body", "pieces", "reason")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.reason = b""
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.ended = False
        self.last_pieces = 0  # how many of the pieces belong to this response, once it has ended
        self.excess = False  # another response follows it

    def on_status(self, reason: bytes) -> None:
        self.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_begin(self) -> None:
        # llhttp continues after a complete response, and takes the bytes that follow for another one.
        self.excess = self.ended

    def on_message_complete(self) -> None:
        if not self.ended:
            self.ended, self.last_pieces = True, len(self.pieces)


class SizedBody:
    """A body of a known number of bytes.

    As for the other bodies, `feed` takes the received bytes (empty: the end of the connection) and returns
    those of the body. Once it `has_ended`, nothing more is to be received, and `failure` is the error, if
    there was one.
    """

    failure: str | None = None

    def __init__(self, length: int) -> None:
        self._missing = length
        self.has_ended = not length
        self.trailers: Headers = []

    def feed(self, data: bytes) -> bytes:
        missing = self._missing - len(data)
        # Without data the connection has ended.
        if missing > 0 and data:
            self._missing = missing
            return data
        self.has_ended = True
        if missing:
            self.failure = INTERRUPTED if missing > 0 else TOO_LONG
            return data[: self._missing]
        return data


class CloseDelimitedBody:
    """A body that ends with the connection (RFC 9112 §6.3)."""

    failure: str | None = None
    has_ended = False

    def __init__(self) -> None:
        self.trailers: Headers = []

    def feed(self, data: bytes) -> bytes:
        self.has_ended = not data
        return data


class ChunkedBody:
    """A body in chunks; chunks received together become one piece. `declared`: a Content-Length beside the
    Transfer-Encoding, which must match."""

    failure: str | None = None
    has_ended = False

    def __init__(self, parser: HttpResponseParser, found: _ParsedMessage, declared: int | None) -> None:
        self._parser = parser
        self._found = found
        self._declared = declared
        self._body_bytes = 0
        self._other_bytes = 0  # since the last piece of the body
        self._tail = b""  # the last bytes that were received
        self.trailers: Headers = []

    def feed(self, data: bytes) -> bytes:
        found = self._found
        if not data:
            self._fail(INTERRUPTED)
            return data
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(TOO_LONG if found.ended else str(MalformedResponse(str(error))))
        piece = self._next_piece(len(data))
        self._tail = data[-LAST_BYTES:] if len(data) >= LAST_BYTES else (self._tail + data)[-LAST_BYTES:]
        if found.ended:
            self._end()
        return piece

    def _next_piece(self, received: int) -> bytes:
        pieces = self._found.pieces
        if self._found.excess:
            del pieces[self._found.last_pieces :]
        if not pieces:
            self._other_bytes += received
            if self._other_bytes > MAX_HEAD:
                self._fail(str(MalformedResponse(f"over {MAX_HEAD:,} bytes are not of its body")))
            return b""
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._body_bytes += len(piece)
        self._other_bytes = 0
        return piece

    def _end(self) -> None:
        self.has_ended = True
        self.trailers = [(name, value.rstrip(BLANKS)) for name, value in self._found.headers]
        # llhttp skips empty lines before the next response, so the last bytes must have exactly one: the end
        # of the body.
        is_exact = self._tail.endswith(HEAD_END) and self._tail[:1] not in b"\r\n"
        if self._found.excess or not is_exact:
            self._fail(TOO_LONG)
        elif self._declared not in (None, self._body_bytes):
            self._fail(f"Content-Length was {self._declared}, received {self._body_bytes} bytes")

    def _fail(self, why: str) -> None:
        self.has_ended, self.failure = True, self.failure or why


Body = SizedBody | CloseDelimitedBody | ChunkedBody


class Response(NamedTuple):
    """A response whose body has not been fed yet. `keep_alive`: the connection may be used again."""

    head: ResponseHead
    body: Body
    keep_alive: bool


def parse_response(raw_head: bytes, *, to_head_request: bool) -> Response:
    """The response that begins with a complete head. Raises MalformedResponse."""
    if not raw_head.startswith((VERSION_1_1, VERSION_1_0)):
        raise MalformedResponse("its version is neither HTTP/1.1 nor HTTP/1.0")
    found = _ParsedMessage()
    parser = HttpResponseParser(found)
    # A Content-Length beside Transfer-Encoding is compared with what was received.
    parser.set_dangerous_leniencies(lenient_chunked_length=True)
    try:
        parser.feed_data(raw_head)
    except (HttpParserError, HttpParserUpgrade) as error:
        if not found.ended:  # otherwise it has only stopped at an upgrade
            raise MalformedResponse(str(error)) from None
    # llhttp reports trailers as further headers: they are kept apart.
    headers, found.headers = found.headers, []
    if b" \r\n" in raw_head or b"\t\r\n" in raw_head:
        headers = [(name, value.rstrip(BLANKS)) for name, value in headers]
    head = ResponseHead.of(parser.get_status_code(), headers, found.reason)
    _check(head)
    # An upstream of HTTP/1.0 closes unless it says otherwise (RFC 9112 §9.3): its connections are not kept.
    keep_alive = raw_head.startswith(VERSION_1_1) and not (b"connection" in head.fields and _closes(headers))
    # RFC 9112 §6.3: these have no body, whatever their fields announce.
    if to_head_request or head.status < 200 or head.status in BODYLESS:
        return Response(_without_wrong_length(head), SizedBody(0), keep_alive)
    length = head.fields.get(b"content-length")
    if b"transfer-encoding" in head.fields:
        body = ChunkedBody(parser, found, None if length is None else int(length))
        return Response(_without_wrong_length(head), body, keep_alive)
    return Response(head, CloseDelimitedBody() if length is None else SizedBody(int(length)), keep_alive)


def _check(head: ResponseHead) -> None:
    """Checks what llhttp tolerates, and that the framing is one that is supported here. Raises
    MalformedResponse."""
    if head.status < 100:
        raise MalformedResponse("its status is below 100")
    if not REASON.fullmatch(head.reason):
        raise MalformedResponse("a control character in its reason phrase")
    if b"transfer-encoding" in head.fields:
        codings = [value.lower() for name, value in head.headers if name == b"transfer-encoding"]
        if codings != [b"chunked"]:
            raise MalformedResponse("its Transfer-Encoding is not chunked")
    if len(head.fields.get(b"content-length", b"")) > MAX_LENGTH_DIGITS:
        raise MalformedResponse("its Content-Length is past 64 bits")


def _closes(headers: Headers) -> bool:
    options = b",".join(value for name, value in headers if name == b"connection").lower().split(b",")
    return any(option.strip(BLANKS) == b"close" for option in options)


def _without_wrong_length(head: ResponseHead) -> ResponseHead:
    """Drops `content-length` if there is a `transfer-encoding`, which takes precedence (RFC 9112 §6.3), and
    from a 204 and 1xx, which must not have one (RFC 9110 §8.6)."""
    is_wrong = b"transfer-encoding" in head.fields or head.status < 200 or head.status == NO_CONTENT
    if not (is_wrong and b"content-length" in head.fields):
        return head
    kept = [field for field in head.headers if field[0] != b"content-length"]
    return ResponseHead.of(head.status, kept, head.reason)
