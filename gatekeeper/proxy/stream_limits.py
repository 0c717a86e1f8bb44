"""Cuts a running stream that goes beyond a limit: of its accounts' searches (`max_searches`), or of their
budgets.

A stream's cost is computed while it runs, so that it can be cut before it exceeds its budget. After each
chunk the cost so far is computed from the usage and the searches that were reported last; until then the call
continues. A stream close to its reservation reserves more if its budgets allow it; otherwise it is cut while
the rest of the reservation still covers the next event.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gatekeeper.gemini.meter_layers import Meter, OuterMeter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.usage import read_stream_usage, read_usage
from gatekeeper.keys.budget_rules import short_of_budget
from gatekeeper.keys.budgets import Reservation, binding_account, may_be_overdrawn, remaining_pico
from gatekeeper.keys.cost_history import cost_name
from gatekeeper.keys.policies import too_many_searches
from gatekeeper.pricing.quote import NO_BILLED_UNITS
from gatekeeper.pricing.stream_cost import StreamCost
from gatekeeper.pricing.worst_case import worst_case
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_budget import max_cost_pico, usual_pico
from gatekeeper.proxy.deferred_charges import IN_PROGRESS
from gatekeeper.proxy.failures import CutByGateway
from gatekeeper.refusals import Refusal
from gatekeeper.runtime import now_micros
from gatekeeper.times import from_micros

RESERVATION_GROWTH = (5, 4)  # of what is reserved, by what a stream has cost
RUNNING = (None, IN_PROGRESS)  # finish reasons


Check = Callable[[ResponseSummary], None]


class LimitedMeter(OuterMeter):
    """Wraps a meter and calls `check` after each chunk; `check` raises CutByGateway to end the call.

    In the middle of an event no error event can be appended: the call is then ended after that event, or at
    the latest with the next usage."""

    __slots__ = ("_check", "_cut", "_last_usage")

    def __init__(self, meter: Meter, check: Check) -> None:
        super().__init__(meter)
        self._check = check
        self._cut: CutByGateway | None = None
        self._last_usage: bytes | None = None

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)
        if self._cut is None:
            try:
                self._check(self._meter.summary)
            except CutByGateway as cut:
                self._cut, self._last_usage = cut, self._meter.summary.usage
            else:
                return
        if self._meter.delimiters is not None or self._meter.summary.usage != self._last_usage:
            raise self._cut


def with_limits(call: ProxyCall, meter: Meter) -> Meter:
    """The meter of a call's response, wrapped so that it ends the call at its limits. Only a stream is cut:
    the cost of any other response is incurred before its first byte."""
    if not call.row.stream:
        return meter
    # Not for a read that is streamed (an interaction's events): the searches were another call's.
    if call.route.billable and limits_searches(call):
        meter = LimitedMeter(meter, partial(check_searches, call))
    if (reservation := call.reservation) is not None:
        meter = LimitedMeter(meter, SpendWatch(call, reservation).check)
    return meter


def limits_searches(call: ProxyCall) -> bool:
    return any(account.record.max_searches is not None for account in call.accounts)


def check_searches(call: ProxyCall, summary: ResponseSummary) -> None:
    """Raises CutByGateway."""
    if refusal := search_refusal(call, summary):
        raise CutByGateway(refusal)


def search_refusal(call: ProxyCall, summary: ResponseSummary) -> Refusal | None:
    """The refusal of a call whose response has reported too many searches; None if it may continue."""
    # None is an unknown number of searches: at least one.
    searches = sum(1 if count is None else count for count in summary.billed_units.values())
    refusals = (too_many_searches(account, searches) for account in call.accounts)
    return next((refusal for refusal in refusals if refusal), None)


class SpendWatch:
    """Watches the cost of one streaming call that has a budget reservation."""

    __slots__ = (
        "_call", "_cost", "_events_ahead", "_first", "_has_ended", "_is_session", "_largest_step",
        "_max_cost_pico", "_reported", "_reservation", "_stream_cost",
    )  # fmt: skip

    def __init__(self, call: ProxyCall, reservation: Reservation) -> None:
        self._call = call
        self._reservation = reservation
        self._reported: object = None
        self._first = self._cost = 0
        self._events_ahead = 1
        self._has_ended = False
        self._is_session = call.transport.is_stream
        self._max_cost_pico = max_cost_pico(call)
        self._stream_cost = StreamCost()
        self._largest_step = call.context.cost_history.of(*cost_name(call.row)).first_event[1]

    def check(self, summary: ResponseSummary) -> None:
        """Raises CutByGateway if the call may not continue."""
        usage = summary.usage
        # Searches are not part of the usage, and another model version has other prices.
        reported = (usage, summary.model_version, summary.service_tier, summary.billed_units)
        if usage is None or reported == self._reported:
            return
        self._reported = reported
        cost = self._cost_by(summary, usage)
        if is_first := not self._first:
            self._first = cost
        elif cost - self._cost > self._largest_step:
            self._largest_step = cost - self._cost
        self._cost = cost
        self._call.context.cost_history.note_events(
            cost_name(self._call.row), self._first, self._largest_step
        )
        if self._is_session:
            # The next turn of a Live session is charged for its whole context again.
            self._ensure_reserved(cost + max(self._largest_step, self._first))
        elif self._has_ended or self._may_go_on(summary):
            if self._call.meter.delimiters is None:
                # A part of the next event has arrived already, and the call can be ended only after it.
                self._events_ahead = 2
            needed = cost + self._events_ahead * self._largest_step
            # A firm bound limits the next event too, unless the call has exceeded it already.
            most = self._max_cost_pico
            self._ensure_reserved(needed if most is None or cost > most else min(needed, most))
            if is_first:
                self._give_back(needed)
        # Some streams report a finish reason and continue (before code execution, or in each event).
        self._has_ended = summary.finish_reason not in RUNNING

    def _may_go_on(self, summary: ResponseSummary) -> bool:
        """Whether a stream may cost more: it has no finish reason yet, or may have other candidates that have
        none."""
        if summary.finish_reason in RUNNING:
            return True
        asked = self._call.request_parser.summary
        return not asked.understood or (asked.candidate_count or 1) > 1

    def _ensure_reserved(self, needed: int) -> None:
        reservation, budgets = self._reservation, self._call.context.budgets
        # The rest of a budget is negative if it was lowered while its calls run.
        is_overdrawn = [True for account in reservation.accounts if may_be_overdrawn(account)]
        if needed <= reservation.pico and not is_overdrawn:
            return
        now = now_micros()
        short = min(0, *(remaining_pico(account, now) for account in reservation.accounts))
        if needed <= reservation.pico + short:
            return
        times, by = RESERVATION_GROWTH
        # A quarter more at once, so that not each event extends the reservation; else just what is needed.
        for wanted in (needed * times // by, needed):
            if budgets.extend(reservation, wanted, now):
                self._record()
                return
        account = binding_account(reservation.accounts, now)
        raise CutByGateway(short_of_budget(account, needed, now, own=reservation.pico))

    def _give_back(self, needed: int) -> None:
        """What was reserved as long as nothing was known of this call."""
        times, by = RESERVATION_GROWTH
        kept = max(needed * times // by, usual_pico(self._call))
        if self._call.context.budgets.reduce(self._reservation, kept):
            self._record()

    def _record(self) -> None:
        """The journal has what is charged if the process is killed."""
        self._call.row.charged_pico = self._reservation.pico
        self._call.record_begin()

    def _cost_by(self, summary: ResponseSummary, usage: bytes) -> int:
        growing = read_stream_usage(usage) if summary.read_usage is None else None
        if growing is None:
            return self._calculate(summary)
        model, catalogue = summary.model_version or self._call.row.model, self._call.context.catalogue
        rest = (growing.rest, model, summary.service_tier, summary.billed_units, catalogue)
        return self._stream_cost.at(growing.output, rest, partial(self._calculate, summary))

    def _calculate(self, summary: ResponseSummary) -> int:
        call, row = self._call, self._call.row
        return worst_case(
            call.context.catalogue,
            model=row.model or call.route.model,
            model_version=summary.model_version,
            usage=summary.read_usage or read_usage(summary.usage or b""),
            at=from_micros(row.started_at),
            tier=summary.service_tier or "standard",
            action=row.action,
            billed_units=summary.billed_units or NO_BILLED_UNITS,
            request_bytes=None,
        ).pico
