"""Meters that also feed a reader of the body: of a pending result, a cached content, or created resources."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gatekeeper.gemini.billed_resources import CachedContent, read_cached_content
from gatekeeper.gemini.created_names import CreatedNames
from gatekeeper.gemini.inline_data import InlineDataTruncator
from gatekeeper.gemini.meter_layers import GzipMeter, Meter, OuterMeter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.ledger.call import CallRecord

MAX_DOCUMENT_BYTES = 2**20
"""The most that is kept of a document, without long base64."""


class BodyReader(Protocol):
    def feed(self, chunk: bytes) -> None: ...


class ResultReader(BodyReader, Protocol):
    def finish(self) -> CallRecord | None:
        """The completed row; None if nothing new is known. To be called once, at the body's end: it takes
        from the free allowances."""
        ...

    def discard(self) -> None:
        """Frees the buffers. To be called instead of `finish` if the body is incomplete."""
        ...


class TeeMeter(OuterMeter):
    """Feeds both the response's own meter and a reader."""

    def __init__(self, meter: Meter, reader: BodyReader, *, is_gzip: bool) -> None:
        super().__init__(meter)
        self._sink: Meter = GzipMeter(_ReaderMeter(reader)) if is_gzip else _ReaderMeter(reader)

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)
        self._sink.feed(chunk)

    def is_complete_body(self) -> bool:
        """Whether the reader got the complete body. To be called once, at the end."""
        return self._sink.finish().complete


class ResultMeter(TeeMeter):
    """Also reads the result that a pending charge waits for."""

    def __init__(self, meter: Meter, reader: ResultReader, *, is_gzip: bool) -> None:
        super().__init__(meter, reader, is_gzip=is_gzip)
        self._reader = reader

    def result(self, *, is_complete: bool) -> CallRecord | None:
        """The completed row; None if nothing new is known. To be called once, at the response's end, whether
        it is complete or not."""
        if self.is_complete_body() and is_complete:
            return self._reader.finish()
        self._reader.discard()
        return None


class CacheMeter(TeeMeter):
    """Also reads the response as a cached content."""

    def __init__(self, meter: Meter, *, is_gzip: bool) -> None:
        self._document = Document()
        super().__init__(meter, self._document, is_gzip=is_gzip)

    def content(self) -> CachedContent | None:
        """Once, at the end."""
        return read_cached_content(bytes(self._document.text)) if self.is_complete_body() else None


class CreatedNamesMeter(TeeMeter):
    """Also finds the names of resources in a response that another one has created, such as a batch."""

    def __init__(self, meter: Meter, *, is_gzip: bool) -> None:
        self._found = CreatedNames()
        super().__init__(meter, self._found, is_gzip=is_gzip)

    @property
    def summary(self) -> ResponseSummary:
        return self._with_found(super().summary)

    def finish(self) -> ResponseSummary:
        return self._with_found(super().finish())

    def _with_found(self, summary: ResponseSummary) -> ResponseSummary:
        names = self._found.names
        return msgspec.structs.replace(summary, found=(*summary.found, *names)) if names else summary


class Document:
    """Keeps a JSON document, if it is not too long."""

    def __init__(self) -> None:
        self._truncator = InlineDataTruncator()
        self.text = bytearray()

    def feed(self, chunk: bytes) -> None:
        # A longer document is cut, and so is not valid JSON: nothing is read from it.
        if len(self.text) <= MAX_DOCUMENT_BYTES:
            self.text += self._truncator.feed(chunk)


class _ReaderMeter:
    summary = ResponseSummary(complete=True)
    delimiters = None
    body_bytes = 0

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader

    def feed(self, chunk: bytes) -> None:
        self._reader.feed(chunk)

    def finish(self) -> ResponseSummary:
        return self.summary
