"""The layout of a table: which columns fit into a number of cells, and how wide each is. Pure.

Where a table is too wide, this happens until it is not, in this order: the columns marked `DROPPED_FIRST`
(ids, bars) and those that say nothing in any row go; texts take their `short` form; where cutting texts would
not be enough, they take their `brief` form, and then columns go in the order of their `drop`; texts are cut,
the longest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, NamedTuple, TypeVar

from rich.cells import cell_len

from gatekeeper.client.columns import Cell, Column
from gatekeeper.client.formats import EMPTY, sanitized

T = TypeVar("T")

GAP = "  "
DROPPED_FIRST = 1
BRIEF_WIDTH = 19
"""To so many cells the brief form of a text may be cut."""
_SAYS_NOTHING = ("", EMPTY, "0")


@dataclass(frozen=True, slots=True)
class TableColumn(Column[T], Generic[T]):
    """A column of a printed table. `width` is to how many cells its texts may be cut, 0: they are never cut.

    `drop` is the column's place in the order in which columns are left out, 0: it never is. `name` is what it
    is called when it is, if not by its title. `short` makes a cell that says the same in less room, `brief`
    one that says less.
    """

    drop: int = 0
    name: str = ""
    short: Callable[[T], Cell] | None = None
    brief: Callable[[T], Cell] | None = None


class Layout(NamedTuple, Generic[T]):
    """The columns that are shown, the width of each, and the names of those that are not."""

    columns: list[Column[T]]
    widths: list[int]
    dropped: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Measured(Generic[T]):
    """A column, the cells of its widest text, and to how many it may be cut."""

    column: Column[T]
    size: int
    least: int

    @property
    def drop(self) -> int:
        return self.column.drop if isinstance(self.column, TableColumn) else 0


def lay_out(columns: Sequence[Column[T]], rows: Sequence[T], width: int | None, *, foot: bool) -> Layout[T]:
    """The layout for so many cells; None: all of every column. With `foot` the last row is not one of those
    that make a column say something."""
    shown = [_measured(each, rows) for each in columns]
    if width is None or _total(shown) <= width:
        return Layout(list(columns), [each.size for each in shown], [])
    body = rows[:-1] if foot else rows
    shown = [each for each in shown if not (each.drop and _is_blank(each.column, body))]
    removed: list[str] = []
    while _total(shown) > width and (gone := _next_to_go(shown, DROPPED_FIRST)):
        removed.append(_name(gone.column))
        shown.remove(gone)
    for number, each in enumerate(shown):
        if _total(shown) > width:
            shown[number] = _with_cell(each, "short", rows)
    for number, each in enumerate(shown):
        if _least_total(shown) > width:
            shown[number] = _with_cell(each, "brief", rows)
    while _least_total(shown) > width and (gone := _next_to_go(shown)):
        removed.append(_name(gone.column))
        shown.remove(gone)
    dropped = [name for name in map(_name, columns) if name in removed]
    return Layout([each.column for each in shown], _cut(shown, width), dropped)


def _name(column: Column[T]) -> str:
    return (column.name if isinstance(column, TableColumn) else "") or column.title


def _measured(column: Column[T], rows: Sequence[T]) -> _Measured[T]:
    size = max(cell_len(sanitized(text)) for text in (column.title, *(column.cell(row)[0] for row in rows)))
    # Of a number no digit may be missing.
    fixed = column.right or not column.width
    return _Measured(column, size, size if fixed else min(size, max(column.width, cell_len(column.title))))


def _total(columns: Sequence[_Measured[T]]) -> int:
    return sum(each.size for each in columns) + len(GAP) * (len(columns) - 1)


def _least_total(columns: Sequence[_Measured[T]]) -> int:
    return sum(each.least for each in columns) + len(GAP) * (len(columns) - 1)


def _is_blank(column: Column[T], rows: Sequence[T]) -> bool:
    return all(column.cell(row)[0].strip() in _SAYS_NOTHING for row in rows)


def _next_to_go(columns: Sequence[_Measured[T]], latest: int | None = None) -> _Measured[T] | None:
    """The next column to leave out; with `latest`, of those that go no later than that."""
    going = [each for each in columns if 0 < each.drop <= (latest or each.drop)]
    return min(going, key=lambda each: each.drop, default=None)


def _with_cell(measured: _Measured[T], form: Literal["short", "brief"], rows: Sequence[T]) -> _Measured[T]:
    column = measured.column
    cell = getattr(column, form, None)
    if cell is None:
        return measured
    width = min(column.width, BRIEF_WIDTH) if form == "brief" else column.width
    return _measured(replace(column, cell=cell, width=width), rows)


def _cut(columns: Sequence[_Measured[T]], width: int) -> list[int]:
    """The widths, of which the widest are made narrower, none below its least, until they fit."""
    widths = [each.size for each in columns]
    for _ in range(_total(columns) - width):
        uncut = [(size, number) for number, size in enumerate(widths) if size > columns[number].least]
        # The widest first, cell by cell, so that none is cut shorter than one that was longer.
        if uncut:
            widths[max(uncut)[1]] -= 1
    return widths
