"""Checks of a request (RFC 9112) in addition to the parser's, which is more tolerant than a gateway may be: a
request that two servers parse differently can be smuggled past the first one.

No I/O. An error is a phrase that follows "The request is not valid HTTP/1.1: "; it never quotes the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import h11
from h11._receivebuffer import ReceiveBuffer

VERSIONS = (b"1.0", b"1.1")
HTTP2_PREFACE = (b"PRI", b"2.0")  # method and version of the HTTP/2 connection preface
# A server in C may read a larger one as negative, or truncate it.
MAX_CONTENT_LENGTH = 2**63 - 1  # bytes of a body or a chunk: the largest signed integer of 64 bits
MAX_CHUNK_LINE = 4096  # bytes of a chunk's size line
WRONG_WEBSOCKET_VERSION = "Sec-WebSocket-Version is not 13"
WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
# All but controls and DEL; obs-text (0x80 and above) is allowed in values (RFC 9110 §5.5).
ALLOWED_BYTES = bytes([*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)])
# Most heads have none of these: their fields need not be looked at one by one (`framing_error`).
NEEDS_FIELD_CHECK = re.compile(rb"[0-9]{19}|\n(?:transfer-encoding|upgrade)", re.IGNORECASE)  # in a head
# Blanks before an extension are tolerated (RFC 9112 §7.1.1), 16 digits are 64 bits.
CHUNK_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t -~]*)?\r\n")
# `websocket` decodes them as ASCII.
HANDSHAKE_HEADER_PREFIXES = (b"connection", b"sec-websocket-")
ONCE_IN_HANDSHAKE = (b"sec-websocket-key", b"sec-websocket-version")  # RFC 6455 §11.3.1 and §11.3.5
LAST_CHUNK = re.compile(rb"(?:\A|\r\n)0")
REQUEST_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32})[ \t]+(?:https?://[^/?#\s]*)?([^\s?#]*)", re.IGNORECASE
)
# RFC 3986 §3.2.2: an address in brackets (with its zone: RFC 6874) or a name, which may be empty; then a
# port.
HOST = re.compile(
    rb"(?:\[[0-9A-Za-z:.%_~!$&'()*+,;=-]+\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
ORIGIN_LINE = re.compile(rb"\norigin:[ \t]*([!-~]{1,255})[ \t]*\r?\n", re.IGNORECASE)
TARGET = re.compile(rb"/|https?://", re.IGNORECASE)
MAX_LOGGED_PATH = 2048  # bytes of a malformed request's path that are recorded


GOAWAY_DEBUG_DATA = (
    b"This port speaks HTTP/1.1. For HTTP/2 put a proxy in front of it that ends TLS and HTTP/2."
)


def _frame(kind: int, payload: bytes) -> bytes:
    """A frame of stream 0 without flags (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3) + bytes([kind]) + bytes(5) + payload


SETTINGS, GOAWAY, HTTP_1_1_REQUIRED = 4, 7, 13
HTTP2_GOAWAY = _frame(SETTINGS, b"") + _frame(
    GOAWAY, bytes(4) + HTTP_1_1_REQUIRED.to_bytes(4) + GOAWAY_DEBUG_DATA
)
HEAD_TOO_LARGE = 431  # h11's status for a head over its limit


class MalformedRequest(NamedTuple):
    """Why a request is refused. The application receives it in `scope["state"]["malformed"]` or, in the
    middle of a body, as `malformed` of `http.disconnect`."""

    reason: str
    too_large: bool = False

    @classmethod
    def from_h11(cls, error: h11.RemoteProtocolError, section: str, limit: int) -> MalformedRequest:
        """From an error of h11. The text after ":" may quote the request, and is dropped. `section` is the
        part of the request that may have at most `limit` bytes."""
        if error.error_status_hint == HEAD_TOO_LARGE:
            return cls(f"its {section} is over {limit:,} bytes", too_large=True)
        return cls(str(error).partition(":")[0])

    @property
    def message(self) -> str:
        return f"The request is {'too large' if self.too_large else 'not valid HTTP/1.1'}: {self.reason}."


def line_error(lines: bytes) -> str | None:
    """Checks the raw lines of a head or a trailer section; returns the error, if any."""
    ends = lines.count(b"\r\n")
    if lines.count(b"\n") != ends:
        return "a line ends in LF without CR"
    if lines.count(b"\r") != ends:
        return "a line has a CR without LF"
    if lines.translate(None, ALLOWED_BYTES):
        return "it has a control character"
    if b"\n " in lines or b"\n\t" in lines:
        return "a header is folded over several lines"
    return None


