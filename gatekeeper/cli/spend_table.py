"""The tables of sums of calls by groups: of one period, and beside the period before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeVar

from gatekeeper.cli.table_layout import DROPPED_FIRST, TableColumn
from gatekeeper.client import formats
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.spend import Spend, SpendRest, SpendRow, share_cell, spent_cell

T = TypeVar("T")

BAR_WIDTH = 20


def spend_columns(groups: list[str], spend: Spend) -> list[Column[SpendRow]]:
    """The groups, then their sums. Bars are relative to the most expensive row."""
    total = spend.total
    highest = max((row.spent for row in spend.rows), default=Decimal(0))

    def name(group: str, number: int) -> Column[SpendRow]:
        def cell(row: SpendRow) -> Cell:
            if row is total:
                return ("total" if number == 0 else ""), TextRole.PLAIN
            if isinstance(row, SpendRest):
                return (f"… {row.rows:,} more rows" if number == 0 else ""), TextRole.WARNING
            return group_cell(row, group)

        return group_column(groups, group, cell)

    def bar(row: SpendRow) -> Cell:
        # The total and the rest have none: next to them the other bars would be too short to see.
        one = row is not total and not isinstance(row, SpendRest)
        return (formats.bar(formats.share(row.spent, highest), BAR_WIDTH) if one else ""), TextRole.ACCENT

    return [
        *(name(group, number) for number, group in enumerate(groups)),
        Column("cost", 0, spent_cell, right=True),
        TableColumn("", 0, bar, drop=DROPPED_FIRST, name="bars"),
        TableColumn("share", 0, lambda row: share_cell(row, total.cost_usd), right=True, drop=6),
        *NUMBERS,
    ]


def group_column(groups: Sequence[str], group: str, cell: Callable[[T], Cell]) -> TableColumn[T]:
    """The column of a group. Names are cut where a table is too wide, but not so far that they look alike."""

    def short(row: T) -> Cell:
        text, role = cell(row)
        return text.removeprefix("gemini-"), role

    return TableColumn(group, 24 if len(groups) == 1 else 18, cell, short=short if group == "model" else None)


def group_cell(row: SpendRow, group: str) -> Cell:
    value: str | None = getattr(row, group)
    return (f"no {group}", TextRole.DIM) if value is None else (value, TextRole.PLAIN)


def count_cell(number: int, role: TextRole) -> Cell:
    return formats.count(number), role if number else TextRole.DIM


def number_column(title: str, drop: int, cell: Callable[[SpendRow], Cell]) -> TableColumn[SpendRow]:
    return TableColumn(title, 0, cell, right=True, drop=drop)


def tokens_cell(number: int | None) -> Cell:
    return formats.tokens(number), TextRole.PLAIN


NUMBERS: tuple[Column[SpendRow], ...] = (
    number_column("calls", 0, lambda row: count_cell(row.calls, TextRole.PLAIN)),
    number_column("errors", 7, lambda row: count_cell(row.errors, TextRole.ERROR)),
    number_column("in", 4, lambda row: tokens_cell(row.prompt_tokens)),
    number_column("cached", 2, lambda row: tokens_cell(row.cached_tokens)),
    number_column("out", 5, lambda row: tokens_cell(row.charged_output)),
    # A warning below the table has their number, too.
    number_column("unpriced", 3, lambda row: count_cell(row.unpriced_calls, TextRole.WARNING)),
)


class Compared(NamedTuple):
    """The sums of one group in both periods. None: it had no calls, or where `is_cut` is unknown."""

    names: tuple[str | None, ...]
    current: SpendRow | None
    before: SpendRow | None
    is_cut: bool = False


def compared_columns(groups: Sequence[str], total: Compared) -> list[Column[Compared]]:
    def name(group: str, number: int) -> Column[Compared]:
        def cell(row: Compared) -> Cell:
            if row is total:
                return ("total" if number == 0 else ""), TextRole.PLAIN
            text = row.names[number]
            return (f"no {group}", TextRole.DIM) if text is None else (text, TextRole.PLAIN)

        return group_column(groups, group, cell)

    return [
        *(name(group, number) for number, group in enumerate(groups)),
        Column("cost", 0, lambda row: cost_cell(row, row.current), right=True),
        Column("before", 0, lambda row: cost_cell(row, row.before), right=True),
        Column("change", 0, change_cell, right=True),
        Column("", 0, percent_cell, right=True),
        TableColumn("calls", 0, lambda row: calls_cell(row, row.current), right=True, drop=3),
        TableColumn(
            "before", 0, lambda row: calls_cell(row, row.before), right=True, drop=2, name="calls before"
        ),
    ]


def calls_cell(row: Compared, sums: SpendRow | None) -> Cell:
    missing = formats.UNKNOWN if row.is_cut else formats.EMPTY
    return (missing, TextRole.DIM) if sums is None else (formats.count(sums.calls), TextRole.PLAIN)


def cost_cell(row: Compared, sums: SpendRow | None) -> Cell:
    if sums is None:
        return formats.align_decimal(formats.UNKNOWN if row.is_cut else formats.EMPTY, 4), TextRole.DIM
    return spent_cell(sums)


def costs_of(row: Compared) -> tuple[Decimal | None, Decimal | None]:
    """What it cost in each period; None: unknown."""
    missing = None if row.is_cut else Decimal(0)
    current, before = (missing if sums is None else sums.known_cost for sums in (row.current, row.before))
    return current, before


def change_cell(row: Compared) -> Cell:
    current, before = costs_of(row)
    if current is None or before is None:
        return formats.align_decimal(formats.UNKNOWN, 4), TextRole.WARNING
    change = current - before
    text = formats.EMPTY if not change else ("+" if change > 0 else "") + formats.money(change)
    return formats.align_decimal(text, 4), TextRole.PLAIN if change else TextRole.DIM


def percent_cell(row: Compared) -> Cell:
    """The change as a part of the cost before; that a group is new or gone."""
    current, before = costs_of(row)
    if row.before is None and not row.is_cut:
        return "new", TextRole.ACCENT
    if row.current is None and not row.is_cut:
        return "gone", TextRole.DIM
    if current is None or not before:
        return "", TextRole.DIM
    part = float(current / before) - 1
    sign = "+" if part > 0 else "-" if part < 0 else ""
    return sign + formats.percent(abs(part)), TextRole.PLAIN
