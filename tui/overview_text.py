"""The Overview screen's lines, charts and columns, by the available width and height."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import columns, formats
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.health_text import Finding
from gatekeeper.client.key_text import bar_cell, budget_cell, key_state, name_cell
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import SpendRow, share_cell
from tui.overview import MINUTES, Comparison, OverviewData

# Cells of the charts' names.
NAME_WIDTH = 11
# Cells of the widest figure beside a chart.
FIGURE_WIDTH = 6
# Cells between charts that are side by side.
CHART_GAP = 3
ARROWS = ("▼", "▲")


def comparison_line(comparison: Comparison, width: int) -> list[Cell]:
    """A period's spend, and beside it as much as fits: its change, the period before, calls and errors."""
    total, earlier = comparison.current.total, comparison.earlier.total
    spent = total.known_cost
    line: list[Cell] = [
        (f"{comparison.period.title:<9} ", TextRole.DIM),
        (f"{formats.money(spent):>9}", TextRole.WARNING if spent is None else TextRole.ACCENT),
        (f"  {change(spent, earlier.known_cost):<8}", TextRole.PLAIN),
        (f" {earlier_text(comparison)}", TextRole.DIM),
    ]
    errors = f"{formats.tokens(total.errors)} failed"
    more: list[Cell] = [
        (f"   {formats.tokens(total.calls)} call{'s' * (total.calls != 1)}", TextRole.PLAIN),
        (f"   {errors}", TextRole.ERROR if total.errors else TextRole.DIM),
        (f" ({formats.percent(formats.share(total.errors, total.calls))})", TextRole.DIM),
        (f"   {formats.tokens(total.total_tokens)} tokens", TextRole.PLAIN),
    ]
    for cell in more:
        if length([*line, cell]) > width:
            break
        line.append(cell)
    return line


def change(spent: Decimal | None, earlier: Decimal | None) -> str:
    """`▲ 12 %`: how much more or less than before; nothing where that is not known."""
    if spent is None or not earlier:
        return ""
    by = float(spent / earlier) - 1
    return f"{ARROWS[by >= 0]} {formats.percent(abs(by))}"


def earlier_text(comparison: Comparison) -> str:
    """What was spent in the same part of the period before."""
    row, title = comparison.earlier.total, comparison.period.earlier_title
    return f"{formats.money(row.known_cost)} {title}" if row.calls else f"no calls {title}"


def length(cells: Sequence[Cell]) -> int:
    return sum(len(text) for text, _ in cells)


@dataclass(frozen=True, slots=True)
class Measure:
    """What a chart counts in each minute."""

    title: str
    count: Callable[[SpendRow], int | None]
    role: TextRole


MEASURES = (
    Measure("calls/min", lambda row: row.calls, TextRole.ACCENT),
    Measure("errors/min", lambda row: row.errors, TextRole.ERROR),
    Measure("tokens/min", lambda row: row.total_tokens, TextRole.PENDING),
)


