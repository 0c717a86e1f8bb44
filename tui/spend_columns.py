"""What the ranking on the Spend screen shows of a group, and at which width."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.client import formats
from gatekeeper.client.api_types import SpendRow
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, Tone
from gatekeeper.client.list_columns import SUM_PLACES, share_cell, spent_cell
from tui.spending import Picture

TREND = 10


def spend_columns(picture: Picture, width: int) -> list[Column[SpendRow]]:
    """The columns for a screen of `width` cells."""
    whole = picture.ranking.total.spent
    bar_width = 12 if width < MEDIUM else 20 if width < WIDE else 48

    def name(row: SpendRow) -> Cell:
        text = picture.name(row)
        return text, Tone.PLAIN

    def bar(row: SpendRow) -> Cell:
        return formats.bar(formats.share(row.spent, whole), bar_width), Tone.ACCENT

    def trend(row: SpendRow) -> Cell:
        # None where it is not known apart from others; 0s would say that nothing was spent.
        values = picture.trend(row)
        if values is None or row.known_cost is None:
            return formats.NOTHING, Tone.FAINT
        return sparkline(condensed(values, TREND)), Tone.FAINT

    start = [Column(picture.question.by, 12, name, stretch=1), SPENT, Column("", bar_width, bar)]
    part: Column[SpendRow] = Column("share", 5, lambda row: share_cell(row, whole), right=True)
    if width < MEDIUM:
        return [*start, part, CALLS, TOKENS, ERRORS, UNPRICED]
    return [*start, part, Column("trend", TREND, trend), CALLS, EACH, TOKENS, CACHED, ERRORS, UNPRICED]


def condensed(values: Sequence[float], most: int) -> list[float]:
    """At most so many values for the whole of them: as many neighbours as it takes are added up."""
    size = max(-(-len(values) // most), 1)
    return [sum(values[start : start + size]) for start in range(0, len(values), size)]


def sparkline(values: Sequence[float]) -> str:
    """One cell a value, against the largest; more than nothing shows at least an eighth."""
    top = max(values, default=0)
    return "".join(formats.LEVELS[max(round(value / top * 8), 1) if value > 0 else 0] for value in values)


def each_cell(row: SpendRow) -> Cell:
    """The mean of the calls whose cost is known."""
    # Calls without a price are left out of both, or each would seem cheaper than it was.
    priced, cost = row.calls - row.unpriced_calls, row.known_cost
    mean = cost / priced if cost is not None and priced > 0 else None
    return formats.at_point(formats.NOTHING if mean is None else formats.money(mean), SUM_PLACES), Tone.PLAIN


def tokens_cell(row: SpendRow) -> Cell:
    known = [number for number in (row.prompt_tokens, row.output_tokens) if number is not None]
    return formats.tokens(sum(known) if known else None), Tone.PLAIN


def cached_cell(row: SpendRow) -> Cell:
    if row.cached_tokens is None or row.prompt_tokens is None:
        return formats.NOTHING, Tone.FAINT
    return formats.percent(formats.share(row.cached_tokens, row.prompt_tokens)), Tone.PLAIN


def errors_cell(row: SpendRow) -> Cell:
    return formats.percent(formats.share(row.errors, row.calls)), Tone.PLAIN


def unpriced_cell(row: SpendRow) -> Cell:
    return (f"? {row.unpriced_calls:,}" if row.unpriced_calls else ""), Tone.LIMIT


SPENT: Column[SpendRow] = Column("spend", 12, spent_cell, right=True)
CALLS: Column[SpendRow] = Column("calls", 6, lambda row: (formats.tokens(row.calls), Tone.PLAIN), right=True)
EACH: Column[SpendRow] = Column("cost/call", 9, each_cell, right=True)
TOKENS: Column[SpendRow] = Column("tokens", 6, tokens_cell, right=True)
CACHED: Column[SpendRow] = Column("cached", 6, cached_cell, right=True)
ERRORS: Column[SpendRow] = Column("errors", 6, errors_cell, right=True)
UNPRICED: Column[SpendRow] = Column("no price", 8, unpriced_cell, right=True)
