"""Budget reservations of one call: what it may cost is reserved in the budgets of its accounts before
anything goes upstream, and released at its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import msgspec

from gatekeeper.gemini.actions import MEDIA_ACTIONS, USAGE_AT_END
from gatekeeper.gemini.billed_units import billed_units
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.keys.account import Account
from gatekeeper.keys.budget_rules import over_budget, short_of_budget
from gatekeeper.keys.budgets import (
    CostForecast,
    Reservation,
    Shortfall,
    accounts_with_budget,
    binding_account,
    pico_to_reserve,
    remaining_pico,
    wanted_pico,
)
from gatekeeper.keys.cost_history import CostStatistics, cost_name
from gatekeeper.keys.policies import may_search
from gatekeeper.keys.spend import current_spend
from gatekeeper.pricing.bound import Bound, RequestedUse, bound
from gatekeeper.pricing.expected import TEXT_BYTES
from gatekeeper.pricing.worst_case import DEFAULT_QUERY_COUNT
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import Refused
from gatekeeper.refusals import Refusal
from gatekeeper.runtime import now_micros
from gatekeeper.times import utc_day

NOT_ANSWERED = ResponseSummary(complete=True)
# 10^12 dollars, above any budget that can be set: nothing is known of the call.
UNKNOWN_BOUND = Bound(10**24, is_firm=False, input_pico=0, usual_pico=10**24)
MEDIA_WORDS = (b"nline", b"audio", b"image", b"video", b"\\u00")


class BudgetRequest(msgspec.Struct, frozen=True):
    """What a call needs of the budgets of these accounts; `forecast` computes the current forecast of its
    cost."""

    accounts: tuple[Account, ...]
    bound: Bound
    forecast: Callable[[], CostForecast]


async def reserve(call: ProxyCall, body: bytes | None) -> None:
    """Reserves what the call may cost, and waits if other calls hold it; to be called once its body was
    received. `body` is None if it was not buffered. Raises Refused."""
    if (wanted := budget_request(call, body)) is None:
        return
    accounts, forecast = wanted.accounts, wanted.forecast
    found = call.context.budgets.reserve_at_once(accounts, forecast, now_micros)
    if found is Shortfall.WAIT:
        call.record_begin()
        # The time that it waits is neither the client's nor the upstream's: both have as much left after it.
        left, call.deadline = call.deadline - call.context.current_time(), math.inf
        found = await call.context.budgets.reserve(accounts, forecast, now_micros)
        call.deadline = call.context.current_time() + left
    if not isinstance(found, Reservation):
        raise Refused(_refusal(accounts, forecast()))
    if not found.accounts:  # their budgets were taken away while it waited
        return
    call.reservation, call.cost_bound = found, wanted.bound
    call.row.charged_pico = found.pico  # kept if the process is killed
    if call.begin_recorded:
        call.record_begin()


def preview_reservation(call: ProxyCall, body: bytes) -> int | Shortfall | None:
    """What `reserve` would reserve now (pico-dollars), or `Shortfall.WAIT`; None without a budget. Raises
    Refused."""
    if (wanted := budget_request(call, body)) is None:
        return None
    forecast, binding = wanted.forecast(), binding_account(wanted.accounts, at := now_micros())
    found = pico_to_reserve(forecast, remaining_pico(binding, at), binding.reserved_pico)
    if found is Shortfall.REFUSE:
        raise Refused(_refusal(wanted.accounts, forecast))
    return found


def chargeable(call: ProxyCall) -> int | None:
    """How much a call of unknown cost may be charged to its budgets, in pico-dollars; None without a budget,
    and if nothing was sent to Google."""
    if call.reservation is None or call.exchange.started_at is None:
        return None
    # By the time of day, as the periods of budgets are.
    return call.context.budgets.available(call.reservation, now_micros())


def max_cost_pico(call: ProxyCall) -> int | None:
    """The most that the call can cost, in pico-dollars; None if its request does not limit that."""
    bound = call.cost_bound
    return bound.pico if bound is not None and bound.is_firm else None


def release_budget(call: ProxyCall) -> None:
    """Releases the reservation, once the call's cost is in the spend of its accounts."""
    if call.reservation is not None:
        call.context.budgets.release(call.reservation)
    call.context.cost_history.note_call(call.row, call.cost_bound.pico if call.cost_bound else 0)


