"""A meter that ends the call when its response may not go on."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.gemini.meter import Meter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.splitters import Delimiters

Check = Callable[[ResponseSummary], None]


class LimitedMeter:
    """Another meter, after each chunk of which `check` is asked; it raises CutByGateway to end the call."""

    def __init__(self, meter: Meter, check: Check) -> None:
        self._meter = meter
        self._check = check

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
        self._check(self._meter.summary)

    def finish(self) -> ResponseSummary:
        return self._meter.finish()
