"""What commands print: JSON documents, styled text, and tables.

Tables fit the width of the terminal. Elsewhere, as in a pipe or a file, they have every column and nothing is
cut, as with kubectl, unless COLUMNS is in the environment (shells set it, but do not export it).

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
from textwrap import wrap
from typing import TypedDict, TypeVar

import click
import msgspec
from rich.cells import cell_len

from gatekeeper.cli.table_layout import GAP, lay_out
from gatekeeper.client import formats
from gatekeeper.client.api_types import PartialResult
from gatekeeper.client.columns import WIDE, Cell, Column, TextRole, padded

T = TypeVar("T")

# They can occur in strings only, so that escaping them keeps the JSON the same. C0 is escaped in any JSON.
TERMINAL_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


# Cells in which a text is readable.
MIN_ROOM = 24
NAMED_COLUMNS = 6
"""Of those that a table lacks, so many are named at most."""


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


def print_hint(text: str) -> None:
    """Prints a note of low importance."""
    plain = plain_terminal() or not sys.stderr.isatty()
    click.echo(text if plain else click.style(text, **STYLES[TextRole.DIM]), err=True)


def print_warning(text: str) -> None:
    """Prints a note that must not be overlooked."""
    styled = click.style(f"⚠ {sanitized(text)}", fg="yellow", bold=True)
    click.echo(styled if sys.stderr.isatty() and not plain_terminal() else click.unstyle(styled), err=True)


def width() -> int:
    """Cells in a line; without a terminal wide enough for every column."""
    return limited_width() or WIDE


def limited_width() -> int | None:
    """The cells in a line that output has to fit; None where there is no such limit."""
    # Python's own, which prefers COLUMNS.
    limited = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return shutil.get_terminal_size().columns if limited else None


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


def print_wrapped(cells: Sequence[Cell]) -> None:
    """Prints one line of styled texts, of which the last goes on below its own beginning where it is wider
    than the terminal."""
    *before, (text, role) = map(sanitized_cell, cells)
    inset = text[: len(text) - len(text.lstrip())]
    at = sum(cell_len(text) for text, _ in before) + len(inset)
    room = (limited_width() or 0) - at
    if room < MIN_ROOM or cell_len(text) - len(inset) <= room:
        print_cells([*before, (text, role)])
        return
    first, *others = wrap(text.lstrip(), room, break_long_words=False, break_on_hyphens=False)
    print_cells([*before, (inset + first, role)])
    for line in others:
        print_cells([(" " * at, TextRole.PLAIN), (line, role)])


def print_table(columns: Sequence[Column[T]], rows: Iterable[T], last: T | None = None) -> None:
    """Prints a table that fits (`table_layout`), and on stderr which columns it lacks. `last` is set off
    below."""
    known = list(rows)
    everything = known if last is None else [*known, last]
    shown, widths, dropped = lay_out(columns, everything, limited_width(), foot=last is not None)
    print_row(shown, widths, [(column.title, TextRole.DIM) for column in shown])
    for row in known:
        print_row(shown, widths, cells_of(shown, row))
    if last is not None:
        foot = cells_of(shown, last)
        # A last column of texts is of any width.
        ruled = [*widths[:-1], widths[-1] if shown[-1].right else min(widths[-1], cell_len(foot[-1][0]))]
        print_cells([(GAP.join("─" * size for size in ruled), TextRole.DIM)])
        print_row(shown, widths, foot)
    if dropped:
        more = len(dropped) - NAMED_COLUMNS
        names = ", ".join(dropped[:NAMED_COLUMNS]) + (f" and {more} more" if more > 0 else "")
        print_hint(f"No room for {names}: a wider terminal or --json has them.")


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
        print_wrapped([(name.ljust(size) + GAP, TextRole.DIM), (value, TextRole.PLAIN)])
