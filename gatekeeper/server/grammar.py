"""What a request must look like (RFC 9112), where the parser is more tolerant than a gateway may be: what two
servers can read in two ways is a request smuggled past the first one.

No I/O. A fault is a phrase that goes on after "The request is not valid HTTP/1.1: "; it quotes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import h11
from h11._receivebuffer import ReceiveBuffer

VERSIONS = (b"1.0", b"1.1")
HTTP2 = (b"PRI", b"2.0")  # how a client of HTTP/2 begins
# What a server in C may read as negative, or cut off to something smaller.
LONGEST = 2**63 - 1  # bytes of a body or a chunk that a reader of 64 bits can count
LONGEST_LINE = 4096  # bytes of a chunk's first line
WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
ALLOWED = bytes([*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)])
WORTH_A_LOOK = re.compile(rb"[0-9]{19}|\n(?:transfer-encoding|upgrade)", re.IGNORECASE)  # in a head
FOLD = re.compile(rb"\n[ \t]")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t -~]*)?\r\n")
OF_HANDSHAKES = (b"connection", b"sec-websocket-")
LAST_CHUNK = re.compile(rb"(?:\A|\r\n)0")
REQUEST_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32})[ \t]+(?:https?://[^/?#\s]*)?([^\s?#]*)", re.IGNORECASE
)
TARGET = re.compile(rb"/|https?://", re.IGNORECASE)
LONGEST_PATH = 2048  # bytes of a path that is shown


USE_HTTP1 = b"This port speaks HTTP/1.1. For HTTP/2 put a proxy in front of it that ends TLS and HTTP/2."


def _frame(kind: int, payload: bytes) -> bytes:
    """A frame of stream 0 without flags (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3) + bytes([kind]) + bytes(5) + payload


SETTINGS, GOAWAY, HTTP_1_1_REQUIRED = 4, 7, 13
HTTP_1_1_ONLY = _frame(SETTINGS, b"") + _frame(GOAWAY, bytes(4) + HTTP_1_1_REQUIRED.to_bytes(4) + USE_HTTP1)


class Malformed(NamedTuple):
    """Why a request is answered by a refusal; it is passed to the application in place of what it asked for,
    as `scope["state"]["malformed"]`, or, in the middle of a body, as `malformed` of `http.disconnect`."""

    fault: str
    too_large: bool = False

    @classmethod
    def found(cls, error: h11.RemoteProtocolError) -> Malformed:
        """By h11, whose words end where they begin to quote."""
        return cls(str(error).partition(":")[0])

    @property
    def message(self) -> str:
        return f"The request is {'too large' if self.too_large else 'not valid HTTP/1.1'}: {self.fault}."


def fault_of_lines(lines: bytes) -> str | None:
    """Of a head, or of a body's trailer, as they came."""
    ends = lines.count(b"\r\n")
    if lines.count(b"\n") != ends:
        return "a line ends in LF without CR"
    if lines.count(b"\r") != ends:
        return "a line has a CR without LF"
    if lines.translate(None, ALLOWED):
        return "it has a control character"
    if FOLD.search(lines):
        return "a header is folded over several lines"
    return None


def fault_of_request(
    method: bytes, target: bytes, version: bytes, headers: Iterable[tuple[bytes, bytes]], head: bytes
) -> str | None:
    """Of a head that the parser took, and how it came; header names are in lower case."""
    if version not in VERSIONS and (method, version) != HTTP2:
        return "the version is neither HTTP/1.1 nor HTTP/1.0"
    # RFC 9110 §9.1: methods are case-sensitive. Two readings of one request are one too many.
    if not method.isupper():  # the server behind this would take `get` for GET
        return "the method is not in upper case"
    if method == b"CONNECT":
        return "CONNECT asks for a tunnel, and this is no forward proxy"
    if target != b"*" and not TARGET.match(target):
        return "the target is neither a path nor a URL"
    return fault_of_fields(method, version, list(headers)) if WORTH_A_LOOK.search(head) else None


def fault_of_fields(method: bytes, version: bytes, headers: list[tuple[bytes, bytes]]) -> str | None:
    """Of what says how long the body is, and what it is to become."""
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        if b"content-length" in fields:
            return "it has both Content-Length and Transfer-Encoding"
        if version == b"1.0":
            return "HTTP/1.0 has no Transfer-Encoding"
    if int(fields.get(b"content-length", b"0")) > LONGEST:
        return "Content-Length is past 64 bits"
    upgrade = fields.get(b"upgrade", b"").lower() == b"websocket"
    if upgrade and method == b"GET" and b"upgrade" in fields.get(b"connection", b"").lower():
        if not all(value.isascii() for name, value in headers if name.startswith(OF_HANDSHAKES)):
            return "a header of the WebSocket handshake is not ASCII"
        return fault_of_handshake(fields, version)
    return None


def fault_of_handshake(fields: dict[bytes, bytes], version: bytes) -> str | None:
    """Of a WebSocket's (RFC 6455 §4.2.1)."""
    if version != b"1.1" or b"content-length" in fields or b"transfer-encoding" in fields:
        return "a WebSocket handshake is an HTTP/1.1 request without a body"
    if not WEBSOCKET_KEY.fullmatch(fields.get(b"sec-websocket-key", b"")):
        return "Sec-WebSocket-Key is not sixteen bytes in base64"
    if fields.get(b"sec-websocket-version") != b"13":
        return "Sec-WebSocket-Version is not 13"
    return None


def fault_of_chunk(line: bytes) -> str | None:
    """Of the line before a chunk, with its end."""
    found = CHUNK.fullmatch(line)
    if found is None:
        return "a chunk's first line is malformed"
    if int(found[1], 16) > LONGEST:
        return "a chunk's size is past 64 bits"
    return None


def upgrades(request: h11.Request) -> bool:
    """Whether it may be a WebSocket's handshake, which is Hypercorn's."""
    return request.method == b"GET" and any(name == b"upgrade" for name, _ in request.headers)


def opening_of(received: bytes) -> tuple[str, bytes]:
    """Method and path of a request that could not be read, as far as they can be: `?` and nothing where not.
    The path has visible ASCII characters only."""
    found = REQUEST_LINE.match(received)
    if found is None:
        return "?", b""
    path = re.sub(rb"[^!-~]", lambda each: b"%%%02X" % each[0][0], found[2][:LONGEST_PATH])
    return found[1].decode("ascii").upper(), path


class StrictBuffer(ReceiveBuffer):
    """What has been received and not read, with the lines that h11 reads in it checked. `opening` is the head
    that was read last."""

    opening = b""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        # h11 cuts the lines off its buffer, so what they were has to be kept before it reads them.
        before = bytes(self._data)
        lines = super().maybe_extract_lines()
        if lines is not None:
            self.opening = before[: len(before) - len(self._data)]
            refuse_for(fault_of_lines(self.opening))
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        end = self._data.find(b"\n", 0, LONGEST_LINE)
        # Until a line is whole or too long there is nothing to judge; h11 waits for more by itself.
        if end < 0 and len(self._data) < LONGEST_LINE:
            return None
        refuse_for(fault_of_chunk(bytes(self._data[: end + 1])))
        return super().maybe_extract_next_line()


def refuse_for(fault: str | None) -> None:
    if fault is not None:
        raise h11.RemoteProtocolError(fault)
