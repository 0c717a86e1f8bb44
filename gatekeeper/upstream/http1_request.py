"""Serializes HTTP/1.1 requests (RFC 9112). No I/O.

Headers are not validated: each was parsed by the gateway's server, or made by the gateway.
"""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.http_fields import Headers


class UpstreamRequest(NamedTuple):
    """A request without its body."""

    method: str
    target: bytes
    headers: Headers

    def uncompressed(self) -> UpstreamRequest:
        """A copy that asks for a response without a Content-Encoding."""
        identity = (b"accept-encoding", b"identity")
        return self._replace(
            headers=[identity if field[0] == b"accept-encoding" else field for field in self.headers]
        )


def encode_head(method: str, target: bytes, headers: Headers) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), target)]
    lines += [b"%b: %b" % field for field in headers]
    return b"\r\n".join([*lines, b"", b""])


class RequestBody:
    """Frames the body of one request as its headers announce. Raises ValueError if its length differs from
    the Content-Length: the rest would be read as another request."""

    def __init__(self, headers: Headers) -> None:
        fields = dict(headers)
        self._is_chunked = b"transfer-encoding" in fields
        self._missing = 0 if self._is_chunked else int(fields.get(b"content-length", b"0"))
        self.requests_upgrade = b"upgrade" in fields  # to another protocol

    def encode(self, piece: bytes) -> bytes:
        if self._is_chunked:
            # An empty chunk would end the body.
            return b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")) if piece else b""
        self._missing -= len(piece)
        if self._missing < 0:
            raise ValueError("the body is longer than its Content-Length")
        return piece

    def end(self, trailers: Headers) -> bytes:
        """The end of the body. Trailers need a chunked body."""
        if self._missing or (trailers and not self._is_chunked):
            raise ValueError(f"{self._missing} bytes are missing, or there is no place for trailers")
        if not self._is_chunked:
            return b""
        return b"\r\n".join([b"0", *(b"%b: %b" % field for field in trailers), b"", b""])
