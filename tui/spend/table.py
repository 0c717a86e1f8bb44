"""The list of the Spend screen: a ranking, whose rows can be opened, alone or beside the period before, in
columns by the width of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from gatekeeper.client import formats
from gatekeeper.client.columns import MEDIUM, WIDE, Cell, Column, TextRole
from gatekeeper.client.spend import SUM_PLACES, SpendRow, spent_cell
from tui.spend.ranking import Line, Path, Ranking
from tui.widgets.bar_chart import BarChart
from tui.widgets.bars import condensed, sparkline
from tui.widgets.rows import Table

# Width of a group's trend, in cells.
TREND_WIDTH = 10
# Decimals that mean costs reserve.
MEAN_PLACES = 5
# A change above it says less as a percentage.
MAX_CHANGE = Decimal(10)
Trend = Callable[[SpendRow], Sequence[float] | None]


class SpendTable(Table[Line]):
    """`opened` has the rows whose parts are to be shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "calls", tooltip="show the calls of a row"),
        Binding("right", "screen.open_row", "open", tooltip="show what a row is made of"),
        Binding("space", "screen.open_row", show=False),
        Binding("left", "screen.close_row", show=False, tooltip="close the row"),
    ]

    def __init__(self) -> None:
        super().__init__(lambda line: line.identity)
        self.opened: list[Path] = []

    def yields_keys_to(self, focused: Widget | None) -> bool:
        # Enter opens a bar then, and not the row.
        return isinstance(focused, BarChart) or super().yields_keys_to(focused)

    def show_ranking(self, ranking: Ranking, trend: Trend, compared: bool) -> None:
        """Shows the rows, with those of the preceding period if `compared`."""
        whole = ranking.spend.total.spent

        def columns(width: int) -> list[Column[Line]]:
            if compared:
                return compared_columns(ranking.by, whole, width)
            return spend_columns(ranking.by, whole, trend, width)

        self.show(list(ranking.lines(compared)), columns)

    def open_row(self) -> bool:
        """Opens the selected row; False if it cannot be, or is already."""
        line = self.selected
        if line is None or line.part is None or line.path in self.opened:
            return False
        self.opened.append(line.path)
        return True

    def close_row(self) -> bool:
        """Closes the selected row, or the one that it is part of; False if there is none."""
        line = self.selected
        if line is None:
            return False
        # Not by what is shown: it may not have been loaded again yet.
        path = line.path if line.path in self.opened else line.path[:-1]
        if path not in self.opened:
            return False
        # What was opened below it stays so, for the next time.
        self.opened.remove(path)
        self.select((path, False))
        return True


def spend_columns(by: str, whole: Decimal | None, trend: Trend, width: int) -> list[Column[Line]]:
    """The columns for a screen of `width` cells; `whole` is the spend of all groups."""
    bar_width = 12 if width < MEDIUM else 14 if width < WIDE else 40

    def bar(line: Line) -> Cell:
        return formats.bar(formats.share(line.row.spent, whole), bar_width), TextRole.ACCENT

    def trend_of(line: Line) -> Cell:
        # Without rows of its own the trend is unknown; zeros would mean no spend.
        values = None if line.depth else trend(line.row)
        if values is None or line.row.known_cost is None:
            return formats.EMPTY, TextRole.DIM
        return sparkline(condensed(values, TREND_WIDTH)), TextRole.DIM

    start = [name_column(by, width), SPENT, Column("", bar_width, bar), share_column(whole)]
    if width < MEDIUM:
        return [*start, CALLS, TOKENS, ERRORS, UNPRICED]
    middle = [Column("trend", TREND_WIDTH, trend_of), CALLS, MEAN_COST, TOKENS, CACHED]
    return [*start, *middle, ERRORS, UNPRICED]


def compared_columns(by: str, whole: Decimal | None, width: int) -> list[Column[Line]]:
    """The columns beside the preceding period."""
    columns = [name_column(by, width), SPENT, BEFORE, CHANGE, CHANGE_SHARE]
    if width < MEDIUM:
        return [*columns, CALLS, UNPRICED]
    return [*columns, share_column(whole), CALLS, CALLS_BEFORE, MEAN_COST, ERRORS, UNPRICED]


def name_column(by: str, width: int) -> Column[Line]:
    """The group, below what it is part of."""

    def name(line: Line) -> Cell:
        # As in the log: in a narrow column the same beginning of all models would be all that is shown.
        text = line.name.removeprefix("gemini-") if line.by == "model" and width < MEDIUM else line.name
        sign = "▾ " if line.opened else ""
        return "  " * line.depth + sign + text, TextRole.DIM if line.gone else TextRole.PLAIN

    return Column(by, 12 if width < MEDIUM else 20, name, stretch=1)


