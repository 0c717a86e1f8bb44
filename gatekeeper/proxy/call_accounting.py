"""Accounting of a finished call: outcome, tokens, cost.

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
from gatekeeper.gemini.request_parser import NOTHING_NAMED
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.usage import read_usage
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE
from gatekeeper.gemini.usage_total import Usage
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS
from gatekeeper.pricing.cost_notes import PENDING_VIDEOS, bound_note, budget_rest_note
from gatekeeper.pricing.expected import EXPECTED_ACTIONS, expected_quote, expected_usage
from gatekeeper.pricing.priced_call import has_failed
from gatekeeper.pricing.quote import NO_BILLED_UNITS, searches_charged
from gatekeeper.pricing.worst_case import worst_case
from gatekeeper.proxy.call_quote import call_quote, set_tokens
from gatekeeper.proxy.disconnect import CONNECTED, Progress
from gatekeeper.proxy.failures import CallFailed, error_message
from gatekeeper.proxy.pending_charge import pending_charge, pending_note
from gatekeeper.times import from_micros, utc_day

if TYPE_CHECKING:
    from gatekeeper.gemini.response_parser import ResponseSummary


ENDED_EARLY = (Outcome.CLIENT_DISCONNECTED, Outcome.CUT, Outcome.UPSTREAM_BROKEN)
PARTIAL_USAGE_NOTE = "the response ended early: these are the last tokens that it reported"


def complete_row(
    call: CallRecord,
    route: Route,
    failure: CallFailed | None,
    summary: ResponseSummary,
    tier: bytes | None,
    catalogue: Catalogue,
    free_searches: FreeSearches,
    secrets: Iterable[str] = (),
    *,
    request_summary: RequestSummary = NOTHING_NAMED.summary,
    chargeable: Callable[[], int | None] = lambda: None,
    most_pico: int | None = None,
    is_compressed: bool = False,
    progress: Progress = CONNECTED,
    is_complete: bool = False,
) -> None:
    """Fills in the row. `tier` is the response's `x-gemini-service-tier`, `summary` its meter's result;
    `secrets` are never written into the row, `request_summary` is what the request's body names. `chargeable`
    is asked where the cost is uncertain: what its budgets have for it in pico-dollars, if it has some and was
    sent to Google; `most_pico`: what it can cost at most by its request; `is_compressed`: whether its request
    body was. `free_searches` counts what the call takes of its project's allowance. `is_complete`: whether
    all of the response was read, by the client or without it."""
    _outcome(call, failure, summary)
    has_error = failure is not None or summary.error is not None
    call.error_message = error_message(failure, summary.error, secrets) if has_error else None
    usage = apply_summary(call, summary)
    # Google bills the tier that its response names, which need not be the one that was asked for.
    call.service_tier = (
        (usage.service_tier if usage else None)
        or summary.service_tier
        or (tier.decode("latin-1").lower() if tier else None)
    )
    failed = _has_failed(call, progress)
    if not (is_complete or call.outcome is Outcome.OK):
        # Also where no response was read at all: what was asked for may not have been made.
        summary = msgspec.structs.replace(summary, complete=False)
    call.billed_units = _units(call, request_summary, summary, failed=failed) or None
    call.pending = pending_charge(call, request_summary)
    expected = None
    if failed or route.billing is Billing.FREE:
        call.cost_pico = 0
    else:
        _cost(call, usage, catalogue, free_searches)
        if call.cost_pico is None and call.outcome is Outcome.CLIENT_DISCONNECTED and not usage:
            expected = _expected_cost(call, catalogue, progress, is_compressed=is_compressed)
    # Drops the upper bound of the call's start; below it is recomputed from what is known now, if needed.
    call.charged_pico = None
    partial = usage and call.cost_pico and call.outcome in ENDED_EARLY and not is_complete
    call.usage_note = _notes(
        summary.usage_note,
        usage and usage.note,
        UNREADABLE_NOTE if summary.usage and usage is None else None,
        PARTIAL_USAGE_NOTE if partial else None,
        _pending_note(call),
        expected,
    )
    # A budget must also hold if the cost stays unknown, or is only expected.
    uncertain = call.cost_pico is None or expected is not None or _was_abandoned(call, failure)
    if uncertain and route.billable and (chargeable_pico := chargeable()) is not None:
        # A compressed body says nothing of how long its prompt is.
        size = None if is_compressed else call.request_bytes
        _estimate_charge(call, usage, size, catalogue, chargeable_pico, most_pico)


def _pending_note(call: CallRecord) -> str | None:
    if call.pending and call.pending.resource:
        return pending_note(call.pending.resource)
    return PENDING_VIDEOS if call.action in VIDEO_ACTIONS and call.cost_pico is None else None


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


def _estimate_charge(
    call: CallRecord,
    usage: Usage | None,
    request_bytes: int | None,
    catalogue: Catalogue,
    chargeable_pico: int,
    most_pico: int | None,
) -> None:
    most, note = worst_case(
        catalogue,
        model=call.model,
        model_version=call.model_version,
        usage=usage,
        at=from_micros(call.started_at),
        tier=call.service_tier or "standard",
        action=call.action,
        billed_units=call.billed_units or NO_BILLED_UNITS,
        request_bytes=request_bytes,
    )
    if most_pico is not None and most > most_pico and not (usage or call.billed_units):
        most, note = most_pico, bound_note(most_pico)
    if most > chargeable_pico:
        # Never more than the budget has: spend and reservations together stay within it.
        most, note = chargeable_pico, budget_rest_note(chargeable_pico)
    call.charged_pico, call.usage_note = most, _notes(call.usage_note, note)


def _notes(*notes: str | None) -> str | None:
    """Together, each once."""
    given = list(filter(None, notes))  # mostly none
    return "; ".join(dict.fromkeys(part for note in given for part in note.split("; "))) if given else None


def _was_abandoned(call: CallRecord, failure: CallFailed | None) -> bool:
    """Whether the client got the gateway's error in place of a response that Google may have computed."""
    return (
        failure is not None
        and failure.may_have_run
        and failure.refusal is not None
        and call.status == failure.refusal.status
    )


