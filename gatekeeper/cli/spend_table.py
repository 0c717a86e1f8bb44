"""The table of sums of calls by groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from gatekeeper.cli.table_layout import FIRST_TO_GO, TableColumn
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
        TableColumn("", 0, bar, drop=FIRST_TO_GO, name="bars"),
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
