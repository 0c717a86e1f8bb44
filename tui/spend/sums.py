"""The sums that the Spend screen shows, and its chart, from the gateway's responses.

Computed here is the division of a bar: its height is the spend of its hour, day or week, each call counted
once. Where the groups sum to more, as tags do for calls with several, each is scaled down in proportion;
where they sum to less, the rest belongs to other groups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cached_property

from gatekeeper.client.admin_api import Client
from gatekeeper.client.spend import Spend, SpendRow
from tui.spend import periods
from tui.spend.periods import Interval, Range, utc_timestamp
from tui.spend.ranking import GROUPS, NONE, Path, Ranking, calls_filter, load_ranking
from tui.widgets.bars import NAMED, OTHERS, Bar, Chart

Group = tuple[str | None, bool]
"""A group's name, None for calls without one; true for the sum of the groups without rows of their own."""
OTHER_GROUPS: Group = (None, True)
ZERO = Decimal(0)
# Groups with a trend, if their rows do not exceed the gateway's limit.
MAX_SERIES = 20
MAX_ROWS = 1000
# What is shown first is by the first of these with more than one group.
FIRST_GROUPS = ("tag", "key", "model")
# Now by the gateway's clock: the response has the resolved time.
NOW = "0s"
SPLIT = "calls with several tags: split among them here, counted under each below"


@dataclass(frozen=True, slots=True)
class SpendRequest:
    """The request for the screen's data: sums of a range, one bar for each `unit`."""

    by: str = GROUPS[0]
    range: Range = periods.LAST_30_DAYS
    unit: str = periods.DAY
    q: str = ""


@dataclass(frozen=True)
class SpendData:
    """The ranking of the range, and the sums per bar, and per bar and group.

    `axis` has the gateway's label of each bar's hour, day or week.
    """

    request: SpendRequest
    zone: tzinfo
    axis: Sequence[str]
    covered: Interval
    ranking: Ranking
    by_time: Spend
    by_time_and_group: Spend

    def trend(self, row: SpendRow) -> list[float] | None:
        """A group's spend in each bar; None if it has no rows of its own there."""
        sums = self._sums.get(self._group(row))
        # It may be part of the other groups: then 0 would be wrong.
        if sums is None and OTHER_GROUPS in self._sums:
            return None
        return [float((sums or {}).get(label, ZERO)) for label in self.labels]

    def chart(self) -> Chart:
        """Bars of the largest groups, and of the rest as one more."""
        # A group without cost has no bar; the sum of the other groups is not a group.
        top = self.ranking.rows[:NAMED]
        leaders = [self._group(row) for row in top if row.spent > 0 and not row.other]
        totals = {time_of(row): row.spent for row in self.by_time.rows}
        bars: list[Bar] = []
        split = False
        unit, days = self.request.unit, self.covered.until - self.covered.since
        for label in self.labels:
            total = totals.get(label, ZERO)
            stack = self._stack(label, leaders)
            # A call with several tags counts in each of their sums, and once in the total.
            split = split or sum(stack) > total
            bars.append(Bar(periods.short_label(label, unit, days.days > 1), scaled_to_total(stack, total)))
        names = tuple(map(name_of, leaders))
        return Chart(names, tuple(bars), SPLIT if split and self.request.by == "tag" else "")

    def bar(self, bars: tuple[int, int]) -> Interval:
        """The time that the bars from the first to the last of these numbers cover."""
        first, last = bars
        starts = [periods.bar_start(label, self.zone) for label in self.labels]
        until = starts[last + 1] if last + 1 < len(starts) else self.covered.until
        # A week may have begun before the range.
        return Interval(max(starts[first], self.covered.since), until)

    def bar_filter(self, bars: tuple[int, int]) -> str:
        """A filter for the calls of those bars."""
        return calls_filter(self.request.q, "", self.bar(bars))

    def bars_of(self, data: SpendData, bars: tuple[int, int] | None) -> tuple[int, int] | None:
        """The numbers of bars of other data here, by their labels; None if they are not here."""
        first, last = (data.labels[number] for number in bars) if bars else ("", "")
        known = self.labels
        return (known.index(first), known.index(last)) if first in known and last in known else None

    def _stack(self, label: str, leaders: Sequence[Group]) -> list[Decimal]:
        """The spend of the leaders in a bar, and last that of all others."""
        sums = {group: of_group.get(label, ZERO) for group, of_group in self._sums.items()}
        named = [sums.pop(leader, ZERO) for leader in leaders]
        return [*named, sum(sums.values(), ZERO)]

    def _group(self, row: SpendRow) -> Group:
        return OTHER_GROUPS if row.other else (row.group(self.request.by), False)

    @cached_property
    def _sums(self) -> dict[Group, dict[str | None, Decimal]]:
        sums: dict[Group, dict[str | None, Decimal]] = {}
        for row in self.by_time_and_group.rows:
            sums.setdefault(self._group(row), {})[time_of(row)] = row.spent
        return sums

    @cached_property
    def labels(self) -> list[str]:
        """The labels of the range, and further ones that a gateway with another clock returned."""
        known = {label for row in self.by_time.rows if (label := time_of(row))}
        # By time: labels with different UTC offsets do not sort as text.
        return sorted({*self.axis, *known}, key=datetime.fromisoformat)


