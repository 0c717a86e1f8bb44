"""Responses of the API: their bodies, and errors (status other than 2xx), which are buffered and checked for
the gateway's own API key before they are relayed: some of Google's repeat the request's headers, the key
included.

Headers and texts are masked too, without I/O. Masking keeps the length, so that `content-length` stays right.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from gatekeeper.gemini.meter import meter_for
from gatekeeper.gemini.upstream_error import UpstreamError
from gatekeeper.http_fields import Headers
from gatekeeper.proxy.failures import UpstreamBroken, undecodable_error
from gatekeeper.proxy.headers import first_value
from gatekeeper.upstream.connection import ConnectionLost, UpstreamConnection

ESCAPES = (b"%", b"\\", b"&")  # every encoded form contains one of these
BUFFER_LIMIT = 64 * 1024
"""Bytes, decoded or raw, that are read before anything is relayed. The rest is masked piece by piece."""
INFLATE_CHUNK = 64 * 1024  # bytes of one decompressed piece
GZIP = (b"gzip", b"x-gzip")
# Errors of the API key (https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto).
KEY_ERROR_REASONS = ("API_KEY_", "CONSUMER_SUSPENDED", "CONSUMER_INVALID")
# Their messages, if an error has no details. A 400 may repeat the client's text, so it must begin with them.
KEY_ERROR_MESSAGES = {
    400: re.compile(r"\AAPI key (?:not valid|expired|not found)", re.IGNORECASE),
    403: re.compile(r"reported as leaked|has been suspended|unregistered callers", re.IGNORECASE),
}

NextChunk = Callable[[], Awaitable[bytes | None]]
"""The next piece of a body, None at its end."""


class UpstreamBody:
    """The body of a response, read piece by piece: a `NextChunk`."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def __call__(self) -> bytes | None:
        """The next piece, None at the end. Raises UpstreamBroken."""
        try:
            return await self._connection.read_chunk()
        except ConnectionLost:
            raise UpstreamBroken from None

    @property
    def has_ended(self) -> bool:
        """Whether the piece that was read last is the last one, and no trailers follow."""
        return self._connection.is_complete and not self._connection.trailers


class KeyMasker:
    """Masks keys, also if their characters are percent-encoded, JSON escapes or HTML character references."""

    def __init__(self, keys: Iterable[str]) -> None:
        encoded = [key.encode() for key in keys]
        self._patterns = [re.compile(b"".join(map(_encoded_forms, key))) for key in encoded]
        self._signs = (*encoded, *ESCAPES)
        # The longest forms of a character, `\u0041` and `&#x41;`, have six bytes.
        self.overlap_bytes = max((6 * len(key) for key in encoded), default=1) - 1
        """How many bytes at the end of a piece may be the beginning of a key."""

    def __call__(self, data: bytes) -> bytes:
        """The same number of bytes, with `*` in place of each byte of a key."""
        # Nearly always there is none, and the patterns below are slow.
        if not self._may_contain_key(data):
            return data
        for pattern in self._patterns:
            data = pattern.sub(_stars, data)
        return data

    def _may_contain_key(self, data: bytes) -> bool:
        return bool([sign for sign in self._signs if sign in data])

    def text(self, text: str | None) -> str | None:
        return text and self(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Headers) -> Headers:
        if not self._may_contain_key(b"\n".join([value for _, value in headers])):
            return headers
        return [(name, self(value)) for name, value in headers]


