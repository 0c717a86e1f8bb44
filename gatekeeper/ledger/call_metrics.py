"""Counts finished calls for Prometheus, since the start of this process. It is a sink of the journal, so it
costs a call nothing and cannot delay one. The counters are public, so they have no key, tag, user or path as
labels; a model, whose name is a client's text, is a label only once it has been priced, and at most
`MAX_MODELS` are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

from gatekeeper.ledger.call import Amendment, CallRecord, Outcome, Position
from gatekeeper.ledger.journal_entries import Batch
from gatekeeper.refusals import Reason

MAX_MODELS = 200
OTHER = "other"
"""The label of models that are not named, and of reasons that are not the gateway's own."""
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
GATEWAY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
REASONS = frozenset(Reason)
TOKEN_COLUMNS = {
    "prompt": "prompt_tokens",
    "cached": "cached_tokens",
    "output": "output_tokens",
    "thoughts": "thoughts_tokens",
    "tool": "tool_tokens",
}
"""The label `type` and its column of the ledger; `cached` is a part of `prompt`."""


class Histogram:
    """Durations in seconds, counted by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, milliseconds: float | None) -> None:
        """Counts a duration; None, which is not known, is not counted."""
        if milliseconds is not None:
            seconds = milliseconds / 1000
            # To the left of an equal bound: those of Prometheus (`le`) are inclusive.
            self._counts[bisect_left(self.bounds, seconds)] += 1
            self.sum += seconds

    @property
    def cumulative(self) -> list[tuple[str, int]]:
        """How many were at most as long as each bound, which is text as in the exposition format."""
        names = (*map(str, self.bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))


class CallMetrics:
    """What was counted so far: `calls` by model and outcome, `tokens` (known at a call's end) by model and
    type, `cost_pico` (known costs, in pico-dollars) and `unpriced` (calls whose cost was unknown at their
    end) by model, `failures` by reason."""

    def __init__(self, watermark: Position) -> None:
        """Calls after `watermark` are counted."""
        self.watermark = watermark
        self.calls: Counter[tuple[str, Outcome]] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.cost_pico: Counter[str] = Counter()
        self.unpriced: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.durations = {stream: Histogram(SECONDS) for stream in (False, True)}
        self.first_bytes = {stream: Histogram(SECONDS) for stream in (False, True)}
        self.gateway = Histogram(GATEWAY_SECONDS)
        self._models: set[str] = set()

    async def consume(self, batch: Batch) -> None:
        for _, entry in batch.entries:
            if isinstance(entry, Amendment):
                self._add_amendment(entry)
            else:
                self._add(entry)
        self.watermark = batch.end

    def _add(self, call: CallRecord) -> None:
        if call.outcome is None:
            return
        model = self._label(call)
        self.calls[model, call.outcome] += 1
        for kind, column in TOKEN_COLUMNS.items():
            if number := getattr(call, column):
                self.tokens[model, kind] += number
        if call.cost_pico is None:
            self.unpriced[model] += 1
        elif call.cost_pico:
            self.cost_pico[model] += call.cost_pico
        if call.outcome is not Outcome.OK:
            self.failures[reason_label(call.reason)] += 1
        self.durations[call.stream].observe(call.duration_ms)
        self.first_bytes[call.stream].observe(call.first_byte_ms)
        self.gateway.observe(call.gateway_ms)

    def _add_amendment(self, amendment: Amendment) -> None:
        """The cost that the call's end left unknown. A counter never falls, so `unpriced` keeps the call."""
        call, before = amendment.call, 0 if amendment.estimated_before else amendment.charged_before
        if call.cost_pico is not None and call.cost_pico > before:
            self.cost_pico[self._label(call)] += call.cost_pico - before

    def _label(self, call: CallRecord) -> str:
        model = call.model
        if model is None or model in self._models:
            return model or ""
        if call.price_version is None or len(self._models) >= MAX_MODELS:
            return OTHER
        self._models.add(model)
        return model


def reason_label(reason: str | None) -> str:
    """The gateway's own reasons by name: Google's are not a closed set."""
    return reason if reason is not None and reason in REASONS else OTHER
