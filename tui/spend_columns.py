"""What the ranking on the Spend screen shows of a group, and at which width."""

from __future__ import annotations

from tui import format  # noqa: A004 - the room's word for it
from tui.columns import Cell, Column
from tui.documents import SpendRow
from tui.spending import Picture, known_cost, spent
from tui.states import Tone

MEDIUM, WIDE = 120, 160
PLACES = 4
TREND = 10


def spend_columns(picture: Picture, width: int) -> list[Column[SpendRow]]:
    """The columns for a screen of `width` cells."""
    whole = spent(picture.ranking.total)
    bar_width = 12 if width < MEDIUM else 20 if width < WIDE else 48

    def name(row: SpendRow) -> Cell:
        text = picture.name(row)
        return text, Tone.PLAIN

    def share(row: SpendRow) -> Cell:
        cost = known_cost(row)
        return (format.UNKNOWN if cost is None else format.percent(format.share(cost, whole))), Tone.PLAIN

    def bar(row: SpendRow) -> Cell:
        return format.bar(format.share(spent(row), whole), bar_width), Tone.ACCENT

    def trend(row: SpendRow) -> Cell:
        values = picture.trend(row)
        if values is None or known_cost(row) is None:
            return format.NOTHING, Tone.FAINT
        return format.sparkline(format.condensed(values, TREND)), Tone.FAINT

    start = [Column(picture.question.by, 12, name, stretch=1), SPENT, Column("", bar_width, bar)]
    part = Column("share", 5, share, right=True)
    if width < MEDIUM:
        return [*start, part, CALLS, TOKENS, ERRORS, UNPRICED]
    return [*start, part, Column("trend", TREND, trend), CALLS, EACH, TOKENS, CACHED, ERRORS, UNPRICED]


def each_cell(row: SpendRow) -> Cell:
    """The mean of the calls whose cost is known."""
    priced, cost = row.calls - row.unpriced_calls, known_cost(row)
    mean = cost / priced if cost is not None and priced > 0 else None
    return format.at_point(format.NOTHING if mean is None else format.money(mean), PLACES), Tone.PLAIN


def tokens_cell(row: SpendRow) -> Cell:
    known = [number for number in (row.prompt_tokens, row.output_tokens) if number is not None]
    return format.tokens(sum(known) if known else None), Tone.PLAIN


def cached_cell(row: SpendRow) -> Cell:
    if row.cached_tokens is None or row.prompt_tokens is None:
        return format.NOTHING, Tone.FAINT
    return format.percent(format.share(row.cached_tokens, row.prompt_tokens)), Tone.PLAIN


def errors_cell(row: SpendRow) -> Cell:
    return format.percent(format.share(row.errors, row.calls)), Tone.PLAIN


def unpriced_cell(row: SpendRow) -> Cell:
    return (f"? {row.unpriced_calls:,}" if row.unpriced_calls else ""), Tone.LIMIT


def spent_cell(row: SpendRow) -> Cell:
    cost = known_cost(row)
    return format.at_point(format.money(cost), PLACES), Tone.LIMIT if cost is None else Tone.PLAIN


SPENT: Column[SpendRow] = Column("spend", 12, spent_cell, right=True)
CALLS: Column[SpendRow] = Column("calls", 6, lambda row: (format.tokens(row.calls), Tone.PLAIN), right=True)
EACH: Column[SpendRow] = Column("cost/call", 9, each_cell, right=True)
TOKENS: Column[SpendRow] = Column("tokens", 6, tokens_cell, right=True)
CACHED: Column[SpendRow] = Column("cached", 6, cached_cell, right=True)
ERRORS: Column[SpendRow] = Column("errors", 6, errors_cell, right=True)
UNPRICED: Column[SpendRow] = Column("no price", 8, unpriced_cell, right=True)
