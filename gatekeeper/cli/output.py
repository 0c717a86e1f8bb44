"""What commands print: documents as they came, text in tones, and tables as wide as what is in them.

Colour only where a terminal shows it and NO_COLOR (https://no-color.org) is not set. What others wrote (tags,
paths, user agents) is shown without its control characters: they would command the terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TypedDict, TypeVar

import click
import msgspec
from rich.cells import cell_len

from gatekeeper.client import formats
from gatekeeper.client.formats import WIDE, Cell, Column, Tone, padded

T = TypeVar("T")

# All of them can stand in strings only, so that a document stays the same JSON. C0 is escaped in any JSON.
COMMANDS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

GAP = "  "


class Style(TypedDict, total=False):
    """As `click.style` takes it."""

    fg: str
    dim: bool


# Names of colours: the terminal's own palette decides how they look.
STYLES: dict[Tone, Style] = {
    Tone.FAINT: {"dim": True},
    Tone.ACCENT: {"fg": "cyan"},
    Tone.FINE: {"fg": "green"},
    Tone.WAITING: {"fg": "blue"},
    Tone.LIMIT: {"fg": "yellow"},
    Tone.ERROR: {"fg": "red"},
}


class Answered(msgspec.Struct):
    """What an answer says of itself."""

    partial: bool = False
    partial_reason: str = "another program has the analytics file"


def emit(document: bytes) -> None:
    """A JSON document. What would command a terminal or turn its text around is escaped: JSON lets DEL, C1
    controls and bidirectional ones stand in a string as they are, and to a reader they are the same."""
    click.echo(COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode(errors="replace")))


def note_gaps(document: bytes) -> None:
    """Tells where an answer leaves out what lies in the analytics file, and why."""
    answered = msgspec.json.decode(document, type=Answered)
    if answered.partial:
        note(f"These are not all calls: {answered.partial_reason}.")


def note(text: str) -> None:
    """What a person should know and no script reads: on stderr."""
    click.echo(text, err=True)


def width() -> int:
    """Cells in a line. Where there is no terminal nothing is too narrow."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


@cache
def coloured() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def paint(text: str, tone: Tone) -> str:
    return click.style(text, **STYLES[tone]) if coloured() and tone in STYLES else text


def harmless(text: str) -> str:
    """Printed, a character that was left out is seen to be one, by the sign that Unicode has for it."""
    return formats.harmless(text, instead="�")


def safe(cell: Cell) -> Cell:
    return harmless(cell[0]), cell[1]


def print_cells(cells: Iterable[Cell]) -> None:
    """One line of toned texts."""
    line = [safe(cell) for cell in cells]
    while line and not line[-1][0].strip():
        line.pop()
    if line:
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
    click.echo("".join(paint(text, tone) for text, tone in line))


def print_table(columns: Sequence[Column[T]], rows: Iterable[T], last: T | None = None) -> None:
    """Each column as wide as its widest cell, whatever the column says; `last` is set off below."""
    lines = [[(column.title, Tone.FAINT) for column in columns]]
    lines += [cells_of(columns, row) for row in rows]
    foot = [] if last is None else cells_of(columns, last)
    widths = [
        # The titles stand in for a foot that is not there: they are among the lines anyway.
        max(cell_len(text) for text, _ in cells)
        for cells in zip(*lines, foot or lines[0], strict=True)
    ]
    for line in lines:
        print_row(columns, widths, line)
    if foot:
        print_cells([(GAP.join("─" * size for size in widths), Tone.FAINT)])
        print_row(columns, widths, foot)


def cells_of(columns: Sequence[Column[T]], row: T) -> list[Cell]:
    return [safe(column.cell(row)) for column in columns]


def print_row(columns: Sequence[Column[T]], widths: Sequence[int], line: Sequence[Cell]) -> None:
    cells: list[Cell] = []
    for column, size, (text, tone) in zip(columns, widths, line, strict=True):
        cells += [(padded(text, size, column.right), tone), (GAP, Tone.PLAIN)]
    print_cells(cells)


def moment(at: datetime | None, timespec: str = "milliseconds") -> str:
    """A time by the clocks of this machine, with its zone, so that `--since` and others read it back as the
    same: `2026-11-24 14:07:21.418+01:00`."""
    if at is None:
        return formats.NOTHING
    return at.astimezone().isoformat(" ", timespec).replace("+00:00", "Z")


def print_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """Names and what they stand for; those that stand for nothing are left out."""
    known = [(name, value) for name, value in facts if value]
    size = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print_cells([(name.ljust(size) + GAP, Tone.FAINT), (value, Tone.PLAIN)])
