"""The columns of lists of keys, by the width of the screen, and how a key stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import formats
from gatekeeper.client.api_types import Key
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, State, TextRole
from gatekeeper.client.spend_types import SpendRow

# Decimals that the sums' column reserves.
SUM_PLACES = 4
BAR_EMPTY = "░"
NEAR_LIMIT = 0.9


def key_columns(width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
    """The columns for a screen of `width` cells."""

    def state(key: Key) -> Cell:
        current = key_state(key, now())
        return str(current), current.role

    def used(key: Key) -> Cell:
        return formats.ago(key.last_used_at, now()), TextRole.PLAIN

    def bar(key: Key) -> Cell:
        return bar_cell(key, bar_width)

    bar_width = 9 if width < WIDE else 12
    name = Column("key", 13, name_cell, stretch=1)
    budget = [Column("spend", 21, budget_cell), Column("", bar_width, bar)]
    state_column = Column("state", 22, state, stretch=1)
    if width < MEDIUM:
        return [name, *budget, Column("last used", 9, used), state_column]
    models = Column("models", 17, models_cell, stretch=1)
    middle = [Column("rate", 12, rate_cell), Column("last used", 9, used)]
    tags = [Column("tags", 16, key_tags_cell, stretch=1)] if width >= WIDE else []
    return [name, Column("secret", 9, secret_cell), models, *tags, *budget, *middle, state_column]


def name_cell(key: Key) -> Cell:
    return key.label, TextRole.PLAIN


def secret_cell(key: Key) -> Cell:
    """The last characters only: the gateway does not store more."""
    return (key.key_name or formats.EMPTY).replace("...", "…"), TextRole.DIM


def models_cell(key: Key) -> Cell:
    return (" ".join(key.models), TextRole.PLAIN) if key.models else ("any", TextRole.DIM)


def key_tags_cell(key: Key) -> Cell:
    return " ".join(key.tags or ()), TextRole.DIM


def budget_cell(key: Key) -> Cell:
    """Spend, budget and period."""
    spent = formats.money(key.spend)
    if key.max_budget is None:
        return spent, TextRole.PLAIN
    each = f"/{key.budget_duration}" if key.budget_duration else ""
    return f"{spent} of {formats.round_money(key.max_budget)}{each}", TextRole.PLAIN


def bar_cell(key: Key, width: int) -> Cell:
    part = budget_used(key)
    if part is None:
        return "no budget", TextRole.DIM
    return budget_bar(part, width), TextRole.WARNING if part >= NEAR_LIMIT else TextRole.ACCENT


def rate_cell(key: Key) -> Cell:
    """Calls, else tokens, a minute."""
    if key.rpm_limit is not None:
        return f"{formats.tokens(key.rpm_limit)}/min", TextRole.PLAIN
    if key.tpm_limit is not None:
        return f"{formats.tokens(key.tpm_limit)} tok/m", TextRole.PLAIN
    return formats.EMPTY, TextRole.DIM


def key_state(key: Key, now: datetime) -> State:
    """Why a key is inactive, the most permanent reason first; else that it is active."""
    if key.blocked:
        return State("○", "blocked", TextRole.DIM)
    if key.expires and key.expires <= now:
        return State("○", f"expired {formats.day(key.expires)}", TextRole.DIM)
    used = budget_used(key)
    # Last, as a used-up budget is reset with its period, unlike a block or an expiry.
    if used is not None and used >= 1:
        until = f" until {formats.day(key.budget_reset_at)}" if key.budget_reset_at else ""
        return State("⊘", f"used up{until}", TextRole.WARNING)
    if used is not None and used >= NEAR_LIMIT:
        return State("●", f"active, {formats.percent(used)} used", TextRole.WARNING)
    return State("●", "active", TextRole.SUCCESS)


def budget_used(key: Key) -> float | None:
    """The used fraction of a key's budget, above 1 where overspent; None without a budget."""
    if key.max_budget is None:
        return None
    spent = key.spend or Decimal(0)
    # A budget of 0 is used up before anything is spent.
    return float(spent / key.max_budget) if key.max_budget > 0 else 1.0


def budget_bar(used: float, width: int) -> str:
    """A bar of the used and the remaining budget."""
    return formats.bar(used, width).replace(" ", BAR_EMPTY)


def spent_cell(row: SpendRow) -> Cell:
    """The cost of a group of calls; `?` where it is unknown."""
    cost = row.known_cost
    return formats.align_decimal(
        formats.money(cost), SUM_PLACES
    ), TextRole.WARNING if cost is None else TextRole.PLAIN


def share_cell(row: SpendRow, whole: Decimal | None) -> Cell:
    """The group's share of the total; more than all where calls with several tags are under more than one."""
    cost = row.known_cost
    if cost is None:
        return formats.UNKNOWN, TextRole.PLAIN
    return formats.percent(float(cost / whole) if whole else 0), TextRole.PLAIN