def share_column(whole: Decimal | None) -> Column[Line]:
    def share(line: Line) -> Cell:
        if line.row.known_cost is None:
            return formats.UNKNOWN, TextRole.WARNING
        return share_cell(formats.share(line.row.spent, whole))

    return Column("share", 7, share, right=True)


def share_cell(fraction: float) -> Cell:
    """A share with one decimal, so that points align; `–` for none, `<0.1` for less than that shows."""
    if not fraction:
        return formats.EMPTY, TextRole.DIM
    return (f"{fraction * 100:.1f} %" if fraction >= 0.0005 else "<0.1 %"), TextRole.PLAIN


def before_cell(line: Line) -> Cell:
    """What the group spent in the preceding period; empty where it had no calls then."""
    if not line.before_known:
        return money(None)
    return money(line.before.known_cost) if line.before else ("", TextRole.DIM)


def change_cell(line: Line) -> Cell:
    """The change in dollars, with its sign; `?` where either sum is not known."""
    change = change_of(line)
    if change is None:
        return money(None)
    if not change:
        return formats.align_decimal(formats.EMPTY, SUM_PLACES), TextRole.DIM
    sign = "+" if change > 0 else "−"
    return formats.align_decimal(sign + formats.money(abs(change)), SUM_PLACES), TextRole.PLAIN


def change_share_cell(line: Line) -> Cell:
    """The change relative to the preceding period; of a group that is new or gone, this."""
    if line.gone:
        return "gone", TextRole.DIM
    if line.before_known and line.before is None:
        return "new", TextRole.ACCENT
    change, before = change_of(line), line.before.known_cost if line.before else None
    if change is None or before is None:
        return formats.UNKNOWN, TextRole.WARNING
    if not before or not change:
        return formats.EMPTY, TextRole.DIM
    ratio = change / before
    sign = "▲" if change > 0 else "▼"
    if ratio >= MAX_CHANGE:
        return f"{sign} {ratio + 1:,.0f} ×" if ratio < 9999 else f"{sign} >9,999 ×", TextRole.PLAIN
    return f"{sign} {share_cell(abs(float(ratio)))[0]}", TextRole.PLAIN


def change_of(line: Line) -> Decimal | None:
    """The change in dollars; None where either sum is not known."""
    if not line.before_known or line.row.known_cost is None:
        return None
    before = line.before.known_cost if line.before else Decimal(0)
    return None if before is None else line.row.known_cost - before


def money(amount: Decimal | None) -> Cell:
    role = TextRole.WARNING if amount is None else TextRole.PLAIN
    return formats.align_decimal(formats.money(amount), SUM_PLACES), role


def mean_cost_cell(line: Line) -> Cell:
    """The mean cost of the calls with a known cost."""
    # Calls without a price are left out of both, or the mean would be too low.
    row = line.row
    priced, cost = row.calls - row.unpriced_calls, row.known_cost
    mean = cost / priced if cost is not None and priced > 0 else None
    text = formats.EMPTY if mean is None else formats.money(mean)
    return formats.align_decimal(text, MEAN_PLACES), TextRole.PLAIN


def tokens_cell(line: Line) -> Cell:
    return formats.tokens(line.row.total_tokens), TextRole.PLAIN


def cached_cell(line: Line) -> Cell:
    return share_cell(formats.share(line.row.cached_tokens, line.row.prompt_tokens))


def errors_cell(line: Line) -> Cell:
    return share_cell(formats.share(line.row.errors, line.row.calls))


def unpriced_cell(line: Line) -> Cell:
    return (f"? {line.row.unpriced_calls:,}" if line.row.unpriced_calls else ""), TextRole.WARNING


def calls_cell(row: SpendRow | None) -> Cell:
    return ("", TextRole.DIM) if row is None else (formats.tokens(row.calls), TextRole.PLAIN)


def column(title: str, width: int, cell: Callable[[Line], Cell]) -> Column[Line]:
    return Column(title, width, cell, right=True)


SPENT = column("spend", 12, lambda line: spent_cell(line.row))
BEFORE = column("spent before", 12, before_cell)
CHANGE = column("change in $", 12, change_cell)
CHANGE_SHARE = column("in %", 9, change_share_cell)
CALLS = column("calls", 6, lambda line: calls_cell(line.row))
CALLS_BEFORE = column("before", 6, lambda line: calls_cell(line.before))
MEAN_COST = column("cost/call", 10, mean_cost_cell)
TOKENS = column("tokens", 6, tokens_cell)
CACHED = column("cached", 7, cached_cell)
ERRORS = column("errors", 7, errors_cell)
UNPRICED = column("no price", 8, unpriced_cell)
