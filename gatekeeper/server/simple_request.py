"""Plain requests, parsed by llhttp: those whose head is one that every server reads alike.

No I/O. Only what is common is plain: HTTP/1.1, a whole head in one read, at most a `Content-Length`, no
upgrade, no expectation. h11 with this package's own checks decides about everything else, so that no request
is accepted here that would be refused there; for a plain one llhttp takes an eighth of its time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from gatekeeper.server.request_validation import HOST, line_error

HEAD_END = b"\r\n\r\n"
# HEAD has a response without a body, and CONNECT and TRACE are refused.
METHODS = rb"(?:GET|POST|PUT|PATCH|DELETE|OPTIONS)"
# A chunked body (RFC 9112 §7.1), a client that waits for 100 (RFC 9110 §10.1.1), another protocol.
NOT_PLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
# Of two, one server may take the first and the next one the last: request smuggling (RFC 9112 §3.2, §6.3,
# §11.2).
ONCE = (b"host", b"content-length", b"connection")
KEEP_ALIVE = b"keep-alive"
# 18 digits are below 2^63: nothing has to be compared with MAX_CONTENT_LENGTH.
LENGTH = re.compile(rb"[0-9]{1,18}")


class SimpleRequest(NamedTuple):
    """Header names are in lower case, in the order received. `body_length` is in bytes; `received` is what
    came behind the head: of the body, and of the next request."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body_length: int
    received: bytes


class Headers:
    """What llhttp calls while it reads a head."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves the white space behind a value in it (RFC 9112 §5: it is none of it).
        self.fields.append((name.lower(), value.rstrip(b" \t")))

    def body_length(self) -> int | None:
        """Bytes of the body; None where the fields are not those of a plain request."""
        first = dict(self.fields)
        host = first.get(b"host")
        if host is None or not HOST.fullmatch(host) or not NOT_PLAIN.isdisjoint(first):
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
    """Parses plain requests whose target begins with one of `prefixes`, and whose head has at most `max_head`
    bytes."""

    def __init__(self, prefixes: tuple[bytes, ...], max_head: int) -> None:
        starts = b"|".join(map(re.escape, prefixes))
        # In a path as in a query: visible ASCII.
        self._line = re.compile(b"(" + METHODS + b") ((?:" + starts + rb")[!-~]*) HTTP/1\.1\r\n")
        self._max_head = max_head

    def parse(self, received: bytes) -> SimpleRequest | None:
        """The request with which `received` begins; None if it is not a plain one, or is malformed."""
        if (line := self._line.match(received)) is None:
            return None
        end = received.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END) or end > self._max_head:
            return None
        raw, headers = received[:end], Headers()
        try:
            # One for each request: it calls one object, and an error leaves llhttp's parser unusable.
            httptools.HttpRequestParser(headers).feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        length = headers.body_length()
        if length is None or line_error(raw):
            return None
        return SimpleRequest(line[1], line[2], headers.fields, length, received[end:])
