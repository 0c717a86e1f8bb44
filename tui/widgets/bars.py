"""How a chart of stacked bars over time is drawn: height is cost, colour and texture are the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from rich.cells import cell_len
from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.columns import padded
from tui import bar_segments
from tui.bar_segments import CELL, MIN_VISIBLE_SHARE, Cell, chart_edges


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """The colour of a group by the theme's variable, and its texture, which identifies it without colour; in
    colour the texture is a pattern in `shade`."""

    texture: str
    colour: str
    shade: str


SERIES_STYLES = tuple(
    SeriesStyle(texture, f"$series-{number}", f"$series-{number}-pattern")
    for number, texture in enumerate("█▓▒░▚·", start=1)
)
NAMED = len(SERIES_STYLES) - 1
OTHERS = "(others)"
# Named groups in a chart smaller than WIDE × TALL_ROWS.
SMALL_CHART_GROUPS = 3
WIDE, TALL_ROWS = 100, 8
AXIS = 10
# A bar wider than this looks like a wall.
MAX_STEP = 20
CURSOR = "▲"
# Lines other than bars: legend, axis, labels.
NON_BAR_LINES = 3
# With fewer rows of bars a note is left out.
MIN_BAR_ROWS = 3
# Cells of the legend that a group takes in addition to its name.
LEGEND_SPACE = 5
# Steps of a quarter at most: the highest bar has at least 80 % of the height.
AXIS_MAXIMA = tuple(
    map(Decimal, ("1", "1.2", "1.5", "1.8", "2", "2.4", "3", "3.6", "4", "5", "6", "7", "8", "10"))
)
OMITTED_NOTE = "low bars leave some groups out"


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time: its label and the parts of its sum, in the order of the chart's names, and last the
    part of all other groups."""

    label: str
    parts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        return sum(self.parts, Decimal(0))

    @property
    def sums(self) -> list[float]:
        """The parts as floats, exact enough for drawing."""
        return [float(part) for part in self.parts]


@dataclass(frozen=True, slots=True)
class Chart:
    """`names` are the groups with their own parts, at most `NAMED`, the largest first; `note` explains how to
    read the chart."""

    names: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    note: str = ""


# A screen that is shown again, or laid out again around it, has the same chart as before.
@lru_cache(maxsize=16)
def draw(chart: Chart, width: int, height: int, colour: bool = True, cursor: int | None = None) -> Content:
    """The chart: legend and note, rows from the top down, axis with labels. The drawn bar `cursor` is marked
    on the axis."""
    note = [Content.styled(chart.note, "dim")] if chart.note and height > NON_BAR_LINES + MIN_BAR_ROWS else []
    rows = height - NON_BAR_LINES - len(note)
    if rows < 1 or not chart.bars:
        return Content("")
    names = chart.names[: NAMED if width >= WIDE and rows >= TALL_ROWS else SMALL_CHART_GROUPS]
    bars = [
        parts_by_style(bar, len(names)) for bar in merged(chart.bars, bars_as_one(len(chart.bars), width))
    ]
    top = axis_maximum(max(bar.total for bar in bars))
    step = bar_step(len(bars), width)
    heights = [bar_segments.eighths(float(bar.total), float(top), rows) for bar in bars]
    all_edges = bar_edges([bar.sums for bar in bars], heights, colour)
    omitted = OMITTED_NOTE if any(map(omits_groups, bars, all_edges)) else ""
    columns = [bar_segments.cells(edges, rows) for edges in all_edges]
    others = any(bar.parts[-1] for bar in bars)
    lines = [legend(names, others, omitted, width, colour), *note]
    for row in reversed(range(rows)):
        pieces = (piece for column in columns for piece in bar_piece(column[row], step, colour))
        lines.append(Content.assemble((axis_tick(row, rows, top), "dim"), *pieces))
    lines.append(axis_line(step, len(bars), cursor))
    lines.append(Content.styled(" " * AXIS + labels([bar.label for bar in bars], step), "dim"))
    return Content("\n").join(lines)


