"""Cuts a running response once it shows more searches than an account of the call allows (`max_searches`)."""

from __future__ import annotations

from gatekeeper.gemini.meter import Meter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.splitters import Delimiters
from gatekeeper.keys.policies import too_many_searches
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.outcomes import CutByGateway
from gatekeeper.refusals import Refusal


def with_search_limit(call: ProxyCall, meter: Meter) -> Meter:
    """The meter of a call's response. Only a stream can be cut: one that comes as a whole has been made."""
    limited = call.row.stream and any(account.record.max_searches is not None for account in call.accounts)
    return SearchLimitMeter(call, meter) if limited else meter


def search_refusal(call: ProxyCall, shown: ResponseSummary) -> Refusal | None:
    """Why a call whose response has shown these searches may not go on."""
    # Searches without queries, whose number is unknown, were one at least.
    searches = sum(1 if count is None else count for count in shown.billed_units.values())
    refusals = (too_many_searches(account, searches) for account in call.accounts)
    return next((refusal for refusal in refusals if refusal), None)


class SearchLimitMeter:
    """Another meter, whose `feed` raises CutByGateway when the response may not go on."""

    def __init__(self, call: ProxyCall, meter: Meter) -> None:
        self._call = call
        self._meter = meter

    @property
    def summary(self) -> ResponseSummary:
        return self._meter.summary

    @property
    def delimiters(self) -> Delimiters | None:
        return self._meter.delimiters

    @property
    def body_bytes(self) -> int:
        return self._meter.body_bytes

    def feed(self, chunk: bytes) -> None:
        self._meter.feed(chunk)
        if refusal := search_refusal(self._call, self._meter.summary):
            raise CutByGateway(refusal)

    def finish(self) -> ResponseSummary:
        return self._meter.finish()
