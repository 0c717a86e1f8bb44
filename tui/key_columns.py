"""What the list of keys shows of each, and at which width."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tui import format  # noqa: A004 - the room's word for it
from tui.columns import Cell, Column
from tui.documents import Key
from tui.states import NEARLY, Tone, budget_used, key_state

MEDIUM, WIDE = 120, 160
REST = "░"


def key_columns(width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
    """The columns for a screen of `width` cells."""

    def state(key: Key) -> Cell:
        stands = key_state(key, now())
        return str(stands), stands.tone

    def used(key: Key) -> Cell:
        return format.ago(key.last_used_at, now()), Tone.PLAIN

    def bar(key: Key) -> Cell:
        return bar_cell(key, bar_width)

    bar_width = 9 if width < WIDE else 12
    name = Column("key", 13, name_cell, stretch=1)
    budget = [Column("spend", 21, budget_cell), Column("", bar_width, bar)]
    stands = Column("state", 22, state, stretch=1)
    if width < MEDIUM:
        return [name, *budget, Column("last used", 9, used), stands]
    models = Column("models", 17, models_cell, stretch=1)
    middle = [Column("rate", 12, rate_cell), Column("last used", 9, used)]
    tags = [Column("tags", 16, tags_cell, stretch=1)] if width >= WIDE else []
    return [name, Column("secret", 9, secret_cell), models, *tags, *budget, *middle, stands]


def name_cell(key: Key) -> Cell:
    return key.label, Tone.PLAIN


def secret_cell(key: Key) -> Cell:
    """Its last letters only: the gateway knows no more of it either."""
    return (key.key_name or format.NOTHING).replace("...", "…"), Tone.FAINT


def models_cell(key: Key) -> Cell:
    return (" ".join(key.models), Tone.PLAIN) if key.models else ("any", Tone.FAINT)


def tags_cell(key: Key) -> Cell:
    return " ".join(key.tags or ()), Tone.FAINT


def budget_cell(key: Key) -> Cell:
    """What it has spent, of how much, in what time."""
    spent = format.money(key.spend)
    if key.max_budget is None:
        return spent, Tone.PLAIN
    each = f"/{key.budget_duration}" if key.budget_duration else ""
    return f"{spent} of {format.round_money(key.max_budget)}{each}", Tone.PLAIN


def bar_cell(key: Key, width: int) -> Cell:
    part = budget_used(key)
    if part is None:
        return "no budget", Tone.FAINT
    return format.bar(part, width).replace(" ", REST), Tone.LIMIT if part >= NEARLY else Tone.ACCENT


def rate_cell(key: Key) -> Cell:
    """Calls, else tokens, a minute; in brackets where that is only stored."""
    if key.rpm_limit is not None:
        return rate(key, "rpm_limit", f"{format.tokens(key.rpm_limit)}/min")
    if key.tpm_limit is not None:
        return rate(key, "tpm_limit", f"{format.tokens(key.tpm_limit)} tok/m")
    return format.NOTHING, Tone.FAINT


def rate(key: Key, name: str, text: str) -> Cell:
    return (f"({text})", Tone.FAINT) if name in key.not_enforced else (text, Tone.PLAIN)
