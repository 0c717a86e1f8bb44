"""The interface of all meters, and the layers that wrap another meter."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.splitters import Delimiters

# Bytes that are decompressed at once: a small chunk can expand to gigabytes.
_INFLATE_STEP = 2**20


class Meter(Protocol):
    @property
    def summary(self) -> ResponseSummary:
        """What the response has reported so far."""
        ...

    @property
    def delimiters(self) -> Delimiters | None:
        """The bytes around one more document that is appended at the current position of the body; None if
        that is impossible."""
        ...

    @property
    def body_bytes(self) -> int:
        """Bytes of the body so far, decompressed, without most of its inline media; 0 if it is not parsed."""
        ...

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> ResponseSummary:
        """Parses what only the end completes, and frees the buffer. Call it once, at the end."""
        ...


class OuterMeter:
    """Base of the layers around another meter: everything but `feed` is delegated."""

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
    """Decompresses for another meter, a bounded piece at a time, up to the first invalid byte."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter)
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._is_whole = self._is_over = False  # at the end of a member; the rest is not read

    @property
    def delimiters(self) -> None:
        """None: nothing can be appended to a compressed body."""
        return None

    def feed(self, chunk: bytes) -> None:
        if self._is_over:
            return
        try:
            for piece in self._inflate(chunk):
                self._meter.feed(piece)
        except zlib.error:
            # Trailing bytes that are not a gzip member are ignored, as gzip(1) does.
            self._is_over = True

    def finish(self) -> ResponseSummary:
        summary = self._meter.finish()
        return summary if self._is_whole else msgspec.structs.replace(summary, complete=False)

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        """A piece shorter than the step is the last one: zlib has consumed the chunk and buffers nothing."""
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
