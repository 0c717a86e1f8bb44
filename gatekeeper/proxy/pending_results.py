"""Reads the result of a batch or a video, whoever fetches it, and completes the row of the call that began
it. (An interaction's: `interaction_results`.)

A reader gets the body as it passes. At its end it returns the completed row, or the row unchanged if the
result is not there yet. It is attached only to the response of a resource that is awaited: other downloads
are not read. Pure.
"""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from gatekeeper.gemini.batch_results import (
    BatchDocumentReader,
    BatchReader,
    ResultFileReader,
)
from gatekeeper.gemini.billed_resources import (
    BatchState,
    BatchSummary,
    CachedContent,
    VideoOperation,
    read_cached_content,
    read_video_operation,
)
from gatekeeper.gemini.billed_units import DEFAULT_RESOLUTION, VIDEO_SECOND
from gatekeeper.gemini.inline_data import InlineDataTruncator
from gatekeeper.gemini.meter_layers import GzipMeter, Meter, OuterMeter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.usage import read_usage
from gatekeeper.ledger.call import CallRecord, PendingCharge
from gatekeeper.pricing.batch_cost import BATCH, BatchCost, TakeFree
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import SUMS_INCOMPLETE
from gatekeeper.proxy.call_quote import call_quote, set_tokens
from gatekeeper.proxy.pending_charge import pending_note
from gatekeeper.times import from_micros

MAX_DOCUMENT_BYTES = 2**20
"""Of an operation, without long base64."""


class BodyReader(Protocol):
    def feed(self, chunk: bytes) -> None: ...


class ResultReader(BodyReader, Protocol):
    def finish(self) -> CallRecord | None:
        """The row as it is from now on; None if nothing new is known. To be called once, at the body's end:
        it takes what is left of free allowances."""
        ...

    def discard(self) -> None:
        """Frees what was buffered of a body that has not come to its end. In place of `finish`."""
        ...


def result_reader(call: CallRecord, catalogue: Catalogue, take: TakeFree) -> ResultReader | None:
    """The reader for the resource that tells what `call` costs, if that can be read. `take` is asked once,
    when all is known."""
    resource = call.pending.resource if call.pending else None
    if resource is None:
        return None
    if resource.startswith("batches/"):
        return BatchResult(call, catalogue, BatchDocumentReader(), take)
    if resource.startswith("files/"):
        return BatchResult(call, catalogue, ResultFileReader(), take)
    return VideoResult(call, catalogue)


class TeeMeter(OuterMeter):
    """Feeds a reader beside the response's own meter."""

    def __init__(self, meter: Meter, reader: BodyReader, *, is_gzip: bool) -> None:
        super().__init__(meter)
        self._sink: Meter = GzipMeter(_ReaderMeter(reader)) if is_gzip else _ReaderMeter(reader)

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)
        self._sink.feed(chunk)

    def is_whole(self) -> bool:
        """Whether the reader got all. Once, at the end."""
        return self._sink.finish().complete


class ResultMeter(TeeMeter):
    """Also reads what a pending charge waits for."""

    def __init__(self, meter: Meter, reader: ResultReader, *, is_gzip: bool) -> None:
        super().__init__(meter, reader, is_gzip=is_gzip)
        self._reader = reader

    def result(self, *, is_complete: bool) -> CallRecord | None:
        """The row as it is from now on; None if nothing new is known. Once, at the response's end, whether it
        is complete or not."""
        if self.is_whole() and is_complete:
            return self._reader.finish()
        self._reader.discard()
        return None


class CacheMeter(TeeMeter):
    """Also reads the cached content that the response is."""

    def __init__(self, meter: Meter, *, is_gzip: bool) -> None:
        self._document = _Document()
        super().__init__(meter, self._document, is_gzip=is_gzip)

    def content(self) -> CachedContent | None:
        """Once, at the end."""
        return read_cached_content(bytes(self._document.text)) if self.is_whole() else None


class _Document:
    """Keeps a JSON document, if it is not too long."""

    def __init__(self) -> None:
        self._truncator = InlineDataTruncator()
        self.text = bytearray()

    def feed(self, chunk: bytes) -> None:
        # A document that is longer is cut, and so no JSON: it tells nothing.
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


