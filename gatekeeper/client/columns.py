"""Styled text: each text has a role, for which a theme has a style; and columns of such text. A `Column`
turns a row into such text; `column_widths` distributes the width, `cells` pads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic

from rich.cells import cell_len, set_cell_size

from gatekeeper.client.formats import T, sanitized

# Cells between two columns.
GAP = 1
# Widths of the screen, in cells, from which lists show more columns.
MEDIUM, WIDE = 120, 160


class TextRole(StrEnum):
    """The meaning of a text; each has a style in the theme."""

    PLAIN = "plain"
    DIM = "dim"
    ACCENT = "accent"
    SUCCESS = "success"
    PENDING = "pending"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class State:
    """`word` fits into a column, `meaning` is its explanation on the detail screen."""

    sign: str
    word: str
    role: TextRole
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


Cell = tuple[str, TextRole]
TextLine = list[Cell]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`width` is the minimum; the rest of a line is distributed by `stretch`."""

    title: str
    width: int
    cell: Callable[[T], Cell]
    stretch: int = 0
    right: bool = False


def column_widths(columns: Sequence[Column[T]], width: int) -> list[int]:
    """The width of each column, so that columns and gaps fill `width` if any column stretches."""
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
    """The text in exactly `width` cells; truncated with `…`."""
    text = sanitized(text)
    length = cell_len(text)
    if length > width:
        text = text.rstrip()
        length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + "…"[:width]
    return " " * (width - length) + text if right else text + " " * (width - length)


def cells(columns: Sequence[Column[T]], widths: Sequence[int], row: T) -> list[Cell]:
    """The padded cells of a row, each but the last followed by the gap."""
    line: list[Cell] = []
    for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
        text, role = column.cell(row)
        gap = " " * GAP if number < len(columns) - 1 else ""
        line.append((padded(text, width, column.right) + gap, role))
    return line


def header_row(columns: Sequence[Column[T]], widths: Sequence[int]) -> str:
    """The line of column titles."""
    pairs = zip(columns, widths, strict=True)
    return (" " * GAP).join(padded(column.title, width, column.right) for column, width in pairs)