def budget_request(call: ProxyCall, body: bytes | None) -> BudgetRequest | None:
    """None if no account has a budget, or the route is free."""
    request_summary = call.request_parser.summary
    model = call.row.model or call.route.model
    accounts = accounts_with_budget(
        (*call.accounts, *call.context.registry.accounts.of_model(call.accounts, model))
    )
    if not accounts or not call.route.billable:
        return None
    try:
        known = _bound(call, request_summary, body, model or "")
    except Exception as error:  # noqa: BLE001  it keeps no call from being answered
        call.context.accounting_errors.record_exception(error)
        known = UNKNOWN_BOUND
    return BudgetRequest(accounts, known, partial(_forecast, call, known, model or "", body))


def _refusal(accounts: tuple[Account, ...], forecast: CostForecast) -> Refusal:
    account, at = binding_account(accounts, now_micros()), now_micros()
    spent, reset_at = current_spend(account, at)
    budget = account.record.max_budget_pico or 0
    if spent >= budget:
        return over_budget(account, spent, reset_at, at)
    needed = wanted_pico(forecast, remaining_pico(account, at) + account.reserved_pico)
    fits_alone = not isinstance(pico_to_reserve(forecast, budget, 0), Shortfall)
    return short_of_budget(account, needed, at, fits_alone=fits_alone)


def _forecast(call: ProxyCall, known: Bound, model: str, body: bytes | None) -> CostForecast:
    row = call.row
    statistics = call.context.cost_history.of(row.key_id or "", model, row.action or "")
    size = call.transport.received_bytes if body is None else len(body)
    likely = statistics.likely(size, known.input_pico)
    firm = round(known.pico * statistics.excess)
    if not row.stream or row.action in USAGE_AT_END:  # cut too late, if at all
        expected = statistics.expected(size, known.input_pico)
        return CostForecast(firm, known.is_firm, expected, likely, calls=statistics.calls)
    first, step = statistics.first_event
    # The first event is charged with the prompt, which may be longer than any before.
    first = max(first, -(-size // TEXT_BYTES) * known.input_pico)
    # A stream is metered and can reserve more: the recent cost of such responses is enough to start with.
    usual = firm if known.is_firm and likely is None else _usual_pico(statistics, known, size)
    return CostForecast(firm, known.is_firm, usual, likely, first + step)


def usual_pico(call: ProxyCall) -> int:
    """The recent mean cost of such streams, in pico-dollars, else an estimate by the request; 0 without a
    bound."""
    if (known := call.cost_bound) is None:
        return 0
    statistics = call.context.cost_history.of(*cost_name(call.row))
    return _usual_pico(statistics, known, call.transport.received_bytes)


def _usual_pico(statistics: CostStatistics, known: Bound, size: int) -> int:
    return statistics.expected(size, known.input_pico) or min(
        round(known.pico * statistics.excess), known.usual_pico
    )


def _bound(call: ProxyCall, request_summary: RequestSummary, body: bytes | None, model: str) -> Bound:
    row = call.row
    size = call.transport.received_bytes if body is None else len(body)
    makes_media = row.action in MEDIA_ACTIONS
    return bound(
        call.context.catalogue,
        model,
        utc_day(row.started_at),
        RequestedUse(
            action=row.action,
            request_bytes=size,
            has_references=request_summary.has_references or call.head.is_compressed,
            is_text=body is not None and not [word for word in MEDIA_WORDS if word in body],
            output_tokens=request_summary.max_output_tokens if request_summary.understood else None,
            candidates=max(1, request_summary.candidate_count or 1),
            tiers=request_summary.service_tiers,
            searches=_searches(call, request_summary),
            units=billed_units(row.action, model, request_summary, NOT_ANSWERED) if makes_media else {},
        ),
    )


def _searches(call: ProxyCall, request_summary: RequestSummary) -> int:
    """The most searches that the call may make: those that its tools allow, or fewer if a policy cuts its
    stream."""
    if request_summary.understood and not any(may_search(tool) for tool in request_summary.tools):
        return 0
    caps = [account.record.max_searches for account in call.accounts if call.row.stream]
    return min([DEFAULT_QUERY_COUNT, *(cap for cap in caps if cap is not None)])
