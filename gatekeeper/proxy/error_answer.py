"""An answer that is no success, on its way down: Google may say something of the gateway's own key in it, and
some of its errors repeat the request's headers, the key included. So it is read before it is passed on.

The keys are taken out of headers and texts too, always without I/O. What is masked keeps its length, so that
a `content-length` stays right.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from gatekeeper.gemini.meter import meter_for
from gatekeeper.gemini.response_parser import UpstreamError
from gatekeeper.proxy.headers import Headers, value_of
from gatekeeper.proxy.outcomes import UpstreamBroken, unreadable

ESCAPES = rb"[%\\&]"  # what every spelling other than the plain one holds


class Mask:
    """Finds the keys in their plain spelling and, each character by itself, percent-encoded, as an escape of
    JSON's or as a character reference of HTML's."""

    def __init__(self, keys: Iterable[str]) -> None:
        encoded = [key.encode() for key in keys]
        self._patterns = [re.compile(b"".join(map(_spellings, key))) for key in encoded]
        self._may_hold_one = re.compile(b"|".join([*map(re.escape, encoded), ESCAPES])).search
        self.reach = max((6 * len(key) for key in encoded), default=1) - 1
        """Bytes at the end of a piece that may be the beginning of a key."""

    def __call__(self, data: bytes) -> bytes:
        """The same number of bytes, with `*` in place of a key's."""
        # One search over everything, and nearly always the last: the patterns below are slow.
        if not self._may_hold_one(data):
            return data
        for pattern in self._patterns:
            data = pattern.sub(_stars, data)
        return data

    def text(self, text: str | None) -> str | None:
        return text and self(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Headers) -> Headers:
        if not self._may_hold_one(b"\n".join(value for _, value in headers)):
            return headers
        return [(name, self(value)) for name, value in headers]


class MaskedStream:
    """The same for a body that comes in pieces: the last `reach` bytes are held back until more is known."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._mask(self._held + chunk)
        # A key may begin in this piece and end in the next one.
        end = max(0, len(data) - self._mask.reach)
        self._held = data[end:]
        return data[:end]

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held


def _spellings(character: int) -> bytes:
    return b"(?:%b|%%(?i:%02x)|\\\\u00(?i:%02x)|&#(?i:x%02x);|&#%d;)" % (
        re.escape(bytes([character])),
        *(character,) * 4,
    )


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


HELD = 64 * 1024
"""Bytes, unzipped or as they came, that are read before anything is passed on. What is beyond is masked as it
comes."""

INFLATED = 64 * 1024  # bytes of a piece
GZIP = (b"gzip", b"x-gzip")

# Of the key that was used (https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto).
REASONS = ("API_KEY_", "CONSUMER_SUSPENDED", "CONSUMER_INVALID")
# In words, where an error has no details. A 400 may repeat what the client sent, so it has to begin so.
WORDS = {
    400: re.compile(r"\AAPI key (?:not valid|expired|not found)", re.IGNORECASE),
    403: re.compile(r"reported as leaked|has been suspended|unregistered callers", re.IGNORECASE),
}

NextChunk = Callable[[], Awaitable[bytes | None]]


class ErrorAnswer:
    """One such answer. `hold` first; then `headers` are what goes down, and `next` gives the body."""

    def __init__(self, mask: Mask, status: int, headers: Headers, next_chunk: NextChunk) -> None:
        self.status = status
        self.headers = headers
        self._next_chunk = next_chunk
        self._coding = (value_of(headers, b"content-encoding") or b"identity").strip().lower()
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._pieces: Iterator[bytes] = iter(())  # of the chunk at hand, unzipped
        self._came: list[bytes] = []  # as it came
        self._plain = b""
        self._mask = mask
        self._masked = MaskedStream(mask)
        self._ready: deque[bytes] = deque()
        self._over = False
        self._broken: UpstreamBroken | None = None
        self.names_key = False

    async def hold(self) -> None:
        """Reads the whole body, or as much of it as is held. Raises UpstreamBroken if nobody can read it."""
        plain = bytearray()
        came = 0
        while not self._over and len(plain) < HELD and came < HELD:
            plain += await self._piece()
            came = sum(map(len, self._came))
        self._plain = bytes(plain)
        masked = self._mask(self._plain)
        # Looked for in both forms, unzipped and as it came.
        self.names_key = masked != self._plain or any(self._mask(chunk) != chunk for chunk in self._came)
        if not self._over:
            self._reframe(None)
            self._ready.append(self._masked.feed(self._plain))
        elif self.names_key:
            self._reframe(None if self._broken else len(masked))
            self._ready.append(masked)
        else:
            self._ready.extend(self._came)

    def _reframe(self, length: int | None) -> None:
        """What was zipped goes down unzipped; anything else is as long as it was."""
        if self._coding not in GZIP:
            return
        dropped = (b"content-encoding", b"content-length")
        self.headers = [field for field in self.headers if field[0] not in dropped]
        if length is not None:
            self.headers.append((b"content-length", b"%d" % length))

    def refuses_key(self) -> bool:
        """Whether it is the key that was used that Google says no to. The client's own never goes up."""
        # 401 is always about the credential, and the only one that goes up is ours.
        if self.status not in WORDS:
            return self.status == 401
        error = self._error()
        if error is None or self.names_key:
            return self.names_key
        return (error.reason or "").startswith(REASONS) or bool(WORDS[self.status].search(error.message))

    def _error(self) -> UpstreamError | None:
        meter = meter_for(value_of(self.headers, b"content-type"), None)
        meter.feed(self._plain)
        return meter.finish().error

    def at_hand(self) -> bytes | None:
        """The first piece of the body, where `hold` has read it."""
        return self._ready.popleft() if self._ready else None

    async def next(self) -> bytes | None:
        """The next piece of the body, None at its end. Raises UpstreamBroken."""
        while not self._ready:
            if self._broken is not None:
                raise self._broken
            if self._over:
                return None
            piece = self._masked.feed(await self._piece()) or (self._masked.finish() if self._over else b"")
            self._ready.extend([piece] if piece else [])
        return self._ready.popleft()

    async def _piece(self) -> bytes:
        """What came, unzipped; nothing at the end, and then it is over. Only an `UpstreamBroken` that says
        why nobody can read it is raised at once: what came before the connection broke is still passed on."""
        while (piece := next(self._pieces, None)) is None:
            try:
                chunk = await self._next_chunk()
            # Kept until what came before it has been passed on.
            except UpstreamBroken as broken:
                self._broken, chunk = broken, None
            if chunk is None:
                self._over = True
                return b""
            self._came.append(chunk)
            self._pieces = self._opened(chunk)
        return piece

    def _opened(self, chunk: bytes) -> Iterator[bytes]:
        if self._coding in GZIP:
            yield from self._unzipped(chunk)
        elif self._coding == b"identity":
            yield chunk
        else:
            raise unreadable(self.status, self._coding)

    def _unzipped(self, chunk: bytes) -> Iterator[bytes]:
        """In bounded pieces, one gzip member after the other."""
        full = True
        while full or chunk:
            # A gzip body may be several members one after the other (RFC 1952 §2.2).
            if self._gzip.eof:
                self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            try:
                piece = self._gzip.decompress(chunk, INFLATED)
            except zlib.error:
                raise unreadable(self.status, b"damaged gzip") from None
            full = len(piece) == INFLATED
            chunk = self._gzip.unconsumed_tail or self._gzip.unused_data
            yield piece
