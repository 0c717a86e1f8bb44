"""Notes in a row's `usage_note` that mark a cost which does not follow from the row's usage and units. Such a
row cannot be repriced from its columns: its cost is pending, stays unknown, was estimated, or was calculated
from more than the row has.
"""

from __future__ import annotations

from gatekeeper.money import short_usd

PENDING = "the charge is pending:"
"""Followed by the resource that determines the cost."""
PENDING_VIDEOS = "videos are charged when their operation has succeeded"
GIVEN_UP = "the cost stays unknown:"
"""Followed by the reason."""
SUM_DIFFERS = "priced by its single responses, which differs from the price of their sum"
SUMS_INCOMPLETE = "the sums of the row leave responses out"
BUDGET_NOTE = "estimated for the budget:"
"""Followed by the amount in USD that a key's budget was charged in place of an unknown cost."""
ESTIMATED = "estimated"
"""In a note beside BUDGET_NOTE: the cost of the row is an estimate."""

NOT_BY_USAGE = (PENDING, PENDING_VIDEOS, GIVEN_UP, SUM_DIFFERS, SUMS_INCOMPLETE, ESTIMATED)


def is_priced_by_usage(usage_note: str | None) -> bool:
    """Whether the cost of a row with this note is the price of its usage and units."""
    note = (usage_note or "").replace(BUDGET_NOTE, "")
    return not any(text in note for text in NOT_BY_USAGE)


def with_budget_note(usage_note: str | None, earlier: str | None) -> str | None:
    """The note with the budget note in `earlier`: the key is still charged that amount."""
    found = next((part for part in (earlier or "").split("; ") if part.startswith(BUDGET_NOTE)), None)
    return "; ".join(filter(None, (usage_note, found))) or None


def budget_note(pico: int, how: str) -> str:
    """The note on an estimate in pico-dollars that a key's budget was charged."""
    return f"{BUDGET_NOTE} {short_usd(pico)} USD, {how}"


def budget_rest_note(pico: int) -> str:
    """The note on an estimate that was limited to what the budget had left."""
    return budget_note(pico, "all that was left of it")


def bound_note(pico: int) -> str:
    """The note on an estimate that was limited to the upper bound by the request."""
    return budget_note(pico, "the most that it can cost by its request")


def reserved_note(pico: int | None) -> str | None:
    """The note on a reservation that is charged; None if nothing was reserved."""
    return None if pico is None else budget_note(pico, "what was reserved for it")
