"""Stacked bars over time: the height is the money, colours and textures are who spent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.cells import cell_len
from textual import getters
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from gatekeeper.client import formats
from gatekeeper.client.formats import padded
from tui import stacks
from tui.stacks import CELL, LEAST, Cell, chart_borders
from tui.terminal import Shell


@dataclass(frozen=True, slots=True)
class Paint:
    """How a group looks: its colour (Okabe and Ito's), and a texture that tells it without one, which colour
    shows as a pattern of `shade`."""

    texture: str
    colour: str
    shade: str


PAINTS = (
    Paint("█", "#0072B2", "#0072B2"),
    Paint("▓", "#E69F00", "#F2B02E"),
    Paint("▒", "#009E73", "#008763"),
    Paint("░", "#56B4E9", "#6EC2F2"),
    Paint("▚", "#CC79A7", "#B8648F"),
    Paint("·", "#999999", "#808080"),
)
NAMED = len(PAINTS) - 1
OTHERS = "(others)"
# Groups that a chart names where it has not the room of the next two.
SMALL = 3
WIDE, HIGH = 100, 8
AXIS = 10
# Lines that are not bars: legend, axis, labels.
AROUND = 3
# Rows of bars without which a note is left out.
FEWEST = 3
# Cells of the legend that a group takes beside its name.
SPACE = 5
ROUND = tuple(map(Decimal, ("1", "1.2", "1.6", "2", "2.4", "3", "4", "5", "6", "8", "10")))
LOW = "low bars leave some groups out"


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time: its label and the parts of its sum, in the order of the chart's names, and last what
    is nobody's of these."""

    label: str
    parts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        return sum(self.parts, Decimal(0))

    @property
    def sums(self) -> list[float]:
        """As the drawing takes them, which is no more exact than a screen."""
        return [float(part) for part in self.parts]


@dataclass(frozen=True, slots=True)
class Chart:
    """`names` are the groups that have parts of their own, at most `NAMED`, the largest first; `note` is what
    one must know to read it."""

    names: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    note: str = ""


class Bars(Widget):
    """Draws a chart in the room it has; where there are more bars than cells, neighbours are drawn as one."""

    DEFAULT_CSS = """
    Bars {
        height: 12;
        padding: 0 1;
    }
    """

    app = getters.app(Shell)

    chart: reactive[Chart] = reactive(Chart())

    def render(self) -> Content:
        size = self.content_size
        return draw(self.chart, size.width, size.height, colour=not self.app.no_color)


def draw(chart: Chart, width: int, height: int, colour: bool = True) -> Content:
    """The chart: legend and note, rows from the top down, axis with labels."""
    note = [Content.styled(chart.note, "dim")] if chart.note and height > AROUND + FEWEST else []
    rows = height - AROUND - len(note)
    if rows < 1 or not chart.bars:
        return Content("")
    names = chart.names[: NAMED if width >= WIDE and rows >= HIGH else SMALL]
    bars = [painted_parts(bar, len(names)) for bar in merged(chart.bars, bars_as_one(len(chart.bars), width))]
    top = ceiling(max(bar.total for bar in bars))
    step = max((width - AXIS) // len(bars), 1)
    heights = [stacks.eighths(float(bar.total), float(top), rows) for bar in bars]
    borders = edges([bar.sums for bar in bars], heights, colour)
    low = LOW if any(map(is_low, bars, borders)) else ""
    columns = [stacks.cells(bar, rows) for bar in borders]
    others = any(bar.parts[-1] for bar in bars)
    lines = [legend(names, others, low, width, colour), *note]
    for row in reversed(range(rows)):
        pieces = (piece for column in columns for piece in painted(column[row], step, colour))
        lines.append(Content.assemble((scale_mark(row, rows, top), "dim"), *pieces))
    lines.append(Content.styled("$0 ┼".rjust(AXIS) + "─" * step * len(bars), "dim"))
    lines.append(Content.styled(" " * AXIS + labels([bar.label for bar in bars], step), "dim"))
    return Content("\n").join(lines)


def painted_parts(bar: Bar, named: int) -> Bar:
    """With a part for each paint: the first groups', and the last for all others."""
    own = bar.parts[:-1][:named]
    none = [Decimal(0)] * (NAMED - len(own))
    return Bar(bar.label, (*own, *none, sum(bar.parts[len(own) :], Decimal(0))))


def bars_as_one(bars: int, width: int) -> int:
    """How many neighbours are drawn as one bar at this width."""
    return max(-(-bars // max(width - AXIS, 1)), 1)


def merged(bars: Sequence[Bar], size: int) -> list[Bar]:
    """So many neighbours become one, under the first one's label."""
    groups = [bars[start : start + size] for start in range(0, len(bars), size)]
    return [Bar(group[0].label, added([bar.parts for bar in group])) for group in groups]


def added(parts: Sequence[tuple[Decimal, ...]]) -> tuple[Decimal, ...]:
    """The sums, part by part."""
    return tuple(sum(column, Decimal(0)) for column in zip(*parts, strict=True))


def edges(bars: Sequence[Sequence[float]], heights: Sequence[int], colour: bool) -> list[list[int]]:
    """Where the bars' parts end, in eighths of a cell."""
    if colour:
        return chart_borders(bars, heights)
    return [stacks.borders(parts, height, shared=False) for parts, height in zip(bars, heights, strict=True)]


def is_low(bar: Bar, edges: Sequence[int]) -> bool:
    """Whether it has no room for a group that is to be seen."""
    least = float(bar.total) * LEAST
    feet = (0, *edges)
    return any(
        foot == edge and float(part) > least for part, foot, edge in zip(bar.parts, feet, edges, strict=False)
    )


def ceiling(largest: Decimal) -> Decimal:
    """The next amount that the axis can say in two digits, and its half too."""
    if largest <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(largest.adjusted())
    return next(power * digit for digit in ROUND if power * digit >= largest)


def scale_mark(row: int, rows: int, top: Decimal) -> str:
    """What stands left of a row: the amount that its upper edge, or the middle of the chart, means."""
    if row == rows - 1:
        return f"{round_number(top)} ┤".rjust(AXIS)
    if rows >= 5 and rows % 2 == 0 and row == rows // 2 - 1:
        return f"{round_number(top / 2)} ┤".rjust(AXIS)
    return "│".rjust(AXIS)


def round_number(amount: Decimal) -> str:
    """Dollars of one or two digits, without the places that say nothing: `$80`, `$0.004`."""
    return f"${amount.normalize():,f}"


def painted(cell: Cell, step: int, colour: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    """A bar's piece in one row, and the gap that wide bars leave to their neighbours."""
    thick = step - 1 if step > 1 else 1
    glyph = " " if cell.lower is None else formats.LEVELS[cell.level]
    if cell.lower is not None and cell.level == CELL:
        glyph = PAINTS[cell.lower].texture
    return (glyph * thick, style(cell) if colour else ""), (" " * (step - thick), "")


def style(cell: Cell) -> str:
    """A border cell is the lower group's block on the upper one's ground; a whole one is patterned."""
    if cell.lower is None:
        return ""
    paint = PAINTS[cell.lower]
    if cell.level == CELL:
        return f"{paint.shade} on {paint.colour}"
    return paint.colour if cell.upper is None else f"{paint.colour} on {PAINTS[cell.upper].colour}"


def labels(names: Sequence[str], step: int) -> str:
    """As many of the labels as fit without touching, each under the start of its bar."""
    longest = max(len(name) for name in names)
    every = -(-(longest + 2) // step)
    shown = range(0, len(names), every)
    fitting = (names[start] for start in shown if len(names[start]) <= (len(names) - start) * step)
    return "".join(name.ljust(every * step) for name in fitting).rstrip()


def legend(names: Sequence[str], others: bool, note: str, width: int, colour: bool) -> Content:
    """A note on the left; on the right which colour and texture is whose, names cut where they must be."""
    shown = [*map(formats.harmless, names), *([OTHERS] if others else [])]
    paints = [*range(len(names)), NAMED]
    cut = within(shown, width - len(note) - SPACE * len(shown))
    parts = [
        Content.assemble((PAINTS[number].texture, style(Cell(CELL, number)) if colour else ""), f" {name}")
        for number, name in zip(paints, cut, strict=False)
    ]
    line = Content(" " * (SPACE - 2)).join(parts)
    left = Content.styled(note, "dim")
    return Content.assemble(left, " " * max(width - left.cell_length - line.cell_length, 0), line)


def within(names: Sequence[str], room: int) -> list[str]:
    """Names that together take no more cells than there are: the longest are cut first, and say so."""
    longest = max(map(cell_len, names), default=0)
    while longest > 1 and sum(min(cell_len(name), longest) for name in names) > room:
        longest -= 1
    return [padded(name, min(cell_len(name), longest), right=False) for name in names]


def condensed(values: Sequence[float], most: int) -> list[float]:
    """At most so many values for the whole of them: as many neighbours as it takes are added up."""
    size = max(-(-len(values) // most), 1)
    return [sum(values[start : start + size]) for start in range(0, len(values), size)]


def sparkline(values: Sequence[float]) -> str:
    """One cell a value, against the largest; more than nothing shows at least an eighth."""
    top = max(values, default=0)
    return "".join(formats.LEVELS[max(round(value / top * 8), 1) if value > 0 else 0] for value in values)
