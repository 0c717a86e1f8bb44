"""A meter that ends the call when its response may not go on."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.gemini.meter_layers import Meter, OuterMeter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.proxy.failures import CutByGateway

Check = Callable[[ResponseSummary], None]


class LimitedMeter(OuterMeter):
    """Wraps a meter and calls `check` after each chunk; `check` raises CutByGateway to end the call.

    Within an event no error can be appended for the client to read, and its rest is on its way: the call then
    ends after that, or at the latest with the next usage."""

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
