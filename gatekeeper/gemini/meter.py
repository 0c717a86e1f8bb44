"""Reads an answer of Google's while the relay passes its bytes on. Bytes in, a Reading out; nothing raises.

Meters are layers: a GzipMeter inflates for an AnswerMeter, which shortens runs of base64, has the body cut
into JSON documents by a Framing and each of them read by a ResponseParser. `meter_for` puts them together by
the answer's headers.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from gatekeeper.gemini.response_parser import Reading, ResponseParser
from gatekeeper.gemini.splitters import ArraySplitter, Document, Seam, SseDecoder, WholeBody

# Bytes that one unary body, one event or one element of an array may hold and still be read, and that all
# meters together hold of those that are not whole yet; long runs of base64 count as `KEPT` bytes.
LIMIT = 64 * 2**20
# Bytes that are kept of a run of base64, which is data and nothing that is read.
KEPT = 4096

_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_"
_OTHER = re.compile(b"[^%b]" % re.escape(_CHARACTERS))
# Bytes inflated at once: a small chunk of zeros must not become all of its gigabytes in memory.
_INFLATE_STEP = 2**20
_BLANK_OR_BOM = b" \t\r\n\xef\xbb\xbf"


class Meter(Protocol):
    @property
    def reading(self) -> Reading:
        """The state so far."""
        ...

    @property
    def seam(self) -> Seam | None:
        """How one more document is added at the place that the body has reached; None where none can be."""
        ...

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> Reading:
        """Reads what only the end makes whole and lets go of what was held. To be called once, at the end."""
        ...


class Framing(Protocol):
    """Cuts a body into documents. `truncated`: whether one was over the limit and dropped."""

    truncated: bool

    @property
    def held(self) -> int:
        """Bytes of a document that is not whole yet."""
        ...

    def drop(self) -> None:
        """Gives up the document that is not whole yet; the next one is read again."""
        ...

    @property
    def seam(self) -> Seam | None:
        """As of `Meter`."""
        ...

    def feed(self, chunk: bytes) -> Sequence[Document]:
        """The documents that `chunk` completes."""
        ...

    def peek(self) -> Sequence[Document]:
        """The documents that seem whole already, though only the end can tell."""
        ...

    def finish(self) -> tuple[Sequence[Document], bool]:
        """The documents that only the end completes, and whether it was a proper end."""
        ...


class Abridger:
    """Bytes in, the same without the rest of each run of base64 out, however they are cut: images and sound
    come as megabytes of it.

    A run this long is a part of a string, whatever the form of the body, and none of its characters is part
    of an escape but the first few. So a shortened one leaves the document valid, and what is read of it
    (counts, names, reasons, searches) as it was.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._run = 0  # bytes of the run in which the bytes so far end

    def feed(self, chunk: bytes) -> bytes:
        if self._run:
            room = max(0, self._kept - self._run)
            if not chunk.translate(None, _CHARACTERS):  # ten times as fast as a search
                self._run += len(chunk)
                return chunk[:room]
            end = _run_end(chunk, 0)
            chunk = chunk[: min(room, end)] + chunk[end:]
        self._run = len(chunk) - len(chunk.rstrip(_CHARACTERS))
        return chunk if len(chunk) <= self._kept else self._abridged(chunk)

    def _abridged(self, chunk: bytes) -> bytes:
        """Looks at what lies a run's length ahead, so that of text next to nothing is looked at."""
        parts: list[bytes] = []
        done = at = 0
        while len(ahead := chunk[at : at + self._kept + 1]) > self._kept:
            beside = len(ahead.rstrip(_CHARACTERS))
            at += beside
            if not beside:
                parts.append(chunk[done : at + self._kept])
                done = at = _run_end(chunk, at + self._kept)
        return b"".join([*parts, chunk[done:]]) if parts else chunk


def _run_end(chunk: bytes, at: int) -> int:
    other = _OTHER.search(chunk, at)
    return other.start() if other else len(chunk)