def bar_step(bars: int, width: int) -> int:
    """The cells from one drawn bar to the next."""
    return max(min((width - AXIS) // max(bars, 1), MAX_STEP), 1)


def axis_line(step: int, bars: int, cursor: int | None) -> Content:
    """The axis below the bars, with the cursor under its bar."""
    line = "─" * step * bars
    if cursor is None:
        return Content.styled("$0 ┼".rjust(AXIS) + line, "dim")
    before, thick = step * cursor, bar_thickness(step)
    return Content.assemble(
        ("$0 ┼".rjust(AXIS) + line[:before], "dim"),
        (CURSOR * thick, "bold $accent"),
        (line[before + thick :], "dim"),
    )


def parts_by_style(bar: Bar, named: int) -> Bar:
    """A bar with one part for each style: the first groups, and last all others."""
    own = bar.parts[:-1][:named]
    none = [Decimal(0)] * (NAMED - len(own))
    return Bar(bar.label, (*own, *none, sum(bar.parts[len(own) :], Decimal(0))))


def bars_as_one(bars: int, width: int) -> int:
    """How many neighbouring bars are merged into one at this width."""
    return max(-(-bars // max(width - AXIS, 1)), 1)


def merged(bars: Sequence[Bar], size: int) -> list[Bar]:
    """Merges each `size` neighbours, under the first one's label."""
    groups = [bars[start : start + size] for start in range(0, len(bars), size)]
    return [Bar(group[0].label, added([bar.parts for bar in group])) for group in groups]


def added(parts: Sequence[tuple[Decimal, ...]]) -> tuple[Decimal, ...]:
    """The sums, part by part."""
    return tuple(sum(column, Decimal(0)) for column in zip(*parts, strict=True))


def bar_edges(bars: Sequence[Sequence[float]], heights: Sequence[int], colour: bool) -> list[list[int]]:
    """The upper edges of the bars' parts, in eighths of a cell."""
    if colour:
        return chart_edges(bars, heights)
    return [bar_segments.whole_cell_edges(parts, height) for parts, height in zip(bars, heights, strict=True)]


def omits_groups(bar: Bar, edges: Sequence[int]) -> bool:
    """Whether it has no room for a group that should be visible."""
    least = float(bar.total) * MIN_VISIBLE_SHARE
    lower_edges = (0, *edges)
    return any(
        lower == upper and float(part) > least
        for part, lower, upper in zip(bar.parts, lower_edges, edges, strict=False)
    )


def axis_maximum(largest: Decimal) -> Decimal:
    """The next amount that has two digits, and whose half has."""
    if largest <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(largest.adjusted())
    return next(power * digit for digit in AXIS_MAXIMA if power * digit >= largest)


def axis_tick(row: int, rows: int, top: Decimal) -> str:
    """The axis left of a row: the amount at its upper edge, or at the middle of the chart."""
    if row == rows - 1:
        return f"{round_number(top)} ┤".rjust(AXIS)
    if rows >= 5 and rows % 2 == 0 and row == rows // 2 - 1:
        return f"{round_number(top / 2)} ┤".rjust(AXIS)
    return "│".rjust(AXIS)


def round_number(amount: Decimal) -> str:
    """Dollars of one or two digits, without trailing zeros: `$80`, `$0.004`."""
    return f"${amount.normalize():,f}"


def bar_thickness(step: int) -> int:
    """The cells of a bar: one is left between two, if there is room."""
    return step - 1 if step > 1 else 1


def bar_piece(cell: Cell, step: int, colour: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    """A bar's piece in one row, and the gap after it if there is room."""
    thick = bar_thickness(step)
    glyph = " " if cell.lower is None else formats.LEVELS[cell.level]
    if cell.lower is not None and cell.level == CELL:
        glyph = SERIES_STYLES[cell.lower].texture
    return (glyph * thick, style(cell) if colour else ""), (" " * (step - thick), "")


def style(cell: Cell) -> str:
    """With an edge in it, the lower group's block on the upper one's background; a full cell is patterned."""
    if cell.lower is None:
        return ""
    series_style = SERIES_STYLES[cell.lower]
    if cell.level == CELL:
        return f"{series_style.shade} on {series_style.colour}"
    return (
        series_style.colour
        if cell.upper is None
        else f"{series_style.colour} on {SERIES_STYLES[cell.upper].colour}"
    )


def labels(names: Sequence[str], step: int) -> str:
    """As many of the labels as fit without touching, each under the start of its bar."""
    longest = max(len(name) for name in names)
    every = -(-(longest + 2) // step)
    shown = range(0, len(names), every)
    fitting = (names[start] for start in shown if len(names[start]) <= (len(names) - start) * step)
    return "".join(name.ljust(every * step) for name in fitting).rstrip()


def legend(names: Sequence[str], others: bool, note: str, width: int, colour: bool) -> Content:
    """A note on the left; on the right the groups with colour and texture, names truncated if necessary."""
    shown = [*map(formats.sanitized, names), *([OTHERS] if others else [])]
    numbers = [*range(len(names)), NAMED]
    cut = truncate_names(shown, width - len(note) - LEGEND_SPACE * len(shown))
    parts = [
        Content.assemble(
            (SERIES_STYLES[number].texture, style(Cell(CELL, number)) if colour else ""), f" {name}"
        )
        for number, name in zip(numbers, cut, strict=False)
    ]
    line = Content(" " * (LEGEND_SPACE - 2)).join(parts)
    left = Content.styled(note, "dim")
    return Content.assemble(left, " " * max(width - left.cell_length - line.cell_length, 0), line)


def truncate_names(names: Sequence[str], room: int) -> list[str]:
    """Truncates names to fit into `room` cells together, the longest first."""
    longest = max(map(cell_len, names), default=0)
    while longest > 1 and sum(min(cell_len(name), longest) for name in names) > room:
        longest -= 1
    return [padded(name, min(cell_len(name), longest), right=False) for name in names]


def condensed(values: Sequence[float], most: int) -> list[float]:
    """At most `most` values: neighbours are summed."""
    size = max(-(-len(values) // most), 1)
    return [sum(values[start : start + size]) for start in range(0, len(values), size)]


def sparkline(values: Sequence[float]) -> str:
    """One cell for each value, relative to the largest; at least an eighth for more than 0."""
    top = max(values, default=0)
    return "".join(formats.LEVELS[max(round(value / top * 8), 1) if value > 0 else 0] for value in values)
