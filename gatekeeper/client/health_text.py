"""The health of a gateway in words: problems and warnings, the worst first, and what is well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import GoogleKey, Readiness
from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import percent, pluralized, share
from gatekeeper.client.key_text import NEAR_LIMIT, budget_used
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import Spend, SpendRow, unpriced_text

# Google keys that calls are made with.
WELL = ("ok", "full")
# Seconds after which the analytics file is worth a line: it is written every few seconds.
SLOW_FILE_SECONDS = 30
# The part of the last hour's calls that fail from which on somebody should look.
FAILING = 0.1
# Keys that are named at most.
NAMED_KEYS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `is_well`: it needs no attention."""

    sign: str
    text: str
    role: TextRole

    @property
    def is_well(self) -> bool:
        return self.role == TextRole.SUCCESS

    def __str__(self) -> str:
        return f"{self.sign} {self.text}"


def findings(
    health: Readiness | ApiError, keys: Sequence[Key] | ApiError, hour: SpendRow, sums: Spend
) -> list[Finding]:
    """The findings, the worst first. `hour` are the sums of the last hour, `sums` those of the calls whose
    price is looked at."""
    found = [*_readiness(health), *_failures(hour), *_budgets(keys), *_sums(sums)]
    order = (TextRole.ERROR, TextRole.WARNING, TextRole.PENDING, TextRole.SUCCESS)
    return sorted(found, key=lambda each: order.index(each.role))


def _readiness(health: Readiness | ApiError) -> Iterator[Finding]:
    if isinstance(health, ApiError):
        yield Finding("✗", f"its health is unknown: {health}", TextRole.ERROR)
        return
    for reason in health.reasons:
        yield Finding("✗", f"takes no calls: {reason}", TextRole.ERROR)
    for warning in health.warnings:
        yield Finding("✗", warning, TextRole.WARNING)
    if health.ready:
        yield Finding("✓", "takes calls", TextRole.SUCCESS)
    yield from _google_keys(health.google_keys)
    if (behind := health.analytics_lag_seconds) is None:
        return
    if behind > SLOW_FILE_SECONDS:
        text = f"the analytics file is {behind:.0f} s behind; sums have all calls"
        yield Finding("◌", text, TextRole.PENDING)
    else:
        yield Finding("✓", "analytics file up to date", TextRole.SUCCESS)


def _google_keys(keys: Sequence[GoogleKey]) -> Iterator[Finding]:
    for key in keys:
        if key.state not in WELL:
            yield Finding("◌", f"Google key {key.label}: {key.state}", TextRole.PENDING)
    if keys and all(key.state in WELL for key in keys):
        yield Finding("✓", f"{pluralized(len(keys), 'Google key')} ok", TextRole.SUCCESS)


def _failures(hour: SpendRow) -> Iterator[Finding]:
    failed = share(hour.errors, hour.calls)
    if failed >= FAILING:
        counts = f"{hour.errors:,} of {pluralized(hour.calls, 'call')}"
        yield Finding("✗", f"{counts} failed in the last hour ({percent(failed)})", TextRole.WARNING)


def _budgets(keys: Sequence[Key] | ApiError) -> Iterator[Finding]:
    if isinstance(keys, ApiError):
        yield Finding("✗", f"budgets are unknown: {keys}", TextRole.ERROR)
        return
    used = [(key.label, budget_used(key) or 0) for key in keys]
    for what, full in (
        ("used up", [name for name, part in used if part >= 1]),
        ("nearly used up", [name for name, part in used if NEAR_LIMIT <= part < 1]),
    ):
        if full:
            named = ", ".join([*full[:NAMED_KEYS], *(["…"] if len(full) > NAMED_KEYS else [])])
            yield Finding("⊘", f"budget {what}: {named}", TextRole.WARNING)


def _sums(sums: Spend) -> Iterator[Finding]:
    if sums.partial:
        yield Finding("?", f"older calls are missing in all sums: {sums.partial_reason}", TextRole.WARNING)
    if unpriced := unpriced_text(sums):
        yield Finding("?", unpriced, TextRole.WARNING)
