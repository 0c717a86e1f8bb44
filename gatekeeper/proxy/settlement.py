"""What a call came to: from how it ended and what its answer said to the row's tokens, cost and outcome.

Pure. The contract's rules: tokens as Google names them, NULL where not reported; a cost of 0 only for what is
known to cost nothing (refused, answered with 400 or more, free by its route), NULL where it is unknown. A
key's budget is charged an upper estimate for what is unknown, and for a call that was given up before its
answer; that is on the journal's line, and the row's `usage_note` says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from gatekeeper.gemini.actions import Charge
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.usage import Usage, read_usage
from gatekeeper.ledger.call import Call, Outcome
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.estimate import estimate, in_advance
from gatekeeper.pricing.quote import quote
from gatekeeper.proxy.outcomes import CallFailed, error_message
from gatekeeper.times import day_of, moment_of

if TYPE_CHECKING:
    from gatekeeper.gemini.response_parser import Reading


ENDED_EARLY = (Outcome.CLIENT_DISCONNECTED, Outcome.CUT, Outcome.UPSTREAM_BROKEN)
SO_FAR = "the answer ended early: these are the last tokens that it reported"


def account(
    call: Call,
    route: Route,
    failure: CallFailed | None,
    reading: Reading,
    tier: bytes | None,
    catalogue: Catalogue,
    secrets: Iterable[str] = (),
    *,
    budgeted: bool = False,
    coded: bool = False,
) -> None:
    """Fills in the row. `tier` is the answer's `x-gemini-service-tier`, `reading` what its meter read;
    `secrets` must not get into the row, whoever has written them. `budgeted`: whether the call went to Google
    for a key that has a budget; `coded`: whether its request was zipped."""
    _outcome(call, failure, reading)
    call.error_message = error_message(failure, reading.error, secrets)
    usage = take_reading(call, reading)
    call.service_tier = (usage.service_tier if usage else None) or (
        tier.decode("latin-1").lower() if tier else None
    )
    _cost(call, route, usage, reading, catalogue)
    # The estimate from before the answer; below it is made anew from what is known now, if it has to be.
    call.charged_pico = None  # what was charged in advance
    call.usage_note = SO_FAR if usage and call.cost_pico and call.outcome in ENDED_EARLY else None
    # A budget must hold also where the cost stays unknown.
    if budgeted and route.billable and (call.cost_pico is None or _was_given_up(call, failure)):
        _charge(call, usage, reading.charges, None if coded else call.request_bytes, catalogue)


def take_reading(call: Call, reading: Reading) -> Usage | None:
    """What the answer says of itself and its tokens; of a call that runs, what it has said until now."""
    call.model_version, call.finish_reason = reading.model_version, reading.finish_reason
    usage = read_usage(reading.usage) if reading.usage else None
    _tokens(call, reading.usage, usage)
    return usage


def charge_in_advance(call: Call, route: Route, request_bytes: int | None, catalogue: Catalogue) -> None:
    """What the budget of the call's key is charged if the gateway dies before the call ends. `request_bytes`
    None: it is not known how long the request is."""
    if route.billable:
        call.charged_pico = in_advance(
            catalogue,
            model=call.model,
            day=day_of(call.started_at),
            action=call.action,
            request_bytes=request_bytes,
        )


def _charge(
    call: Call,
    usage: Usage | None,
    charges: Mapping[str, int | None],
    request_bytes: int | None,
    catalogue: Catalogue,
) -> None:
    call.charged_pico, call.usage_note = estimate(
        catalogue,
        model=call.model,
        model_version=call.model_version,
        usage=usage,
        at=moment_of(call.started_at),
        tier=call.service_tier or "standard",
        action=call.action,
        charges=charges,
        request_bytes=request_bytes,
    )


def _was_given_up(call: Call, failure: CallFailed | None) -> bool:
    """Whether the client got an error of the gateway's in place of an answer that Google may have made."""
    return (
        failure is not None
        and failure.may_have_run
        and failure.refusal is not None
        and call.status == failure.refusal.status
    )


def _outcome(call: Call, failure: CallFailed | None, reading: Reading) -> None:
    error = reading.error
    if failure is not None:
        call.outcome = failure.outcome
        call.reason = failure.refusal.reason.value if failure.refusal else None
    elif error is not None or (call.status or 0) >= 400:
        call.outcome = Outcome.UPSTREAM_ERROR
        call.reason = error.reason if error else None
    else:
        call.outcome = Outcome.OK


def _tokens(call: Call, raw: bytes | None, usage: Usage | None) -> None:
    if raw is None or usage is None:
        return
    call.usage = msgspec.Raw(raw)
    call.prompt_tokens, call.cached_tokens = usage.prompt, usage.cached
    call.output_tokens, call.thoughts_tokens = usage.output, usage.thoughts
    call.tool_tokens, call.total_tokens = usage.tool, usage.total


def _cost(call: Call, route: Route, usage: Usage | None, reading: Reading, catalogue: Catalogue) -> None:
    if call.outcome is Outcome.REFUSED or (call.status or 0) >= 400 or route.charge is Charge.FREE:
        call.cost_pico = 0
        return
    # NULL, not 0: somebody may be charged for it, and nobody here knows how much.
    if route.charge is Charge.UNKNOWN or call.model is None:
        return
    priced = quote(
        catalogue,
        model=call.model,
        model_version=call.model_version,
        usage=usage,
        at=moment_of(call.started_at),
        tier=call.service_tier or "standard",
        action=call.action,
        charges=reading.charges,
    )
    call.cost_pico = priced.cost_pico
    call.price_version = None if priced.cost_pico is None else priced.price_version