def _outcome(call: CallRecord, failure: CallFailed | None, summary: ResponseSummary) -> None:
    error = summary.error
    if failure is not None:
        call.outcome = failure.outcome
        call.reason = failure.refusal.reason.value if failure.refusal else None
    elif error is not None or (call.status or 0) >= 400:
        call.outcome = Outcome.UPSTREAM_ERROR
        call.reason = error.reason if error else None
    else:
        call.outcome = Outcome.OK


def _has_failed(call: CallRecord, progress: Progress) -> bool:
    """Whether Google has not run the call, or has answered with an error: it charges nothing then."""
    # The client may have left before it was sent a status.
    status = call.status or progress.upstream_status
    never_sent = call.outcome is Outcome.CLIENT_DISCONNECTED and progress.request_sent is False
    return never_sent or has_failed(call.outcome, status)


def _units(
    call: CallRecord, request_summary: RequestSummary, summary: ResponseSummary, *, failed: bool
) -> BilledUnits:
    """What was used beside tokens; of a call that failed only what its response says."""
    return summary.billed_units if failed else billed_units(call.action, call.model, request_summary, summary)


def _expected_cost(
    call: CallRecord, catalogue: Catalogue, progress: Progress, *, is_compressed: bool
) -> str | None:
    """Of a call whose client left before any usage was reported: sets the cost that is expected, if any is,
    and returns its note."""
    model = call.model or call.model_version
    if not (model and progress.request_sent and call.action in EXPECTED_ACTIONS):
        return None
    priced, note = expected_quote(
        catalogue,
        expected_usage(
            progress.request_size(),
            progress.response_bytes or call.response_bytes,
            call.action,
            is_compressed=is_compressed,
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


def _cost(call: CallRecord, usage: Usage | None, catalogue: Catalogue, free_searches: FreeSearches) -> None:
    # To make or prolong a cache costs nothing: its storage is charged in rows of its own (`cache_storage`).
    if call.outcome is Outcome.OK and call.action in (CACHE_CREATE, CACHE_UPDATE):
        call.cost_pico = 0
        return
    # NULL, not 0: Google may charge for it, and the amount is unknown.
    if not (call.model or call.model_version) or call.pending or call.action in VIDEO_ACTIONS:
        return
    if call.billed_units:
        _take_free_searches(call, usage, catalogue, free_searches)
    priced = call_quote(call, usage, catalogue)
    call.cost_pico = priced.cost_pico
    call.price_version = None if priced.cost_pico is None else priced.price_version


def _take_free_searches(
    call: CallRecord, usage: Usage | None, catalogue: Catalogue, free_searches: FreeSearches
) -> None:
    """Notes in the row's units what of its searches is within its Google project's free allowance."""
    model, day = call.model_version or call.model or "", utc_day(call.started_at)
    units = call.billed_units or {}
    charged = searches_charged(
        catalogue,
        model=model,
        usage=usage,
        day=day,
        tier=call.service_tier or "standard",
        billed_units=units,
    )
    for kind, searches in charged.items():
        if free := free_searches.take(call.upstream_key, model, kind, searches, day):
            call.billed_units = {**units, SEARCH_KINDS[kind].free: free}
            units = call.billed_units