class MaskedStream:
    """Masks a body in pieces: the last `overlap_bytes` are held back until the next piece."""

    def __init__(self, mask: KeyMasker) -> None:
        self._mask = mask
        self._pending = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._mask(self._pending + chunk)
        # A key may begin in this piece and end in the next one.
        end = max(0, len(data) - self._mask.overlap_bytes)
        self._pending = data[end:]
        return data[:end]

    def finish(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending


def _encoded_forms(character: int) -> bytes:
    return b"(?:%b|%%(?i:%02x)|\\\\u00(?i:%02x)|&#(?i:x%02x);|&#%d;)" % (
        re.escape(bytes([character])),
        *(character,) * 4,
    )


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


def is_key_error_message(message: str) -> bool:
    """Whether a message of Google's, without its status, is about the API key."""
    return any(pattern.search(message) for pattern in KEY_ERROR_MESSAGES.values())


class ErrorResponse:
    """An error response. Call `buffer` first; then relay `headers`, and the body from `first_chunk` and
    `read_chunk`."""

    def __init__(self, mask: KeyMasker, status: int, headers: Headers, next_chunk: NextChunk) -> None:
        self.status = status
        self.headers = headers
        self._next_chunk = next_chunk
        self._coding = (first_value(headers, b"content-encoding") or b"identity").strip().lower()
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._pieces: Iterator[bytes] = iter(())  # of the current chunk, decoded
        self._raw_chunks: list[bytes] = []
        self._decoded = b""
        self._mask = mask
        self._masked = MaskedStream(mask)
        self._output: deque[bytes] = deque()
        self._eof = False
        self._broken: UpstreamBroken | None = None
        self.contains_key = False

    async def buffer(self) -> None:
        """Reads the body, up to BUFFER_LIMIT. Raises UpstreamBroken for an unsupported Content-Encoding."""
        decoded = bytearray()
        received = 0
        while not self._eof and len(decoded) < BUFFER_LIMIT and received < BUFFER_LIMIT:
            decoded += await self._next_piece()
            received = sum(map(len, self._raw_chunks))
        self._decoded = bytes(decoded)
        masked = self._mask(self._decoded)
        # Searched in both forms, decoded and raw.
        self.contains_key = masked != self._decoded or any(
            self._mask(chunk) != chunk for chunk in self._raw_chunks
        )
        if not self._eof:
            self._rewrite_headers(None)
            self._output.append(self._masked.feed(self._decoded))
        elif self.contains_key:
            self._rewrite_headers(None if self._broken else len(masked))
            self._output.append(masked)
        else:
            self._output.extend(self._raw_chunks)

    def _rewrite_headers(self, length: int | None) -> None:
        """A compressed body is relayed decompressed; the length of any other does not change."""
        if self._coding not in GZIP:
            return
        dropped = (b"content-encoding", b"content-length")
        self.headers = [field for field in self.headers if field[0] not in dropped]
        if length is not None:
            self.headers.append((b"content-length", b"%d" % length))

    def is_key_error(self) -> bool:
        """Whether Google refused the gateway's API key."""
        # 401 is always about the credential, and the only one sent upstream is the gateway's.
        if self.status not in KEY_ERROR_MESSAGES:
            return self.status == 401
        error = self.error
        if error is None or self.contains_key:
            # An error of these statuses that repeats the gateway's key is about that, whatever it says.
            return self.contains_key
        return (error.reason or "").startswith(KEY_ERROR_REASONS) or bool(
            KEY_ERROR_MESSAGES[self.status].search(error.message)
        )

    @property
    def error(self) -> UpstreamError | None:
        """The error in the buffered part of the body; None if it has none."""
        # Without a Content-Encoding: it was decoded as it was buffered.
        meter = meter_for(first_value(self.headers, b"content-type"), None, status=self.status)
        meter.feed(self._decoded)
        return meter.finish().error

    def first_chunk(self) -> bytes | None:
        """The first piece of the body, if `buffer` has read it."""
        return self._output.popleft() if self._output else None

    async def read_chunk(self) -> bytes | None:
        """The next piece of the body, None at its end. Raises UpstreamBroken."""
        while not self._output:
            if self._broken is not None:
                raise self._broken
            if self._eof:
                return None
            piece = self._masked.feed(await self._next_piece()) or (
                self._masked.finish() if self._eof else b""
            )
            self._output.extend([piece] if piece else [])
        return self._output.popleft()

    async def _next_piece(self) -> bytes:
        """The next decoded piece; empty at the end, and then `_eof` is set. UpstreamBroken is raised at once
        for an unsupported encoding, for a lost connection only after the bytes before it."""
        while (piece := next(self._pieces, None)) is None:
            try:
                chunk = await self._next_chunk()
            # Raised once the bytes before it have been relayed.
            except UpstreamBroken as broken:
                self._broken, chunk = broken, None
            if chunk is None:
                self._eof = True
                return b""
            self._raw_chunks.append(chunk)
            self._pieces = self._decode_chunk(chunk)
        return piece

    def _decode_chunk(self, chunk: bytes) -> Iterator[bytes]:
        if self._coding in GZIP:
            yield from self._inflate(chunk)
        elif self._coding == b"identity":
            yield chunk
        else:
            raise undecodable_error(self.status, self._coding)

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        """Decompresses in bounded pieces, one gzip member after the other."""
        full = True
        while full or chunk:
            # A gzip body may have several members (RFC 1952 §2.2).
            if self._gzip.eof:
                self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            try:
                piece = self._gzip.decompress(chunk, INFLATE_CHUNK)
            except zlib.error:
                raise undecodable_error(self.status, b"damaged gzip") from None
            full = len(piece) == INFLATE_CHUNK
            chunk = self._gzip.unconsumed_tail or self._gzip.unused_data
            yield piece