def scaled_to_total(stack: Sequence[Decimal], total: Decimal) -> tuple[Decimal, ...]:
    """The parts of a stack, scaled down to the total, or with the difference added to the last."""
    whole = sum(stack, ZERO)
    # In proportion, so that the height of the bar is the real spend.
    if whole > total:
        return tuple(part * total / whole for part in stack)
    return (*stack[:-1], stack[-1] + total - whole)


async def load_spend(
    client: Client, now: datetime, zone: tzinfo, request: SpendRequest, opened: Sequence[Path] = ()
) -> SpendData:
    """Loads all sums for one and the same time range, those below the `opened` rows too. Raises ApiError."""
    unit, by, q, span = request.unit, request.by, request.q or None, request.range
    start, end = span.start(now, zone), span.end(now, zone)
    since = utc_timestamp(start)
    # First and alone: its response has the gateway's current time, which is the end of the range of the
    # other requests.
    until = NOW if end is None else utc_timestamp(end)
    by_time = (await client.spend(unit, since=since, until=until, q=q)).value
    covered = Interval(start, max((by_time.until or now).astimezone(UTC), start) if end is None else end)
    axis = [periods.bar_label(at, unit, zone) for at in periods.axis(unit, covered, zone)]
    before = span.preceding(covered, zone)
    ranking, both = await asyncio.gather(
        load_ranking(client, by, request.q, covered, before, span.preceding_title(covered, zone), opened),
        client.spend(
            f"{unit},{by}", since=since, until=utc_timestamp(covered.until), q=q, top=max_series(len(axis))
        ),
    )
    return SpendData(request, zone, axis, covered, ranking, by_time, both.value)


async def load_first(client: Client, now: datetime, zone: tzinfo) -> SpendData:
    """Loads what is shown first: a range by the age of the ledger, and the first grouping with more than one
    group. Raises ApiError."""
    span = await first_range(client, now, zone)
    data = None
    for by in FIRST_GROUPS:
        data = await load_spend(client, now, zone, SpendRequest(by, span, span.units[0]))
        rows = data.ranking.rows
        if not rows or len(rows) > 1 or (by == "tag" and rows[0].tag is not None):
            return data
    return data or await load_spend(client, now, zone, SpendRequest())


async def load_range(client: Client, data: SpendData, opened: Sequence[Path]) -> Ranking:
    """The ranking of the same time range again, with other rows opened. Raises ApiError."""
    request, covered = data.request, data.covered
    before, title = (
        request.range.preceding(covered, data.zone),
        request.range.preceding_title(covered, data.zone),
    )
    return await load_ranking(client, request.by, request.q, covered, before, title, opened)


async def load_bar(
    client: Client, data: SpendData, bars: tuple[int, int], opened: Sequence[Path] = ()
) -> Ranking:
    """The ranking of some bars of the chart. Raises ApiError."""
    request, covered = data.request, data.bar(bars)
    count = bars[1] - bars[0] + 1
    before = periods.preceding_bar(covered, request.unit, count, data.zone)
    title = f"the {f'{count} {request.unit}s' if count > 1 else request.unit} before"
    return await load_ranking(client, request.by, request.q, covered, before, title, opened)


async def first_range(client: Client, now: datetime, zone: tzinfo) -> Range:
    """The range that fits the age of the ledger. Raises ApiError."""
    since = utc_timestamp(periods.LAST_90_DAYS.start(now, zone))
    days = [
        row.day
        for row in (await client.spend("day", since=since, until=NOW)).value.rows
        if row.day and row.calls
    ]
    first = datetime.fromisoformat(min(days)).date() if days else None
    return periods.range_since(first, now.astimezone(zone).date())


def max_series(bars: int) -> int:
    """How many groups fit into a response with so many bars, with one more row for the others."""
    # A gateway with another clock has one bar more.
    return max(min(MAX_SERIES, MAX_ROWS // (bars + 1) - 1), 1)


def name_of(group: Group) -> str:
    name, _ = group
    return OTHERS if group == OTHER_GROUPS else NONE if name is None else name


def time_of(row: SpendRow) -> str | None:
    return row.day or row.hour or row.week