class Allowance:
    """What all meters together may hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


SHARED = Allowance(LIMIT)


class AnswerMeter:
    """Reads an answer in JSON. Its first byte that is not blank tells the framing before its media type does:
    an error's body is one JSON object even under `text/event-stream`.
    """

    def __init__(self, framing: Callable[[int], Framing]) -> None:
        self._default = framing
        self._framing: Framing | None = None
        self._abridger = Abridger()
        self._parser = ResponseParser()
        self._held = 0  # bytes that count against the allowance of all

    @property
    def reading(self) -> Reading:
        for document in self._framing.peek() if self._framing else ():
            self._parser.read(document)
        return self._reading(complete=False)

    @property
    def seam(self) -> Seam | None:
        return (self._framing or self._default(LIMIT)).seam

    def feed(self, chunk: bytes) -> None:
        if self._framing is None:
            chunk = chunk.lstrip(_BLANK_OR_BOM)
            if not chunk:
                return
            self._framing = _BY_FIRST_BYTE.get(chunk[0], self._default)(LIMIT)
        framing = self._framing
        for document in framing.feed(self._abridger.feed(chunk)):
            self._parser.read(document)
        held = framing.held
        # Most chunks leave nothing held: they do not touch the count that all meters share.
        if held != self._held:
            if held > self._held and SHARED.used + held - self._held > SHARED.limit:
                framing.drop()
            self._count(framing.held)

    def _count(self, held: int) -> None:
        SHARED.used += held - self._held
        self._held = held

    def finish(self) -> Reading:
        self._framing = self._framing or self._default(LIMIT)
        documents, ended = self._framing.finish()
        self._count(0)
        understood = [self._parser.read(document) for document in documents]
        return self._reading(complete=ended and all(understood))

    def _reading(self, *, complete: bool) -> Reading:
        truncated = self._framing is not None and self._framing.truncated
        return self._parser.reading(complete=complete, truncated=truncated)


class GzipMeter:
    """Inflates for another meter, a bounded piece at a time, as far as the data are sound."""

    seam = None

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    @property
    def reading(self) -> Reading:
        return self._meter.reading

    def feed(self, chunk: bytes) -> None:
        if self._gzip.eof:
            # Zlib would hold what follows
            return
        # Which it repeats for all that follows
        with suppress(zlib.error):
            for piece in self._inflate(chunk):
                self._meter.feed(piece)

    def finish(self) -> Reading:
        reading = self._meter.finish()
        return reading if self._gzip.eof else msgspec.structs.replace(reading, complete=False)

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        """A piece that is not full is the last: zlib has then used up the chunk and holds nothing back."""
        full = True
        while full:
            piece = self._gzip.decompress(chunk, _INFLATE_STEP)
            chunk = self._gzip.unconsumed_tail
            full = len(piece) == _INFLATE_STEP
            yield piece


class Unmetered:
    """Reads nothing, of a body whose form or encoding is none that is understood."""

    reading = Reading(complete=True)
    seam = None

    def feed(self, chunk: bytes) -> None:
        """Lets it pass."""

    def finish(self) -> Reading:
        return self.reading


NOTHING: Meter = Unmetered()

_BY_FIRST_BYTE: dict[int, Callable[[int], Framing]] = {ord("{"): WholeBody, ord("["): ArraySplitter}
_BY_MEDIA_TYPE: dict[bytes, Callable[[int], Framing]] = {
    b"application/json": WholeBody,
    b"text/event-stream": SseDecoder,
}
_IDENTITY = (b"", b"identity")
_GZIP = (b"gzip", b"x-gzip")


def meter_for(content_type: bytes | None, content_encoding: bytes | None) -> Meter:
    """The meter for an answer with these headers; `NOTHING` where they name no form that is understood."""
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    encoding = (content_encoding or b"").strip().lower()
    framing = _BY_MEDIA_TYPE.get(media_type)
    if framing is None or encoding not in _IDENTITY + _GZIP:
        return NOTHING
    meter = AnswerMeter(framing)
    return GzipMeter(meter) if encoding in _GZIP else meter
