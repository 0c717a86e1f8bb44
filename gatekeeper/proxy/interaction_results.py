"""Reads a background interaction that any client fetches after the call has ended, and completes the call's
row as if this were its response."""

from __future__ import annotations

from copy import copy

from msgspec.structs import replace

from gatekeeper.gemini.meter import meter_for
from gatekeeper.gemini.response_parser import INTERACTIONS
from gatekeeper.gemini.routes import Route
from gatekeeper.ledger.call import CallRecord, PendingCharge
from gatekeeper.pricing.batch_cost import TakeFree
from gatekeeper.proxy.call_accounting import Accounting
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.pending_charge import IN_PROGRESS
from gatekeeper.proxy.pending_results import ResultReader, result_reader
from gatekeeper.times import utc_day


class InteractionResult:
    """A `ResultReader`. An interaction may also be read as the stream of its events."""

    def __init__(self, call: CallRecord, context: ProxyContext, media_type: bytes | None) -> None:
        self._call = call
        self._context = context
        self._meter = meter_for(media_type, None, INTERACTIONS, counts_usage=True)

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)

    def finish(self) -> CallRecord | None:
        said, context = self._meter.finish(), self._context
        is_told = said.complete and said.finish_reason not in (None, IN_PROGRESS)
        # Somebody else may have been first: the free searches are taken once.
        if not is_told or context.deferred.pending.begun_by(self._call.id) is not self._call:
            return None
        call = copy(self._call)
        Accounting(
            route=Route(call.action),
            response=said,
            catalogue=context.catalogue,
            free_searches=context.free_searches,
            secrets=context.secrets,
        ).complete(call)
        if call.cost_pico is None:
            # The budget's estimate stays.
            call.charged_pico = self._call.charged_pico
            call.usage_note = call.usage_note or f"the interaction is {said.finish_reason}: no price is known"
        return replace(call, pending=PendingCharge(begun_by=call.id))

    def discard(self) -> None:
        # All meters share one quota of what they buffer, and only this gives it back.
        self._meter.finish()


def reader_of(call: CallRecord, context: ProxyContext, media_type: bytes | None) -> ResultReader | None:
    """The reader for the resource that tells what `call` costs."""
    if call.pending and (call.pending.resource or "").startswith(f"{INTERACTIONS}/"):
        return InteractionResult(call, context, media_type)
    return result_reader(call, context.catalogue, _takes_free(call, context))


def _takes_free(call: CallRecord, context: ProxyContext) -> TakeFree:
    def take(model: str, kind: str, searches: int) -> int:
        # Somebody else may have been first: the free searches are taken once.
        if context.deferred.pending.begun_by(call.id) is not call:
            return 0
        day = utc_day(call.started_at)
        return context.free_searches.take(call.upstream_key, model, kind, searches, day)

    return take
