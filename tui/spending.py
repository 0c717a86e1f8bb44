"""What the Spend screen shows, made from the gateway's sums: which span of time, by whom, how it compares.

The sums are the gateway's; the only thing made here is "other", the part of a bar that no named group spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tui.client import Client
from tui.documents import Spend, SpendRow
from tui.widgets.bars import Bar, Chart

GROUPS = ("tag", "model", "key", "user")
NONE = "(none)"
OTHER = "other"
NAMED = 3
MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """So many hours or days up to now, one bar each."""

    name: str
    title: str
    unit: str
    bars: int

    @property
    def step(self) -> timedelta:
        return timedelta(hours=1) if self.unit == "hour" else timedelta(days=1)

    def start(self, now: datetime) -> datetime:
        """The beginning of the first bar."""
        first = now.astimezone(UTC) - self.step * (self.bars - 1)
        hour = first.replace(minute=0, second=0, microsecond=0)
        return hour if self.unit == "hour" else hour.replace(hour=0)

    def axis(self, now: datetime) -> list[str]:
        """What the gateway calls each bar's hour or day."""
        starts = (self.start(now) + self.step * number for number in range(self.bars))
        shape = "%Y-%m-%dT%H:%M:%SZ" if self.unit == "hour" else "%Y-%m-%d"
        return [start.strftime(shape) for start in starts]


SPANS = (
    Span("24h", "last 24 hours", "hour", 24),
    Span("7d", "last 7 days", "day", 7),
    Span("30d", "last 30 days", "day", 30),
    Span("90d", "last 90 days", "day", 90),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What one wants to see."""

    by: str = GROUPS[0]
    span: Span = SPANS[2]
    q: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """The answer: sums per group, the largest first; per hour or day, and that by group; the span before."""

    question: Question
    asked_at: datetime
    ranking: Spend
    by_time: Spend
    by_time_and_group: Spend
    before: SpendRow

    @property
    def rows(self) -> list[SpendRow]:
        """Most expensive first."""
        return sorted(self.ranking.rows, key=lambda row: (-spent(row), -row.calls))

    def name(self, row: SpendRow) -> str:
        """What a row's group is called."""
        return group_of(row, self.question.by) or NONE

    def trend(self, row: SpendRow) -> list[float]:
        """What a group spent in each hour or day."""
        sums = self._sums(group_of(row, self.question.by))
        return [float(sums.get(label, Decimal(0))) for label in self._axis()]

    def chart(self) -> Chart:
        """Bars of the largest groups, and what is left as one more."""
        leaders = [group_of(row, self.question.by) for row in self.rows[:NAMED] if spent(row) > 0]
        columns = [self._sums(group) for group in leaders]
        totals = {time_of(row): spent(row) for row in self.by_time.rows}
        bars: list[Bar] = []
        for label in self._axis():
            parts = [column.get(label, Decimal(0)) for column in columns]
            # A call with two tags counts under each but once in the total: the rest is never less than none.
            rest = max(totals.get(label, Decimal(0)) - sum(parts, Decimal(0)), Decimal(0))
            bars.append(Bar(short_label(label), (*parts, rest)))
        names = [group or NONE for group in leaders]
        return Chart((*names, OTHER) if any(bar.parts[-1] for bar in bars) else tuple(names), tuple(bars))

    def _axis(self) -> list[str]:
        """The span's own labels, and those that a gateway in another time zone adds."""
        known = {time_of(row) for row in self.by_time.rows}
        return sorted({*self.question.span.axis(self.asked_at), *filter(None, known)})

    def _sums(self, group: str | None) -> dict[str | None, Decimal]:
        by = self.question.by
        return {time_of(row): spent(row) for row in self.by_time_and_group.rows if group_of(row, by) == group}


async def ask(client: Client, question: Question, now: datetime) -> Picture:
    """Asks for all that the picture needs, at once. Raises ApiError."""
    span, by, q = question.span, question.by, question.q or None
    start = span.start(now)
    since, before = stamp(start), stamp(start - (now - start))
    answers = await asyncio.gather(
        client.spend(by, since=since, q=q, limit=MOST_ROWS),
        client.spend(span.unit, since=since, q=q, limit=MOST_ROWS),
        client.spend(f"{span.unit},{by}", since=since, q=q, limit=MOST_ROWS),
        client.spend("none", since=before, until=since, q=q),
    )
    ranking, by_time, both, earlier = (answer.value for answer in answers)
    return Picture(question, now, ranking, by_time, both, earlier.total)


def stamp(at: datetime) -> str:
    """As the API takes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spent(row: SpendRow) -> Decimal:
    """What is known to be spent."""
    return row.cost_usd or Decimal(0)


def group_of(row: SpendRow, by: str) -> str | None:
    """The group's name in the API's words; None for calls without one."""
    groups: Sequence[str | None] = (row.tag, row.model, row.key, row.user)
    return groups[GROUPS.index(by)]


def time_of(row: SpendRow) -> str | None:
    return row.day or row.hour


def short_label(label: str) -> str:
    """`2026-11-24` as `24 Nov`, `2026-11-24T13:00:00Z` as `13:00`, in the gateway's zone."""
    day, _, time = label.partition("T")
    if time:
        return time[:5]
    date = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    return f"{date.day} {date:%b}"
