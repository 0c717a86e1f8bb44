"""Accounting of a finished call: outcome, tokens and cost of its row.

Pure. The contract's rules: tokens as Google names them, NULL if not reported; cost 0 only where that is
certain (refused, status >= 400, a free route, request not completely sent), NULL if unknown, and an expected
one (`pricing.expected`) if the client left before any usage was reported. A key's budget is charged an upper
bound for an unknown cost, and for a call that the gateway ended before a response (timeout, shutdown); the
journal's line holds it, and the row's `usage_note` says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from gatekeeper.gemini.actions import CACHE_CREATE, CACHE_UPDATE, VIDEO_ACTIONS, Billing
from gatekeeper.gemini.billed_units import BilledUnits, billed_units
from gatekeeper.gemini.json_values import read_tier
from gatekeeper.gemini.request_parser import EMPTY_BODY
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.usage import read_usage
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS
from gatekeeper.pricing.cost_notes import PENDING_VIDEOS, bound_note, budget_rest_note
from gatekeeper.pricing.expected import EXPECTED_ACTIONS, expected_quote, expected_usage
from gatekeeper.pricing.priced_call import has_failed
from gatekeeper.pricing.quote import NO_BILLED_UNITS, searches_charged
from gatekeeper.pricing.worst_case import worst_case
from gatekeeper.proxy.call_price import call_quote, set_tokens
from gatekeeper.proxy.deferred_charges import pending_charge, pending_note
from gatekeeper.proxy.failures import CallFailed, error_message
from gatekeeper.proxy.upstream_exchange import NO_EXCHANGE, UpstreamExchange
from gatekeeper.times import from_micros, utc_day

if TYPE_CHECKING:
    from gatekeeper.gemini.response_parser import ResponseSummary


ENDED_EARLY = (Outcome.CLIENT_DISCONNECTED, Outcome.CUT, Outcome.UPSTREAM_BROKEN)
PARTIAL_USAGE_NOTE = "the response ended early: these are the last tokens that it reported"


class Accounting(msgspec.Struct, kw_only=True):
    """The inputs by which `complete` fills in the row of a call that has ended.

    `request` is the summary of the request's body; `response` the meter's result; `tier` the response's
    `x-gemini-service-tier`. `secrets` are never written into the row. `free_searches` counts the searches of
    the project's free allowance. `is_compressed`: whether the request's body was. `is_complete`: whether all
    of the response was read, with or without the client. `chargeable` is called where the cost is uncertain:
    how much of its budgets the call may be charged, in pico-dollars; None without a budget, and if nothing
    was sent to Google. `max_cost_pico`: the most that the call can cost by its request.
    """

    route: Route
    response: ResponseSummary
    catalogue: Catalogue
    free_searches: FreeSearches
    request: RequestSummary = EMPTY_BODY.summary
    secrets: Iterable[str] = ()
    failure: CallFailed | None = None
    tier: bytes | None = None
    exchange: UpstreamExchange = NO_EXCHANGE
    is_compressed: bool = False
    is_complete: bool = False
    chargeable: Callable[[], int | None] = lambda: None
    max_cost_pico: int | None = None

    def complete(self, call: CallRecord) -> None:
        """Fills in the row."""
        response, failure = self.response, self.failure
        self._set_outcome(call)
        has_error = failure is not None or response.error is not None
        call.error_message = error_message(failure, response.error, self.secrets) if has_error else None
        usage = apply_summary(call, response)
        # Google bills the tier that its response names, which need not be the one that was asked for.
        call.service_tier = (
            (usage.service_tier if usage else None)
            or response.service_tier
            or (read_tier(self.tier.decode("latin-1")) if self.tier else None)
        )
        failed = self._has_failed(call)
        call.billed_units = self._units(call, failed=failed) or None
        call.pending = pending_charge(call, self.request)
        expected = None
        if failed or self.route.billing is Billing.FREE:
            call.cost_pico = 0
        else:
            self._set_cost(call, usage)
            if call.cost_pico is None and call.outcome is Outcome.CLIENT_DISCONNECTED and not usage:
                expected = self._set_expected_cost(call)
        # Drops the upper bound of the call's start; below it is recomputed from what is known now, if needed.
        call.charged_pico = None
        partial = usage and call.cost_pico and call.outcome in ENDED_EARLY and not self.is_complete
        call.usage_note = _notes(
            response.usage_note,
            usage and usage.note,
            UNREADABLE_NOTE if response.usage and usage is None else None,
            PARTIAL_USAGE_NOTE if partial else None,
            _pending_note(call),
            expected,
        )
        # A budget must also hold if the cost stays unknown, or is only expected.
        uncertain = call.cost_pico is None or expected is not None or _was_abandoned(call, failure)
        if uncertain and self.route.billable and (chargeable_pico := self.chargeable()) is not None:
            self._charge_bound(call, usage, chargeable_pico)

    def _set_outcome(self, call: CallRecord) -> None:
        failure, error = self.failure, self.response.error
        if failure is not None:
            call.outcome = failure.outcome
            call.reason = failure.refusal.reason.value if failure.refusal else None
        elif error is not None or (call.status or 0) >= 400:
            call.outcome = Outcome.UPSTREAM_ERROR
            call.reason = error.reason if error else None
        else:
            call.outcome = Outcome.OK

    def _has_failed(self, call: CallRecord) -> bool:
        """Whether Google has not run the call, or has responded with an error: then it charges nothing."""
        # The client may have left before it was sent a status.
        status = call.status or self.exchange.upstream_status
        never_sent = call.outcome is Outcome.CLIENT_DISCONNECTED and self.exchange.request_sent is False
        return never_sent or has_failed(call.outcome, status)

    def _units(self, call: CallRecord, *, failed: bool) -> BilledUnits:
        """The billed units other than tokens; for a failed call only those that its response reports."""
        response = self.response
        if failed:
            return response.billed_units
        if not (self.is_complete or call.outcome is Outcome.OK):
            # Also without any response: what was requested may not have been generated.
            response = msgspec.structs.replace(response, complete=False)
        return billed_units(call.action, call.model, self.request, response)

    def _set_cost(self, call: CallRecord, usage: Usage | None) -> None:
        # To make or prolong a cache costs nothing: its storage is charged in rows of its own
        # (`cache_storage`).
        if call.outcome is Outcome.OK and call.action in (CACHE_CREATE, CACHE_UPDATE):
            call.cost_pico = 0
            return
        # NULL, not 0: Google may charge for it, and the amount is unknown.
        if not (call.model or call.model_version) or call.pending or call.action in VIDEO_ACTIONS:
            return
        if call.billed_units:
            self._take_free_searches(call, usage)
        priced = call_quote(call, usage, self.catalogue)
        call.cost_pico = priced.cost_pico
        call.price_version = None if priced.cost_pico is None else priced.price_version

    def _take_free_searches(self, call: CallRecord, usage: Usage | None) -> None:
        """Notes in the row's units what of its searches is within its Google project's free allowance."""
        model, day = call.model_version or call.model or "", utc_day(call.started_at)
        units = call.billed_units or {}
        charged = searches_charged(
            self.catalogue,
            model=model,
            usage=usage,
            day=day,
            tier=call.service_tier or "standard",
            billed_units=units,
        )
        for kind, searches in charged.items():
            if free := self.free_searches.take(call.upstream_key, model, kind, searches, day):
                call.billed_units = {**units, SEARCH_KINDS[kind].free: free}
                units = call.billed_units

    def _set_expected_cost(self, call: CallRecord) -> str | None:
        """Of a call whose client left before any usage was reported: sets the cost that is expected, if any
        is, and returns its note."""
        model, exchange = call.model or call.model_version, self.exchange
        if not (model and exchange.request_sent and call.action in EXPECTED_ACTIONS):
            return None
        priced, note = expected_quote(
            self.catalogue,
            expected_usage(
                exchange.request_size(),
                exchange.response_bytes or call.response_bytes,
                call.action,
                is_compressed=self.is_compressed,
            ),
            model=model,
            model_version=call.model_version,
            at=from_micros(call.started_at),
            tier=call.service_tier or "standard",
            action=call.action,
            billed_units=call.billed_units or NO_BILLED_UNITS,
        )
        if priced.cost_pico is None:
            return None
        call.cost_pico, call.price_version = priced.cost_pico, priced.price_version
        return note

    def _charge_bound(self, call: CallRecord, usage: Usage | None, chargeable_pico: int) -> None:
        """Charges the budgets an upper bound of the unknown cost."""
        most, note = worst_case(
            self.catalogue,
            model=call.model,
            model_version=call.model_version,
            usage=usage,
            at=from_micros(call.started_at),
            tier=call.service_tier or "standard",
            action=call.action,
            billed_units=call.billed_units or NO_BILLED_UNITS,
            # A compressed body says nothing of how long its prompt is.
            request_bytes=None if self.is_compressed else call.request_bytes,
        )
        bound = self.max_cost_pico
        if bound is not None and most > bound and not (usage or call.billed_units):
            most, note = bound, bound_note(bound)
        if most > chargeable_pico:
            # Never more than the budget has: spend and reservations together stay within it.
            most, note = chargeable_pico, budget_rest_note(chargeable_pico)
        call.charged_pico, call.usage_note = most, _notes(call.usage_note, note)


def apply_summary(call: CallRecord, summary: ResponseSummary) -> Usage | None:
    """Model version, finish and block reason, resource and tokens of the response; for a running call those
    reported so far."""
    call.model_version, call.finish_reason = summary.model_version, summary.finish_reason
    call.block_reason = summary.block_reason
    call.billed_units = summary.billed_units or None
    call.continuations = list(summary.continuations)
    if made := summary.resource:
        # What the path names comes first, unless the call has made something in it: a document of a store.
        # A cached content was named by the body, and so comes last.
        named = call.resource
        if named is None or named.startswith("cachedContents/") or made.startswith(f"{named}/"):
            call.resource = made
    # Of a Live session it is a sum that was kept along the way, so that its end takes no longer.
    usage = summary.read_usage
    if usage is None and summary.usage:
        usage = read_usage(summary.usage)
    set_tokens(call, summary.usage, usage)
    return usage


def apply_request(call: CallRecord, summary: RequestSummary) -> None:
    """What the request's body names, where the path does not: the first model, a cached content, and whether
    the response is a stream (a path with a model says that, too)."""
    if call.model is None:
        call.model = next(iter(summary.models), None)
        call.stream = call.stream or summary.stream
    call.resource = call.resource or next(iter(summary.cached_contents), None)


def _pending_note(call: CallRecord) -> str | None:
    if call.pending and call.pending.resource:
        return pending_note(call.pending.resource)
    return PENDING_VIDEOS if call.action in VIDEO_ACTIONS and call.cost_pico is None else None


def _notes(*notes: str | None) -> str | None:
    """The notes joined by `; `, without duplicates."""
    given = list(filter(None, notes))  # mostly none
    return "; ".join(dict.fromkeys(part for note in given for part in note.split("; "))) if given else None


def _was_abandoned(call: CallRecord, failure: CallFailed | None) -> bool:
    """Whether the client got an error of the gateway's although Google may have run the call."""
    return (
        failure is not None
        and failure.may_have_run
        and failure.refusal is not None
        and call.status == failure.refusal.status
    )
