"""What all meters have in common, and the layers around another one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.splitters import Delimiters

# Bytes inflated at once: a small chunk of zeros must not become all of its gigabytes in memory.
_INFLATE_STEP = 2**20


class Meter(Protocol):
    @property
    def summary(self) -> ResponseSummary:
        """What the response has reported so far."""
        ...

    @property
    def delimiters(self) -> Delimiters | None:
        """How to append one more document at the current position of the body; None where that is
        impossible."""
        ...

    @property
    def body_bytes(self) -> int:
        """Bytes of the body so far, inflated, without most of its inline media; 0 where it is not parsed."""
        ...

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> ResponseSummary:
        """Parses what only the end completes, and frees the buffer. To be called once, at the end."""
        ...


class OuterMeter:
    """A layer around another meter: what all of them pass on. Each has a `feed` of its own."""

    __slots__ = ("_meter",)

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    @property
    def summary(self) -> ResponseSummary:
        return self._meter.summary

    @property
    def delimiters(self) -> Delimiters | None:
        return self._meter.delimiters

    @property
    def body_bytes(self) -> int:
        return self._meter.body_bytes

    def finish(self) -> ResponseSummary:
        return self._meter.finish()


class GzipMeter(OuterMeter):
    """Inflates for another meter, a bounded piece at a time, up to the first invalid byte."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter)
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._is_whole = self._is_over = False  # at the end of a member; nothing that follows is read

    @property
    def delimiters(self) -> None:
        """None: nothing can be appended to what is compressed."""
        return None

    def feed(self, chunk: bytes) -> None:
        if self._is_over:
            return
        try:
            for piece in self._inflate(chunk):
                self._meter.feed(piece)
        except zlib.error:
            # Something else than a member may follow one: it is ignored, as gzip does.
            self._is_over = True

    def finish(self) -> ResponseSummary:
        summary = self._meter.finish()
        return summary if self._is_whole else msgspec.structs.replace(summary, complete=False)

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        """A piece that is not full is the last one: zlib has then consumed the chunk and holds nothing
        back."""
        full = True
        while full or chunk:
            if self._gzip.eof:
                # A gzip body may have several members (RFC 1952 §2.2).
                self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            piece = self._gzip.decompress(chunk, _INFLATE_STEP)
            chunk = self._gzip.unconsumed_tail or self._gzip.unused_data
            full = len(piece) == _INFLATE_STEP
            self._is_whole = self._gzip.eof or (self._is_whole and not piece)
            yield piece
