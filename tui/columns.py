"""The columns of a list: which there are at a width, how wide each is, and what a row shows in them.

Pure. A `Column` turns a row into text with a tone; `fit` shares out the width, `cells` pads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from tui.format import harmless
from tui.states import Tone

T = TypeVar("T")
Cell = tuple[str, Tone]
GAP = 1


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`width` is the least it needs; what a line has left goes to columns by their `stretch`."""

    title: str
    width: int
    cell: Callable[[T], Cell]
    stretch: int = 0
    right: bool = False


def fit(columns: Sequence[Column[T]], width: int) -> list[int]:
    """Each column's width, so that they and the gaps between fill `width` if any of them stretches."""
    widths = [column.width for column in columns]
    spare = width - sum(widths) - GAP * (len(columns) - 1)
    shares = sum(column.stretch for column in columns)
    for number, column in enumerate(columns):
        if spare > 0 and column.stretch:
            part = spare * column.stretch // shares
            widths[number] += part
            spare, shares = spare - part, shares - column.stretch
    return widths


def padded(text: str, width: int, right: bool) -> str:
    """Exactly `width` cells; what does not fit ends in `…`."""
    text = harmless(text)
    length = cell_len(text)
    if length > width:
        text = text.rstrip()
        length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + "…"[:width]
    return " " * (width - length) + text if right else text + " " * (width - length)


def cells(columns: Sequence[Column[T]], widths: Sequence[int], row: T) -> list[Cell]:
    """A row's cells, padded, each but the last with the gap behind it."""
    line: list[Cell] = []
    for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
        text, tone = column.cell(row)
        gap = " " * GAP if number < len(columns) - 1 else ""
        line.append((padded(text, width, column.right) + gap, tone))
    return line


def heads(columns: Sequence[Column[T]], widths: Sequence[int]) -> str:
    """The line of titles above."""
    pairs = zip(columns, widths, strict=True)
    return (" " * GAP).join(padded(column.title, width, column.right) for column, width in pairs)
