"""What the Spend screen shows, made from the gateway's sums: time span, chart, and columns of the ranking.

Computed here is the division of a bar: its height is the spend of its hour or day, each call counted once.
Where the groups sum to more, as tags do for calls with several, each is scaled down in proportion; where they
sum to less, the rest belongs to other groups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from decimal import Decimal
from functools import cached_property

from gatekeeper.client import formats
from gatekeeper.client.admin_api import Client
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, TextRole
from gatekeeper.client.list_columns import SUM_PLACES, share_cell, spent_cell
from gatekeeper.client.spend_types import Spend, SpendRow
from tui.widgets.bars import NAMED, OTHERS, Bar, Chart, condensed, sparkline

GROUPS = ("tag", "model", "key", "user")
Group = tuple[str | None, bool]
"""A group's name, None for calls without one; true for the sum of the groups without rows of their own."""
OTHER_GROUPS: Group = (None, True)
NONE = "(none)"
ZERO = Decimal(0)
# Groups in the ranking.
MAX_GROUPS = 500
# Groups with a trend, if their rows do not exceed the gateway's limit.
MAX_SERIES = 20
MAX_ROWS = 1000
# Width of a group's trend in the ranking, in cells.
TREND_WIDTH = 10
# Now by the gateway's clock: the response has the resolved time.
NOW = "0s"
SPLIT = "calls with several tags: split among them here, counted under each below"


@dataclass(frozen=True, slots=True)
class Span:
    """A number of hours or days up to now, one bar each, in the gateway's zone."""

    name: str
    title: str
    unit: str
    bars: int

    def axis(self, now: datetime, zone: tzinfo) -> list[datetime]:
        """The start of each bar."""
        here = now.astimezone(zone)
        if self.unit == "hour":
            # Counted in UTC: in local time an hour is missing or doubled when daylight saving time changes.
            hour = here.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
            return [(hour - timedelta(hours=back)).astimezone(zone) for back in reversed(range(self.bars))]
        days = (here.date() - timedelta(days=back) for back in reversed(range(self.bars)))
        return [datetime.combine(day, time_of_day(), zone) for day in days]

    def label(self, start: datetime) -> str:
        """The gateway's label of a bar."""
        return f"{start:%Y-%m-%d}" if self.unit == "day" else start.isoformat().replace("+00:00", "Z")


SPANS = (
    Span("24h", "last 24 hours", "hour", 24),
    Span("7d", "last 7 days", "day", 7),
    Span("30d", "last 30 days", "day", 30),
    Span("90d", "last 90 days", "day", 90),
)


@dataclass(frozen=True, slots=True)
class SpendRequest:
    """What the screen is to show."""

    by: str = GROUPS[0]
    span: Span = SPANS[2]
    q: str = ""


@dataclass(frozen=True)
class SpendData:
    """The sums per group, per hour or day, per both, and of the preceding period of the same length.

    All are of the calls from `since` until `until`, which find the same calls again. `axis` has the
    gateway's label of each bar's hour or day.
    """

    request: SpendRequest
    axis: Sequence[str]
    since: str
    until: str
    ranking: Spend
    by_time: Spend
    by_time_and_group: Spend
    preceding: SpendRow

    @property
    def rows(self) -> list[SpendRow]:
        """Most expensive first; the sum of the groups without rows of their own last."""
        return sorted(self.ranking.rows, key=lambda row: (row.other, -row.spent, -row.calls))

    @property
    def groups(self) -> int:
        """The number of groups, with or without rows of their own."""
        return sum((row.groups or 0) if row.other else 1 for row in self.ranking.rows)

    def name(self, row: SpendRow) -> str:
        """The name of a row's group."""
        return f"… {row.groups or 0:,} more" if row.other else name_of(self._group(row))

    def drill_down_filter(self, term: str) -> str:
        """A filter for those of the summed calls that match a term."""
        return " ".join(filter(None, (self.request.q, term, f"since:{self.since}", f"until:{self.until}")))

    def trend(self, row: SpendRow) -> list[float] | None:
        """A group's spend in each hour or day; None if it has no rows of its own there."""
        sums = self._sums.get(self._group(row))
        # It may be part of the other groups: then 0 would be wrong.
        if sums is None and OTHER_GROUPS in self._sums:
            return None
        return [float((sums or {}).get(label, ZERO)) for label in self._labels]

    def chart(self) -> Chart:
        """Bars of the largest groups, and of the rest as one more."""
        # A group without cost has no bar; the sum of the other groups is not a group.
        leaders = [self._group(row) for row in self.rows[:NAMED] if row.spent > 0 and not row.other]
        totals = {time_of(row): row.spent for row in self.by_time.rows}
        bars: list[Bar] = []
        split = False
        for label in self._labels:
            total = totals.get(label, ZERO)
            stack = self._stack(label, leaders)
            # A call with several tags counts in each of their sums, and once in the total.
            split = split or sum(stack) > total
            bars.append(Bar(short_label(label), scaled_to_total(stack, total)))
        names = tuple(map(name_of, leaders))
        return Chart(names, tuple(bars), SPLIT if split and self.request.by == "tag" else "")

    def _stack(self, label: str, leaders: Sequence[Group]) -> list[Decimal]:
        """The spend of the leaders in an hour or day, and last that of all others."""
        sums = {group: of_group.get(label, ZERO) for group, of_group in self._sums.items()}
        named = [sums.pop(leader, ZERO) for leader in leaders]
        return [*named, sum(sums.values(), ZERO)]

    def _group(self, row: SpendRow) -> Group:
        return OTHER_GROUPS if row.other else (group_of(row, self.request.by), False)

    @cached_property
    def _sums(self) -> dict[Group, dict[str | None, Decimal]]:
        sums: dict[Group, dict[str | None, Decimal]] = {}
        for row in self.by_time_and_group.rows:
            sums.setdefault(self._group(row), {})[time_of(row)] = row.spent
        return sums

    @cached_property
    def _labels(self) -> list[str]:
        """The labels of the span, and further ones that a gateway with another clock returned."""
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