def hour_charts(data: OverviewData, width: int, height: int) -> list[list[Cell]]:
    """The charts of the last hour: side by side where all minutes of each have room, else one below the
    other, that of errors, which are few, in one row."""
    part = (width + CHART_GAP) // len(MEASURES) - CHART_GAP
    if part >= MINUTES and height > 1:
        charts = [titled_chart(data, measure, part, height) for measure in MEASURES]
        gap: Cell = (" " * CHART_GAP, TextRole.PLAIN)
        return [[cell for chart in charts for cell in (*chart[row], gap)] for row in range(height)]
    high = max((height - 1) // 2, 1)
    rows = (high, 1, high)
    return [
        line
        for measure, count in zip(MEASURES, rows, strict=True)
        for line in named_chart(data, measure, width, count)
    ]


def named_chart(data: OverviewData, measure: Measure, width: int, rows: int) -> list[list[Cell]]:
    """A chart of so many rows, named on its left; on its right its figures."""
    values = data.per_minute(measure.count)
    thick = max((width - NAME_WIDTH - FIGURE_WIDTH - 1) // len(values), 1)
    room = width - NAME_WIDTH - thick * len(values) - 1
    words = figures(values, measure.count(data.by_minute.total))
    # One below the other, else in a line as many as fit, else the last minute's without its words.
    joined = [" · ".join(words[:count]) for count in range(len(words), 0, -1)]
    line = next((line for line in joined if len(line) <= room), words[0].partition(" ")[0])
    told = words if rows >= len(words) and room >= max(map(len, words)) else [line]
    return [
        [
            (f"{measure.title if row == 0 else '':<{NAME_WIDTH}}", TextRole.DIM),
            (bars, measure.role),
            (f" {told[row] if row < len(told) else ''}", TextRole.PLAIN),
        ]
        for row, bars in enumerate(bar_rows(values, thick, rows))
    ]


def titled_chart(data: OverviewData, measure: Measure, width: int, height: int) -> list[list[Cell]]:
    """A chart with its name and figures above it, each line exactly so wide."""
    values = data.per_minute(measure.count)
    words = " · ".join(figures(values, measure.count(data.by_minute.total)))
    title: list[Cell] = [
        (f"{measure.title:<{NAME_WIDTH}}", TextRole.DIM),
        (columns.padded(words, width - NAME_WIDTH, right=False), TextRole.PLAIN),
    ]
    bars = bar_rows(values, width // len(values), height - 1)
    return [title, *([(bar.ljust(width), measure.role)] for bar in bars)]


def figures(values: Sequence[int], total: int | None) -> list[str]:
    """The values of the last whole minute and of the highest one, and the sum."""
    last, most, whole = (formats.tokens(number) for number in (values[-2], max(values), total))
    return [f"{last} last minute", f"{most} at most", f"{whole} in the hour"]


def bar_rows(values: Sequence[int], thick: int, rows: int) -> list[str]:
    """Bars of eighths of a cell, from the top row down; more than 0 has at least an eighth."""
    top = max(values, default=0)
    heights = [max(round(value / top * rows * 8), 1) if value else 0 for value in values]
    return [
        "".join(formats.LEVELS[min(max(height - row * 8, 0), 8)] * thick for height in heights)
        for row in reversed(range(rows))
    ]


def top_columns(data: OverviewData, by: str, width: int) -> list[Column[SpendRow]]:
    """The columns of the largest groups, for a list of `width` cells."""
    spend = data.tops[by]
    groups = sum((row.groups or 0) if row.other else 1 for row in spend.rows)

    def name(row: SpendRow) -> Cell:
        if row.other:
            return f"… {row.groups or 0:,} more", TextRole.DIM
        value = row.group(by)
        if value is None:
            return f"no {by}", TextRole.DIM
        return (value.removeprefix("gemini-") if by == "model" and width < 40 else value), TextRole.PLAIN

    def bar(row: SpendRow) -> Cell:
        return formats.bar(formats.share(row.spent, spend.total.spent), bar_width), TextRole.ACCENT

    bar_width = 4 if width < 32 else 8 if width < 50 else 14
    named = Column(formats.pluralized(groups, by), 8, name, stretch=1)
    start = [named, Column("", bar_width, bar), Column(data.period.title, 8, money_cell, right=True)]
    share: Column[SpendRow] = Column(
        "share", 5, lambda row: share_cell(row, spend.total.known_cost), right=True
    )
    if width < 50:
        return start
    return [*start, share, CALLS, FAILED]


def money_cell(row: SpendRow) -> Cell:
    cost = row.known_cost
    return formats.money(cost), TextRole.WARNING if cost is None else TextRole.PLAIN


def failed_cell(row: SpendRow) -> Cell:
    return formats.tokens(row.errors), TextRole.ERROR if row.errors else TextRole.DIM


CALLS: Column[SpendRow] = Column(
    "calls", 6, lambda row: (formats.tokens(row.calls), TextRole.PLAIN), right=True
)
FAILED: Column[SpendRow] = Column("failed", 6, failed_cell, right=True)


def budget_columns(count: int, width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
    """The columns of the fullest budgets, for a list of `width` cells."""

    def state(key: Key) -> Cell:
        current = key_state(key, now())
        return str(current), current.role

    bar_width = 10 if width < 100 else 24
    title = "fullest budgets" if count else "no active key has a budget"
    name = Column(title, 15 if count else len(title), name_cell, stretch=1)
    if not count:
        return [name]
    bar: Column[Key] = Column("", bar_width, lambda key: bar_cell(key, bar_width))
    return [name, Column("spent", 21, budget_cell), bar, Column("state", 23, state)]


def verdict(found: Sequence[Finding], width: int) -> list[Cell]:
    """One line: that all is well and why, or the worst finding and the number of others."""
    wrong = [finding for finding in found if not finding.is_well]
    if not wrong:
        line = f"✓ all is well: {' · '.join(finding.text for finding in found)}"
        return [(line, TextRole.SUCCESS)]
    more = f"  +{len(wrong) - 1} more (i)" if len(wrong) > 1 else "  (i)"
    text = columns.padded(str(wrong[0]), max(width - len(more), 1), right=False).rstrip()
    return [(text, wrong[0].role), (more, TextRole.DIM)]
