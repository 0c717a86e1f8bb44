"""Reads the result of a batch, a video or a background interaction when any client fetches it, or the gateway
polls it, and completes the row of the call that started it; an interaction's as if this were its response.

A reader is fed the body. At its end it returns the completed row, or None if there is no result yet. It is
attached only to responses about a resource with a pending charge: other downloads are not read.
"""

from __future__ import annotations

from copy import copy

from msgspec.structs import replace

from gatekeeper.gemini.batch_results import BatchDocumentReader, BatchReader, ResultFileReader
from gatekeeper.gemini.billed_resources import BatchState, BatchSummary, VideoOperation, read_video_operation
from gatekeeper.gemini.billed_units import DEFAULT_RESOLUTION, VIDEO_SECOND
from gatekeeper.gemini.meter import meter_for
from gatekeeper.gemini.response_parser import INTERACTIONS
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.usage import read_usage
from gatekeeper.ledger.call import CallRecord, PendingCharge
from gatekeeper.pricing.batch_cost import BATCH, BatchCost, TakeFree
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import SUMS_INCOMPLETE
from gatekeeper.proxy.call_accounting import Accounting
from gatekeeper.proxy.call_price import call_quote, set_tokens
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.deferred_charges import IN_PROGRESS, pending_note
from gatekeeper.proxy.tee_meters import Document, ResultReader
from gatekeeper.times import from_micros, utc_day


def result_reader(call: CallRecord, context: ProxyContext, media_type: bytes | None) -> ResultReader | None:
    """The reader for the resource that determines the cost of `call`; None if there is none."""
    resource = call.pending.resource if call.pending else None
    if resource is None:
        return None
    if resource.startswith(f"{INTERACTIONS}/"):
        return InteractionResult(call, context, media_type)
    if resource.startswith("batches/"):
        return BatchResult(call, context.catalogue, BatchDocumentReader(), _takes_free(call, context))
    if resource.startswith("files/"):
        return BatchResult(call, context.catalogue, ResultFileReader(), _takes_free(call, context))
    return VideoResult(call, context.catalogue)


class VideoResult:
    """The result of a long-running operation: the requested videos are charged if they were made."""

    def __init__(self, call: CallRecord, catalogue: Catalogue) -> None:
        self._call = call
        self._catalogue = catalogue
        self._document = Document()

    def feed(self, chunk: bytes) -> None:
        self._document.feed(chunk)

    def finish(self) -> CallRecord | None:
        operation = read_video_operation(bytes(self._document.text))
        if operation is None or not operation.done:
            return None
        return charged_video(self._call, operation, self._catalogue)

    def discard(self) -> None: ...


def charged_video(call: CallRecord, operation: VideoOperation, catalogue: Catalogue) -> CallRecord:
    """The row once the operation has ended. If it does not say how many videos it made, all requested ones
    are charged."""
    made = operation.videos
    requested = (call.pending and call.pending.videos) or (made or 0) + operation.filtered
    note = "charged as asked for: the operation has succeeded"
    units = dict(call.billed_units or {})
    if operation.failed:
        units = dict.fromkeys(units or [VIDEO_SECOND + DEFAULT_RESOLUTION], 0)
        note = "no video was made, so none is charged"
    elif made is not None and made != requested:
        # Exact: each count is seconds x samples, and `requested` is the number of samples.
        units = {name: None if count is None else count // requested * made for name, count in units.items()}
        note = f"{made} of {requested} videos were made, and are charged"
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
    """The row once all responses were read. A failed request costs nothing. `free`: the free searches, by
    unit."""
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
    """The completed row; with an unknown cost it keeps what the budgets were charged as an estimate."""
    return replace(
        call,
        cost_pico=pico,
        price_version=None if pico is None else catalogue.version,
        charged_pico=call.charged_pico if pico is None else None,
        usage_note="; ".join(dict.fromkeys(notes)),
        pending=PendingCharge(begun_by=call.id),
    )


class InteractionResult:
    """A `ResultReader`. An interaction may also be read as the stream of its events."""

    def __init__(self, call: CallRecord, context: ProxyContext, media_type: bytes | None) -> None:
        self._call = call
        self._context = context
        self._meter = meter_for(media_type, None, INTERACTIONS, counts_usage=True)

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)

    def finish(self) -> CallRecord | None:
        summary, context = self._meter.finish(), self._context
        is_final = summary.complete and summary.finish_reason not in (None, IN_PROGRESS)
        # Somebody else may have been first: the free searches are taken once.
        if not is_final or context.deferred.pending.begun_by(self._call.id) is not self._call:
            return None
        call = copy(self._call)
        Accounting(
            route=Route(call.action),
            response=summary,
            catalogue=context.catalogue,
            free_searches=context.free_searches,
            secrets=context.secrets,
        ).complete(call)
        if call.cost_pico is None:
            # The budget's estimate stays.
            call.charged_pico = self._call.charged_pico
            call.usage_note = (
                call.usage_note or f"the interaction is {summary.finish_reason}: no price is known"
            )
        return replace(call, pending=PendingCharge(begun_by=call.id))

    def discard(self) -> None:
        # All meters share one quota of buffered bytes, which only `finish` releases.
        self._meter.finish()


def _takes_free(call: CallRecord, context: ProxyContext) -> TakeFree:
    def take(model: str, kind: str, searches: int) -> int:
        # Somebody else may have been first: the free searches are taken once.
        if context.deferred.pending.begun_by(call.id) is not call:
            return 0
        day = utc_day(call.started_at)
        return context.free_searches.take(call.upstream_key, model, kind, searches, day)

    return take
