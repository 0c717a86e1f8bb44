"""What the `usage_note` of a row says of its cost, where that is not the price of the row's usage and units.

Such a row cannot be priced again from its columns: its cost is pending, was given up, was estimated, or was
calculated from more than the row keeps.
"""

from __future__ import annotations

from gatekeeper.money import short_usd

PENDING = "the charge is pending:"
"""With the resource after it that will tell the cost."""
PENDING_VIDEOS = "videos are charged when their operation has succeeded"
GIVEN_UP = "the cost stays unknown:"
"""With the reason after it."""
SUM_DIFFERS = "priced by its single responses, which differs from the price of their sum"
SUMS_INCOMPLETE = "the sums of the row leave responses out"
BUDGET_NOTE = "estimated for the budget:"
"""With the amount in USD after it: what a key's budget was charged in place of an unknown cost."""
ESTIMATED = "estimated"
"""In a note beside BUDGET_NOTE: the cost of the row is an estimate."""

NOT_BY_USAGE = (PENDING, PENDING_VIDEOS, GIVEN_UP, SUM_DIFFERS, SUMS_INCOMPLETE, ESTIMATED)


def is_priced_by_usage(usage_note: str | None) -> bool:
    """Whether the cost of a row with this note is the price of its usage and units."""
    note = (usage_note or "").replace(BUDGET_NOTE, "")
    return not any(text in note for text in NOT_BY_USAGE)


def with_budget_note(usage_note: str | None, earlier: str | None) -> str | None:
    """The note with what `earlier` says of the budget: the key is still charged that."""
    found = next((part for part in (earlier or "").split("; ") if part.startswith(BUDGET_NOTE)), None)
    return "; ".join(filter(None, (usage_note, found))) or None


def budget_note(pico: int, how: str) -> str:
    """The note to an estimate of so many pico-dollars, which a key's budget was charged."""
    return f"{BUDGET_NOTE} {short_usd(pico)} USD, {how}"


def budget_rest_note(pico: int) -> str:
    """The note to an estimate that is more than a budget has left."""
    return budget_note(pico, "all that was left of it")


def bound_note(pico: int) -> str:
    """The note to an estimate that is more than the call can cost by its request."""
    return budget_note(pico, "the most that it can cost by its request")


def reserved_note(pico: int | None) -> str | None:
    """The note to what was reserved for a call, where that is charged; None if nothing was."""
    return None if pico is None else budget_note(pico, "what was reserved for it")