async def load_spend(client: Client, request: SpendRequest, now: datetime, zone: tzinfo = UTC) -> SpendData:
    """Loads all sums for one and the same time range. Raises ApiError."""
    span, by, q = request.span, request.by, request.q or None
    starts = span.axis(now, zone)
    since = utc_timestamp(starts[0])
    # First and alone: its response has the gateway's current time, which is the end of the range of the
    # other requests.
    by_time = (await client.spend(span.unit, since=since, until=NOW, q=q)).value
    end = by_time.until or now
    # The preceding period has the same length, although the last bar is not complete yet.
    until, preceding = utc_timestamp(end), utc_timestamp(starts[0] - (end - starts[0]))
    responses = await asyncio.gather(
        client.spend(by, since=since, until=until, q=q, top=MAX_GROUPS),
        client.spend(f"{span.unit},{by}", since=since, until=until, q=q, top=max_series(span)),
        client.spend("none", since=preceding, until=since, q=q),
    )
    ranking, both, earlier = (response.value for response in responses)
    axis = [span.label(start) for start in starts]
    return SpendData(request, axis, since, until, ranking, by_time, both, earlier.total)


def max_series(span: Span) -> int:
    """How many groups fit into a response by hour or day, with one more row for the others."""
    return min(MAX_SERIES, MAX_ROWS // span.bars - 2)


def utc_timestamp(at: datetime) -> str:
    """A time in the API's format."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def group_of(row: SpendRow, by: str) -> str | None:
    """The group's value; None for calls without one."""
    groups: Sequence[str | None] = (row.tag, row.model, row.key, row.user)
    return groups[GROUPS.index(by)]


def name_of(group: Group) -> str:
    name, _ = group
    return OTHERS if group == OTHER_GROUPS else NONE if name is None else name


def time_of(row: SpendRow) -> str | None:
    return row.day or row.hour


def short_label(label: str) -> str:
    """`2026-11-24` as `24 Nov`, `2026-11-24T13:00:00Z` as `13:00`, in the gateway's zone."""
    day, _, time = label.partition("T")
    if time:
        return time[:5]
    date = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    return f"{date.day} {date:%b}"


def spend_columns(data: SpendData, width: int) -> list[Column[SpendRow]]:
    """The columns for a screen of `width` cells."""
    whole = data.ranking.total.spent
    bar_width = 12 if width < MEDIUM else 20 if width < WIDE else 48

    def name(row: SpendRow) -> Cell:
        text = data.name(row)
        return text, TextRole.PLAIN

    def bar(row: SpendRow) -> Cell:
        return formats.bar(formats.share(row.spent, whole), bar_width), TextRole.ACCENT

    def trend(row: SpendRow) -> Cell:
        # Without rows of its own the trend is unknown; zeros would mean no spend.
        values = data.trend(row)
        if values is None or row.known_cost is None:
            return formats.EMPTY, TextRole.DIM
        return sparkline(condensed(values, TREND_WIDTH)), TextRole.DIM

    start = [Column(data.request.by, 12, name, stretch=1), SPENT, Column("", bar_width, bar)]
    part: Column[SpendRow] = Column("share", 5, lambda row: share_cell(row, whole), right=True)
    if width < MEDIUM:
        return [*start, part, CALLS, TOKENS, ERRORS, UNPRICED]
    middle = [Column("trend", TREND_WIDTH, trend), CALLS, MEAN_COST, TOKENS, CACHED]
    return [*start, part, *middle, ERRORS, UNPRICED]


def mean_cost_cell(row: SpendRow) -> Cell:
    """The mean cost of the calls with a known cost."""
    # Calls without a price are left out of both, or the mean would be too low.
    priced, cost = row.calls - row.unpriced_calls, row.known_cost
    mean = cost / priced if cost is not None and priced > 0 else None
    return formats.align_decimal(
        formats.EMPTY if mean is None else formats.money(mean), SUM_PLACES
    ), TextRole.PLAIN


def tokens_cell(row: SpendRow) -> Cell:
    known = [number for number in (row.prompt_tokens, row.output_tokens) if number is not None]
    return formats.tokens(sum(known) if known else None), TextRole.PLAIN


def cached_cell(row: SpendRow) -> Cell:
    if row.cached_tokens is None or row.prompt_tokens is None:
        return formats.EMPTY, TextRole.DIM
    return formats.percent(formats.share(row.cached_tokens, row.prompt_tokens)), TextRole.PLAIN


def errors_cell(row: SpendRow) -> Cell:
    return formats.percent(formats.share(row.errors, row.calls)), TextRole.PLAIN


def unpriced_cell(row: SpendRow) -> Cell:
    return (f"? {row.unpriced_calls:,}" if row.unpriced_calls else ""), TextRole.WARNING


SPENT: Column[SpendRow] = Column("spend", 12, spent_cell, right=True)
CALLS: Column[SpendRow] = Column(
    "calls", 6, lambda row: (formats.tokens(row.calls), TextRole.PLAIN), right=True
)
MEAN_COST: Column[SpendRow] = Column("cost/call", 9, mean_cost_cell, right=True)
TOKENS: Column[SpendRow] = Column("tokens", 6, tokens_cell, right=True)
CACHED: Column[SpendRow] = Column("cached", 6, cached_cell, right=True)
ERRORS: Column[SpendRow] = Column("errors", 6, errors_cell, right=True)
UNPRICED: Column[SpendRow] = Column("no price", 8, unpriced_cell, right=True)
