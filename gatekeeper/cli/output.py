"""What commands print: JSON documents, styled text, and tables sized to their contents.

Colour only on a terminal and if NO_COLOR (https://no-color.org) is not set. Untrusted text (tags, paths, user
agents) is printed without control characters: a terminal would execute them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypedDict, TypeVar

import click
import msgspec
from rich.cells import cell_len

from gatekeeper.client import formats
from gatekeeper.client.api_types import PartialResult
from gatekeeper.client.formats import WIDE, Cell, Column, TextRole, padded

T = TypeVar("T")

# They can occur in strings only, so that escaping them keeps the JSON the same. C0 is escaped in any JSON.
TERMINAL_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

GAP = "  "


class Style(TypedDict, total=False):
    """As `click.style` takes it."""

    fg: str
    dim: bool


# Named colours: the terminal's palette decides how they look.
STYLES: dict[TextRole, Style] = {
    TextRole.DIM: {"dim": True},
    TextRole.ACCENT: {"fg": "cyan"},
    TextRole.SUCCESS: {"fg": "green"},
    TextRole.PENDING: {"fg": "blue"},
    TextRole.WARNING: {"fg": "yellow"},
    TextRole.ERROR: {"fg": "red"},
}


def print_json(document: bytes) -> None:
    """Prints a JSON document with terminal controls escaped: JSON allows DEL, C1 and bidirectional controls
    in strings, and to a parser the escaped form is equal."""
    click.echo(
        TERMINAL_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode(errors="replace"))
    )


def note_partial(document: bytes) -> None:
    """Prints a note where a response lacks the calls in the analytics file, and why."""
    marker = msgspec.json.decode(document, type=PartialResult)
    if marker.partial:
        print_note(f"Partial result: {marker.partial_reason}.")


def print_note(text: str) -> None:
    """Prints on stderr: for people, not for scripts that read stdout."""
    click.echo(text, err=True)


def print_warning(text: str) -> None:
    """Prints a note that must not be overlooked."""
    styled = click.style(f"⚠ {sanitized(text)}", fg="yellow", bold=True)
    click.echo(styled if sys.stderr.isatty() and not plain_terminal() else click.unstyle(styled), err=True)


def width() -> int:
    """Cells in a line; without a terminal wide enough for every column."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


@cache
def coloured() -> bool:
    return sys.stdout.isatty() and not plain_terminal()


def plain_terminal() -> bool:
    """Whether the environment asks for no colour."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def paint(text: str, role: TextRole) -> str:
    return click.style(text, **STYLES[role]) if coloured() and role in STYLES else text


def sanitized(text: str) -> str:
    """Replaces control characters by U+FFFD, so that their place stays visible."""
    return formats.sanitized(text, replacement="�")


def sanitized_cell(cell: Cell) -> Cell:
    return sanitized(cell[0]), cell[1]


def print_cells(cells: Iterable[Cell]) -> None:
    """Prints one line of styled texts."""
    line = [sanitized_cell(cell) for cell in cells]
    while line and not line[-1][0].strip():
        line.pop()
    if line:
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
    click.echo("".join(paint(text, role) for text, role in line))


def print_table(columns: Sequence[Column[T]], rows: Iterable[T], last: T | None = None) -> None:
    """Prints a table, each column as wide as its widest cell; `last` is set off below."""
    lines = [[(column.title, TextRole.DIM) for column in columns]]
    lines += [cells_of(columns, row) for row in rows]
    foot = [] if last is None else cells_of(columns, last)
    widths = [
        # Without a last row the titles take its place: they count anyway.
        max(cell_len(text) for text, _ in cells)
        for cells in zip(*lines, foot or lines[0], strict=True)
    ]
    for line in lines:
        print_row(columns, widths, line)
    if foot:
        # A last column of texts is of any width.
        ruled = [*widths[:-1], widths[-1] if columns[-1].right else cell_len(foot[-1][0])]
        print_cells([(GAP.join("─" * size for size in ruled), TextRole.DIM)])
        print_row(columns, widths, foot)


def cells_of(columns: Sequence[Column[T]], row: T) -> list[Cell]:
    return [sanitized_cell(column.cell(row)) for column in columns]


def print_row(columns: Sequence[Column[T]], widths: Sequence[int], line: Sequence[Cell]) -> None:
    cells: list[Cell] = []
    for column, size, (text, role) in zip(columns, widths, line, strict=True):
        cells += [(padded(text, size, column.right), role), (GAP, TextRole.PLAIN)]
    print_cells(cells)


def print_fields(facts: Iterable[tuple[str, str | None]]) -> None:
    """Prints names and values; those without a value are left out."""
    known = [(name, value) for name, value in facts if value]
    size = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print_cells([(name.ljust(size) + GAP, TextRole.DIM), (value, TextRole.PLAIN)])
