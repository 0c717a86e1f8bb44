"""Virtual keys, groups and end users as text: the state, the columns of lists by the width of the screen, and
all details as names and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from gatekeeper.client import formats
from gatekeeper.client.columns import MEDIUM, WIDE, Cell, Column, State, TextRole
from gatekeeper.client.formats import timestamp
from gatekeeper.client.key_types import Key, NewKey

BAR_EMPTY = "░"
NEAR_LIMIT = 0.9

# Width of the bar of the used budget, in cells.
BAR_WIDTH = 20


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


def key_details(
    key: Key, now: datetime, written: Callable[[datetime], str] = timestamp
) -> Iterator[tuple[str, str | None]]:
    """Names and values, with times as `written`; None for a field that is not set."""
    yield "key", key.key if isinstance(key, NewKey) else key.key_name
    yield "old secret", previous_secret(key, written)
    yield "alias", key.key_alias
    yield "id", key.token_id
    yield "state", str(key_state(key, now))
    yield "models", listed(key.models) or "any"
    yield "routes", listed(key.allowed_routes)
    yield "spend", spent(key)
    yield "estimated", estimated(key)
    yield "soft budget", None if key.soft_budget is None else formats.round_money(key.soft_budget)
    yield "resets", written(key.budget_reset_at) if key.budget_reset_at else None
    yield "limits", limits(key)
    yield "tags", listed(key.tags)
    yield "user", key.user_id
    yield "group", key.group
    yield "metadata", msgspec.json.encode(key.metadata).decode() if key.metadata else None
    yield "disconnect", key.on_disconnect
    yield "shared with", {"group": "its group", "all": "all keys"}.get(key.share or "")
    yield "unpriced", "allowed, charged the most that a call can cost" if key.allow_unpriced else None
    yield from policies(key)
    yield "role", key.role
    yield "expires", written(key.expires) if key.expires else "never"
    yield "created", written(key.created_at) if key.created_at else None
    yield "last used", formats.ago(key.last_used_at, now)


def previous_secret(key: Key, written: Callable[[datetime], str]) -> str | None:
    if key.previous_expires is None:
        return None
    return f"{key.previous_key_name} until {written(key.previous_expires)}"


def policies(key: Key) -> Iterator[tuple[str, str | None]]:
    # null and true: any number
    limit = None if key.searches is None or key.searches is True else int(key.searches)
    yield "searches", f"at most {limit} a call" if limit else ("none" if limit == 0 else None)
    yield "storage", "requests must say store: false" if key.store is False else None
    output = key.max_output_tokens
    yield "output", None if output is None else f"at most {formats.count(output)} tokens a request"
    yield "tiers", listed(key.service_tiers)
    yield "addresses", listed(key.allowed_ips)


def listed(texts: tuple[str, ...] | None) -> str | None:
    return ", ".join(texts) if texts else None


def spent(key: Key) -> str:
    """Spend, budget and period, with a bar."""
    used = budget_used(key)
    if used is None or key.max_budget is None:
        return f"{formats.money(key.spend)}, no budget"
    each = f" each {key.budget_duration}" if key.budget_duration else ""
    bar = budget_bar(used, BAR_WIDTH)
    of = f"{formats.money(key.spend)} of {formats.round_money(key.max_budget)}{each}"
    return f"{of}  {bar} {formats.percent(used)}"


def estimated(key: Key) -> str | None:
    """The part of the spend that is estimated, not known."""
    if not key.spend_estimated:
        return None
    return f"{formats.money(key.spend_estimated)} of the spend, for calls whose cost is unknown"


def limits(key: Key) -> str | None:
    known = (
        (key.rpm_limit, "calls a minute"),
        (key.tpm_limit, "tokens a minute"),
        (key.max_parallel_requests, "parallel calls"),
    )
    named = [f"{formats.count(number)} {what}" for number, what in known if number is not None]
    named += [
        f"{formats.round_money(amount)} for {glob}" for glob, amount in (key.model_max_budget or {}).items()
    ]
    of_models = ((key.model_rpm_limit, "calls a minute"), (key.model_tpm_limit, "tokens a minute"))
    for numbers, what in of_models:
        named += [f"{formats.count(number)} {what} for {glob}" for glob, number in (numbers or {}).items()]
    return ", ".join(named) or None