class VideoResult:
    """Of an operation: what was asked for is charged if it was made."""

    def __init__(self, call: CallRecord, catalogue: Catalogue) -> None:
        self._call = call
        self._catalogue = catalogue
        self._document = _Document()

    def feed(self, chunk: bytes) -> None:
        self._document.feed(chunk)

    def finish(self) -> CallRecord | None:
        operation = read_video_operation(bytes(self._document.text))
        if operation is None or not operation.done:
            return None
        return charged_video(self._call, operation, self._catalogue)

    def discard(self) -> None: ...


def charged_video(call: CallRecord, operation: VideoOperation, catalogue: Catalogue) -> CallRecord:
    """The row once the operation has ended. Where it does not say how many videos it made, all that were
    asked for are charged."""
    made = operation.videos
    request_summary = (call.pending and call.pending.videos) or (made or 0) + operation.filtered
    note = "charged as asked for: the operation has succeeded"
    units = dict(call.billed_units or {})
    if operation.failed:
        units = dict.fromkeys(units or [VIDEO_SECOND + DEFAULT_RESOLUTION], 0)
        note = "no video was made, so none is charged"
    elif made is not None and made != request_summary:
        # Exact: each count is seconds x samples, and `request_summary` is the number of samples.
        units = {
            name: None if count is None else count // request_summary * made for name, count in units.items()
        }
        note = f"{made} of {request_summary} videos were made, and are charged"
    charged = replace(call, billed_units=units)
    priced = call_quote(charged, None, catalogue)
    cost = 0 if operation.failed else priced.cost_pico
    notes = (note, *(priced.notes if cost is None else ()))
    return _settled(charged, cost, catalogue, notes)


class BatchResult:
    """Of a batch, or of the file of its responses."""

    def __init__(self, call: CallRecord, catalogue: Catalogue, reader: BatchReader, take: TakeFree) -> None:
        self._call = call
        self._catalogue = catalogue
        self._reader = reader
        self._take = take
        self._cost = BatchCost(
            catalogue, model=call.model, action=call.action, at=from_micros(call.started_at)
        )

    def feed(self, chunk: bytes) -> None:
        for response in self._reader.feed(chunk):
            self._cost.add(response)

    def finish(self) -> CallRecord | None:
        responses, summary = self._reader.finish()
        for response in responses:
            self._cost.add(response)
        call, pending = self._call, self._call.pending
        if pending is None or not summary.complete:
            return None
        read = summary.responses + summary.failed + summary.unread
        if isinstance(self._reader, ResultFileReader):
            is_file = read > summary.unread  # something else is no file of results
            return self._charged(summary) if is_file else None
        if not summary.done:
            return None
        if summary.responses_file:
            note = pending_note(summary.responses_file)
            return replace(call, pending=replace(pending, resource=summary.responses_file), usage_note=note)
        if summary.state is BatchState.SUCCEEDED and (summary.requests or 1) > read:
            return None  # asked for a part of the document
        return self._charged(summary)

    def discard(self) -> None: ...

    def _charged(self, summary: BatchSummary) -> CallRecord:
        free = self._cost.take_free_searches(self._take)
        return charged_batch(self._call, self._cost, summary, self._catalogue, free)


def charged_batch(
    call: CallRecord, cost: BatchCost, summary: BatchSummary, catalogue: Catalogue, free: dict[str, int]
) -> CallRecord:
    """The row once all responses were seen. A request that failed costs nothing. `free`: the searches that
    are, by unit."""
    raw = cost.usage
    usage = read_usage(raw) if raw else None
    notes = [f"{summary.responses:,} responses of the batch, {summary.failed:,} failed requests"]
    pico = cost.cost_pico
    if summary.unread:
        pico = None
        notes += [f"{summary.unread:,} responses could not be read", SUMS_INCOMPLETE]
    if free:
        notes.append(f"{sum(free.values()):,} of its searches are within Google's free allowance")
    counted = replace(
        call,
        billed_units={**free} or None,
        service_tier=BATCH,
        model=call.model or cost.model,
        model_version=cost.model,
    )
    set_tokens(counted, raw, usage)
    return _settled(counted, pico, catalogue, (*notes, *cost.notes))


def _settled(call: CallRecord, pico: int | None, catalogue: Catalogue, notes: tuple[str, ...]) -> CallRecord:
    """With an unknown cost the budget's estimate stays."""
    return replace(
        call,
        cost_pico=pico,
        price_version=None if pico is None else catalogue.version,
        charged_pico=call.charged_pico if pico is None else None,
        usage_note="; ".join(dict.fromkeys(notes)),
        pending=PendingCharge(begun_by=call.id),
    )
