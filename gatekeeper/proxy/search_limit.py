"""Cuts a running response once it shows more searches than an account of the call allows (`max_searches`)."""

from __future__ import annotations

from functools import partial

from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.keys.policies import too_many_searches
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import CutByGateway
from gatekeeper.proxy.limited_meter import LimitedMeter
from gatekeeper.refusals import Refusal


def with_search_limit(call: ProxyCall, meter: Meter) -> Meter:
    """The meter of a call's response. Only a stream can be cut: one that comes as a whole has been made. So
    has what a read shows as a stream (an interaction's events): its searches were another call's."""
    if not (call.row.stream and call.route.billable):
        return meter
    limited = any(account.record.max_searches is not None for account in call.accounts)
    return LimitedMeter(meter, partial(check_searches, call)) if limited else meter


def check_searches(call: ProxyCall, shown: ResponseSummary) -> None:
    """Raises CutByGateway."""
    if refusal := search_refusal(call, shown):
        raise CutByGateway(refusal)


def search_refusal(call: ProxyCall, shown: ResponseSummary) -> Refusal | None:
    """Why a call whose response has shown these searches may not go on."""
    # Searches without queries, whose number is unknown, were one at least.
    searches = sum(1 if count is None else count for count in shown.billed_units.values())
    refusals = (too_many_searches(account, searches) for account in call.accounts)
    return next((refusal for refusal in refusals if refusal), None)
