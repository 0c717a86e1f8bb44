"""The Spend screen's texts around its chart: headline, warnings, and the text of an empty list."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.columns import Cell, TextRole, padded
from gatekeeper.client.spend import Spend, unpriced_text
from tui.spend import periods
from tui.spend.ranking import Ranking
from tui.spend.sums import SpendData, SpendRequest
from tui.terminal import styled_cells

# By group: how a call gets one.
HOW_TO = {
    "tag": 'No call here has a tag: send the header "tags: checkout", or give a key tags (4).',
    "user": 'No call here names a user: send the header "x-gatekeeper-user: U".',
}
LEAST_CHANGE = 0.0005
SIGN, SHOW_UNPRICED = "? ", " · u shows them"


def headline(left: list[str], right: list[list[Cell]], width: int) -> Content:
    """The longest left and right side that fit together; the right one is never cut."""
    nothing: list[Cell] = []
    pairs = list(product(left, right or [nothing]))
    fitting = (pair for pair in pairs if cells_length(pair[1]) + len(pair[0]) + 2 <= width)
    text, sums = next(fitting, pairs[-1])
    room = max(width - cells_length(sums) - (2 if sums else 0), 0)
    gap = " " * (width - room - cells_length(sums))
    return styled_cells([(padded(text, room, right=False) + gap, TextRole.PLAIN), *sums])


def titles(request: SpendRequest, range_title: str, bar: str, zone: str) -> list[str]:
    """The titles of the ranking of a range, from the longest form to the shortest."""
    short = f"Spend by {request.by} · {range_title}"
    per = f"{short} · per {bar}"
    return [f"{per} ({zone})", per, short] if zone else [per, short]


def bar_titles(data: SpendData, ranking: Ranking, zone: str) -> list[str]:
    """The same for the ranking of a bar."""
    title = periods.bar_title(ranking.covered, data.request.unit, data.zone)
    short = f"Spend by {ranking.by} · {title}"
    return [f"{short} ({zone})", short] if zone else [short]


def saved_text(path: Path, width: int) -> str:
    """Where a file was saved, in one line of so many cells; the name is never cut."""
    forms = (f"✓ saved to {path}, readable by you only", f"✓ saved to {path}", f"✓ saved to …/{path.name}")
    return next((form for form in forms if len(form) <= width), forms[-1])


def found_text(ranking: Ranking) -> str:
    """How many calls and groups the ranking has."""
    calls = formats.pluralized(ranking.spend.total.calls, "call")
    return f"{calls} in {formats.pluralized(ranking.groups, 'group')}"


def empty_text(data: SpendData) -> Content:
    """What is shown in place of an empty list."""
    if data.request.q:
        return Content("No calls in this period match the filter.   esc clears it   t another period")
    return Content("No calls in this period.   t another one")


def sums(ranking: Ranking | None) -> Iterator[list[Cell]]:
    """The total and its change from the preceding period, from the longest form to the shortest."""
    if ranking is None:
        return
    total, before = ranking.spend.total.known_cost, ranking.before.total.spent
    role = TextRole.WARNING if total is None else TextRole.ACCENT
    least: list[Cell] = [("total ", TextRole.DIM), (formats.money(total), role)]
    if before > 0 and total is not None:
        change = float(total / before) - 1
        sign = "▲" if change >= 0 else "▼"
        # Less than is shown is no change.
        sign, change = (sign, abs(change)) if abs(change) >= LEAST_CHANGE else ("±", 0)
        compared = f"  {sign} {formats.percent(change)}"
        yield [*least, (f"{compared} to {ranking.before_title}", TextRole.DIM)]
        yield [*least, (compared, TextRole.DIM)]
    yield least


def warnings(ranking: Ranking, width: int, filtered: bool) -> Iterator[str]:
    """Warnings about calls that the sums leave out, and about their limits, for lines of so many cells."""
    spend = ranking.spend
    if spend.partial:
        yield f"? older calls are missing: {spend.partial_reason}"
    yield from cut_rows(spend)
    if unpriced := unpriced_text(spend, width - len(SIGN + SHOW_UNPRICED)):
        yield f"{SIGN}{unpriced}{SHOW_UNPRICED}"
    nameless = spend.rows and all(row.group(ranking.by) is None and not row.other for row in spend.rows)
    if nameless and not filtered and ranking.by in HOW_TO:
        yield HOW_TO[ranking.by]


def cut_rows(spend: Spend) -> Iterator[str]:
    """Rows that the gateway left out of its answer."""
    if spend.truncated and spend.rest:
        left = f"{spend.rest.rows:,} rows of {formats.money(spend.rest.known_cost)}"
        yield f"? the gateway left {left} out of its answer: / narrows it down"


def cells_length(cells: list[Cell]) -> int:
    return sum(len(text) for text, _ in cells)
