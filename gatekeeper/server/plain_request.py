"""Plain requests, parsed by llhttp: those whose head is one that every server reads alike.

No I/O. Only what is common is plain: HTTP/1.1, a whole head in one read, at most a `Content-Length`, no
upgrade, no expectation. h11 with this package's own checks decides about everything else, so that no request
is accepted here that would be refused there; for a plain one llhttp takes an eighth of its time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from gatekeeper.server.request_validation import line_error, request_error

HEAD_END = b"\r\n\r\n"
# HEAD has a response without a body, and CONNECT and TRACE are refused.
METHODS = rb"(?:GET|POST|PUT|PATCH|DELETE|OPTIONS)"
NOT_PLAIN = (b"transfer-encoding", b"expect", b"upgrade")
LENGTH = re.compile(rb"[0-9]{1,18}")

Headers = list[tuple[bytes, bytes]]


class PlainRequest(NamedTuple):
    """Header names are in lower case, in the order received. `body_length` is in bytes; `received` is what
    came behind the head: of the body, and of the next request."""

    method: bytes
    target: bytes
    headers: Headers
    body_length: int
    received: bytes


class _Head:
    """What llhttp calls while it reads a head."""

    __slots__ = ("headers", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: Headers = []

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves the white space behind a value in it (RFC 9112 §5: it is none of it).
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def request_line(prefix: bytes | tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Matches the beginning of a plain request's line, whose target begins with a prefix."""
    prefixes = (prefix,) if isinstance(prefix, bytes) else prefix
    return re.compile(METHODS + b" (?:" + b"|".join(map(re.escape, prefixes)) + b")")


def parse_plain_request(received: bytes, max_head: int) -> PlainRequest | None:
    """The request with which `received` begins; None if it is not a plain one, or is malformed. `max_head` is
    in bytes."""
    end = received.find(HEAD_END) + len(HEAD_END)
    if end < len(HEAD_END) or end > max_head:
        return None
    raw, parsed = received[:end], _Head()
    parser = httptools.HttpRequestParser(parsed)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    method, headers = parser.get_method(), parsed.headers
    length = _body_length(headers)
    # The version, and white space where llhttp takes more than one space.
    if length is None or not raw.startswith(b"%b %b HTTP/1.1\r\n" % (method, parsed.target)):
        return None
    if not parsed.target.isascii():
        return None
    if line_error(raw) or request_error(method, parsed.target, b"1.1", headers, raw):
        return None
    return PlainRequest(method, parsed.target, headers, length, received[end:])


def _body_length(headers: Headers) -> int | None:
    """Bytes of the body; None where the headers are not those of a plain request."""
    names = [name for name, _ in headers]
    if names.count(b"host") != 1 or any(name in names for name in NOT_PLAIN):
        return None
    if b"connection" in names and not all(
        value.lower() == b"keep-alive" for name, value in headers if name == b"connection"
    ):
        return None
    if b"content-length" not in names:
        return 0
    if names.count(b"content-length") > 1:
        return None
    value = headers[names.index(b"content-length")][1]
    return int(value) if LENGTH.fullmatch(value) else None
