"""Stacked bars over time: the height is the money, the textures are who spent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui import format  # noqa: A004 - the room's word for it

# Texture and colour of each part, from the bottom; the textures alone tell them apart. The colours are
# Okabe and Ito's.
TEXTURES = ("█", "▓", "▒", "░")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "dim")
AXIS = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time: its label and the parts of its sum, in the order of the chart's names."""

    label: str
    parts: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """`names` are the parts', as the legend has them; at most as many as there are textures."""

    names: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()


class Bars(Widget):
    """Draws a chart in the room it has; where there are more bars than cells, neighbours are drawn as one."""

    DEFAULT_CSS = """
    Bars {
        height: 12;
        padding: 0 1;
    }
    """

    chart: reactive[Chart] = reactive(Chart())

    def render(self) -> Content:
        return draw(self.chart, self.content_size.width, self.content_size.height)


def draw(chart: Chart, width: int, height: int) -> Content:
    """The chart: legend, rows from the top down, axis with labels."""
    rows = height - 3
    if rows < 1 or not chart.bars:
        return Content("")
    bars = merged(chart.bars, max(width - AXIS, 1))
    top = ceiling(max(sum(bar.parts, Decimal(0)) for bar in bars))
    step = max((width - AXIS) // len(bars), 1)
    columns = [format.stacked([float(part) for part in bar.parts], float(top), rows) for bar in bars]
    lines = [legend(chart.names, width)]
    for row in reversed(range(rows)):
        cells = (cell(*column[row], step) for column in columns)
        lines.append(Content.assemble((scale_mark(row, rows, top), "dim"), *cells))
    lines.append(Content.styled("$0 ┼".rjust(AXIS) + "─" * step * len(bars), "dim"))
    lines.append(Content.styled(" " * AXIS + labels([bar.label for bar in bars], step), "dim"))
    return Content("\n").join(lines)


def merged(bars: Sequence[Bar], most: int) -> list[Bar]:
    """At most `most` bars: as many neighbours as it takes become one, under the first one's label."""
    size = -(-len(bars) // most)
    groups = [bars[start : start + size] for start in range(0, len(bars), size)]
    return [Bar(group[0].label, added([bar.parts for bar in group])) for group in groups]


def added(parts: Sequence[tuple[Decimal, ...]]) -> tuple[Decimal, ...]:
    """The sums, part by part."""
    return tuple(sum(column, Decimal(0)) for column in zip(*parts, strict=True))


def ceiling(largest: Decimal) -> Decimal:
    """The next of 1, 2, 4, 5, 8 or 10 times a power of ten: what the axis can say in one digit."""
    if largest <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(largest.adjusted())
    return next(power * digit for digit in (1, 2, 4, 5, 8, 10) if power * digit >= largest)


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


def cell(level: str, owner: int, step: int) -> tuple[str, str]:
    """A bar's piece in one row; wide bars leave a gap to their neighbours."""
    texture = TEXTURES[owner] if level == "█" else level
    thick = step - 1 if step > 1 else 1
    return (texture * thick).ljust(step), COLOURS[owner]


def labels(names: Sequence[str], step: int) -> str:
    """As many of the labels as fit without touching, each under the start of its bar."""
    longest = max(len(name) for name in names)
    every = -(-(longest + 2) // step)
    shown = range(0, len(names), every)
    fitting = (names[start] for start in shown if len(names[start]) <= (len(names) - start) * step)
    return "".join(name.ljust(every * step) for name in fitting).rstrip()


def legend(names: Sequence[str], width: int) -> Content:
    """Which texture is whose, on the right."""
    pairs = zip(TEXTURES, COLOURS, names, strict=False)
    line = Content("   ").join(
        Content.assemble((texture, colour), f" {name}") for texture, colour, name in pairs
    )
    return Content.assemble(" " * max(width - line.cell_length, 0), line)