def request_error(
    method: bytes, target: bytes, version: bytes, headers: Sequence[tuple[bytes, bytes]], head: bytes
) -> str | None:
    """Checks a head that h11 has accepted; `head` is its raw bytes, header names are in lower case."""
    if version not in VERSIONS and (method, version) != HTTP2_PREFACE:
        return "the version is neither HTTP/1.1 nor HTTP/1.0"
    # RFC 9110 §9.1: methods are case-sensitive. An upstream that normalizes case would read another method
    # (request smuggling).
    if not method.isupper():
        return "the method is not in upper case"
    # RFC 9110 §9.3.6. Its target is an authority, which no route has.
    if method == b"CONNECT":
        return "CONNECT asks for a tunnel, and this is no forward proxy"
    if target != b"*" and not TARGET.match(target):
        return "the target is neither a path nor a URL"
    # RFC 9112 §3.2. h11 has checked that an HTTP/1.1 request has exactly one.
    if not all(HOST.fullmatch(value) for name, value in headers if name == b"host"):
        return "Host is no name or address with or without a port"
    return framing_error(method, version, headers) if NEEDS_FIELD_CHECK.search(head) else None


def framing_error(method: bytes, version: bytes, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Checks the framing fields (Content-Length, Transfer-Encoding) and a WebSocket's Upgrade."""
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        if b"content-length" in fields:
            return "it has both Content-Length and Transfer-Encoding"
        if version == b"1.0":
            return "HTTP/1.0 has no Transfer-Encoding"
    if int(fields.get(b"content-length", b"0")) > MAX_CONTENT_LENGTH:
        return "Content-Length is past 64 bits"
    if is_websocket_upgrade(method, headers):
        if not all(value.isascii() for name, value in headers if name.startswith(HANDSHAKE_HEADER_PREFIXES)):
            return "a header of the WebSocket handshake is not ASCII"
        names = [name for name, _ in headers]
        if any(names.count(name) > 1 for name in ONCE_IN_HANDSHAKE):
            return "a header of the WebSocket handshake comes twice"
        return handshake_error(fields, version)
    return None


def handshake_error(fields: dict[bytes, bytes], version: bytes) -> str | None:
    """Checks a WebSocket handshake (RFC 6455 §4.2.1)."""
    has_body = int(fields.get(b"content-length", b"0")) > 0 or b"transfer-encoding" in fields
    if version != b"1.1" or has_body:
        return "a WebSocket handshake is an HTTP/1.1 request without a body"
    if not WEBSOCKET_KEY.fullmatch(fields.get(b"sec-websocket-key", b"")):
        return "Sec-WebSocket-Key is not sixteen bytes in base64"
    if fields.get(b"sec-websocket-version") != b"13":
        return WRONG_WEBSOCKET_VERSION
    return None


def chunk_line_error(line: bytes) -> str | None:
    """Checks the size line of a chunk, with its CRLF."""
    found = CHUNK_SIZE_LINE.fullmatch(line)
    if found is None:
        return "a chunk's first line is malformed"
    if int(found[1], 16) > MAX_CONTENT_LENGTH:
        return "a chunk's size is past 64 bits"
    return None


def is_websocket_upgrade(method: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is the handshake of a WebSocket; any other upgrade is ignored (RFC 9110 §7.8)."""
    if method != b"GET" or all(name != b"upgrade" for name, _ in headers):
        return False
    connection = _list_items(headers, b"connection")
    return b"upgrade" in connection and b"websocket" in _list_items(headers, b"upgrade")


def _list_items(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    """The items of all fields of a name, in lower case."""
    return {item.strip().lower() for field, value in headers if field == name for item in value.split(b",")}


def partial_request(received: bytes) -> tuple[str, bytes, list[tuple[bytes, bytes]]]:
    """The readable parts of a request that could not be parsed: method and path (`?` and empty if its request
    line is not readable), and its `Origin`, without which a page could not read the response. The path has
    visible ASCII characters only."""
    origin = ORIGIN_LINE.search(received)
    headers = [(b"origin", origin[1])] if origin else []
    found = REQUEST_LINE.match(received)
    if found is None:
        return "?", b"", headers
    path = re.sub(rb"[^!-~]", lambda each: b"%%%02X" % each[0][0], found[2][:MAX_LOGGED_PATH])
    return found[1].decode("ascii").upper(), path, headers


class StrictBuffer(ReceiveBuffer):
    """h11's buffer of received bytes, which checks the lines that h11 takes from it. `raw_head` is the last
    head that was taken."""

    raw_head = b""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        # h11 removes the lines from its buffer, so their bytes have to be kept before it reads them.
        before = bytes(self._data)
        lines = super().maybe_extract_lines()
        if lines is not None:
            self.raw_head = before[: len(before) - len(self._data)]
            raise_if_invalid(line_error(self.raw_head))
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        end = self._data.find(b"\n", 0, MAX_CHUNK_LINE)
        # An incomplete line is checked once it is complete or too long; until then h11 waits for more.
        if end < 0 and len(self._data) < MAX_CHUNK_LINE:
            return None
        raise_if_invalid(chunk_line_error(bytes(self._data[: end + 1])))
        return super().maybe_extract_next_line()


def raise_if_invalid(error: str | None) -> None:
    if error is not None:
        raise h11.RemoteProtocolError(error)
