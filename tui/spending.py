"""What the Spend screen shows, made from the gateway's sums: time span, chart, and columns of the ranking.

The sums are the gateway's. Made here is how a bar is divided: its height is what was spent in its hour or
day, each call counted once. Where groups add up to more, as tags do of calls with several of them, each has
its part in proportion; where they add up to less, the rest is that of others.
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
from gatekeeper.client.api_types import Spend, SpendRow
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, Tone
from gatekeeper.client.list_columns import SUM_PLACES, share_cell, spent_cell
from tui.widgets.bars import NAMED, OTHERS, Bar, Chart, condensed, sparkline

GROUPS = ("tag", "model", "key", "user")
Group = tuple[str | None, bool]
"""A group's name, None for calls without one; true for the sum of those that are not told apart."""
REST: Group = (None, True)
NONE = "(none)"
NOTHING = Decimal(0)
# Groups in the ranking.
MOST = 500
# Groups whose trend is known, as long as that makes no more rows than the gateway gives.
TOLD_APART = 20
MOST_ROWS = 1000
# Cells of a group's trend in the ranking.
TREND = 10
# Back from now, by the gateway's clock: the answer says when that was.
NOW = "0s"
SPLIT = "calls with several tags: split among them here, counted under each below"


@dataclass(frozen=True, slots=True)
class Span:
    """So many hours or days up to now, one bar each, by the clocks of the gateway's zone."""

    name: str
    title: str
    unit: str
    bars: int

    def axis(self, now: datetime, zone: tzinfo) -> list[datetime]:
        """When each bar begins."""
        here = now.astimezone(zone)
        if self.unit == "hour":
            # Counted in UTC: by the wall an hour would be missing or there twice when clocks are changed.
            hour = here.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
            return [(hour - timedelta(hours=back)).astimezone(zone) for back in reversed(range(self.bars))]
        days = (here.date() - timedelta(days=back) for back in reversed(range(self.bars)))
        return [datetime.combine(day, time_of_day(), zone) for day in days]

    def label(self, start: datetime) -> str:
        """What the gateway calls a bar."""
        return f"{start:%Y-%m-%d}" if self.unit == "day" else start.isoformat().replace("+00:00", "Z")


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


@dataclass(frozen=True)
class Picture:
    """The answer: sums per group; per hour or day, and that by group; and of as long a time before.

    All are of the calls from `since` until `until`, in the API's words, so that these find the same calls
    again. `axis` is what the gateway calls each bar's hour or day.
    """

    question: Question
    axis: Sequence[str]
    since: str
    until: str
    ranking: Spend
    by_time: Spend
    by_time_and_group: Spend
    before: SpendRow

    @property
    def rows(self) -> list[SpendRow]:
        """Most expensive first; the sum of those that are too many to be told apart comes last."""
        return sorted(self.ranking.rows, key=lambda row: (row.other, -row.spent, -row.calls))

    @property
    def groups(self) -> int:
        """How many groups there are, whether or not they have rows of their own."""
        return sum((row.groups or 0) if row.other else 1 for row in self.ranking.rows)

    def name(self, row: SpendRow) -> str:
        """What a row's group is called."""
        return f"… {row.groups or 0:,} more" if row.other else name_of(self._group(row))

    def found_by(self, term: str) -> str:
        """A filter that finds those of the calls added up here that a term finds."""
        return " ".join(filter(None, (self.question.q, term, f"since:{self.since}", f"until:{self.until}")))

    def trend(self, row: SpendRow) -> list[float] | None:
        """What a group spent in each hour or day; None where it is not told apart from others there."""
        sums = self._sums.get(self._group(row))
        # It may be among the others: then 0 would be wrong.
        if sums is None and REST in self._sums:
            return None
        return [float((sums or {}).get(label, NOTHING)) for label in self._labels]

    def chart(self) -> Chart:
        """Bars of the largest groups, and what is left as one more."""
        # What cost nothing has no bar; the sum of many is no group.
        leaders = [self._group(row) for row in self.rows[:NAMED] if row.spent > 0 and not row.other]
        totals = {time_of(row): row.spent for row in self.by_time.rows}
        bars: list[Bar] = []
        split = False
        for label in self._labels:
            total = totals.get(label, NOTHING)
            pile = self._pile(label, leaders)
            # A call with several tags is in each of their sums, and once in the total.
            split = split or sum(pile) > total
            bars.append(Bar(short_label(label), divided(pile, total)))
        names = tuple(map(name_of, leaders))
        return Chart(names, tuple(bars), SPLIT if split and self.question.by == "tag" else "")

    def _pile(self, label: str, leaders: Sequence[Group]) -> list[Decimal]:
        """What the leaders spent in an hour or day, and last what all others did."""
        sums = {group: of_group.get(label, NOTHING) for group, of_group in self._sums.items()}
        named = [sums.pop(leader, NOTHING) for leader in leaders]
        return [*named, sum(sums.values(), NOTHING)]

    def _group(self, row: SpendRow) -> Group:
        return REST if row.other else (group_of(row, self.question.by), False)

    @cached_property
    def _sums(self) -> dict[Group, dict[str | None, Decimal]]:
        sums: dict[Group, dict[str | None, Decimal]] = {}
        for row in self.by_time_and_group.rows:
            sums.setdefault(self._group(row), {})[time_of(row)] = row.spent
        return sums

    @cached_property
    def _labels(self) -> list[str]:
        """The span's own labels, and those that a gateway with another clock adds."""
        known = {label for row in self.by_time.rows if (label := time_of(row))}
        # By their time: labels with different offsets from UTC do not sort as text.
        return sorted({*self.axis, *known}, key=datetime.fromisoformat)


def divided(pile: Sequence[Decimal], total: Decimal) -> tuple[Decimal, ...]:
    """A pile's parts, scaled down to its total, or with what it lacks added to the last."""
    whole = sum(pile, NOTHING)
    # In proportion, so that the bar is as high as what was really spent.
    if whole > total:
        return tuple(part * total / whole for part in pile)
    return (*pile[:-1], pile[-1] + total - whole)


async def ask(client: Client, question: Question, now: datetime, zone: tzinfo = UTC) -> Picture:
    """Asks for all that the picture needs, of one and the same time. Raises ApiError."""
    span, by, q = question.span, question.by, question.q or None
    starts = span.axis(now, zone)
    since = stamp(starts[0])
    # First, alone: its answer says when now was by the gateway's clock, and the others are asked for the time
    # up to exactly then.
    by_time = (await client.spend(span.unit, since=since, until=NOW, q=q)).value
    end = by_time.until or now
    # As long a time before as this one is, which has not ended with its last bar.
    until, before = stamp(end), stamp(starts[0] - (end - starts[0]))
    answers = await asyncio.gather(
        client.spend(by, since=since, until=until, q=q, top=MOST),
        client.spend(f"{span.unit},{by}", since=since, until=until, q=q, top=told_apart(span)),
        client.spend("none", since=before, until=since, q=q),
    )
    ranking, both, earlier = (answer.value for answer in answers)
    axis = [span.label(start) for start in starts]
    return Picture(question, axis, since, until, ranking, by_time, both, earlier.total)


def told_apart(span: Span) -> int:
    """How many groups one can ask for by hour or day, with a row for the others of each."""
    return min(TOLD_APART, MOST_ROWS // span.bars - 2)


def stamp(at: datetime) -> str:
    """As the API takes times."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def group_of(row: SpendRow, by: str) -> str | None:
    """The group's name in the API's words; None for calls without one."""
    groups: Sequence[str | None] = (row.tag, row.model, row.key, row.user)
    return groups[GROUPS.index(by)]


def name_of(group: Group) -> str:
    name, _ = group
    return OTHERS if group == REST else NONE if name is None else name


def time_of(row: SpendRow) -> str | None:
    return row.day or row.hour


def short_label(label: str) -> str:
    """`2026-11-24` as `24 Nov`, `2026-11-24T13:00:00Z` as `13:00`, in the gateway's zone."""
    day, _, time = label.partition("T")
    if time:
        return time[:5]
    date = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    return f"{date.day} {date:%b}"


def spend_columns(picture: Picture, width: int) -> list[Column[SpendRow]]:
    """The columns for a screen of `width` cells."""
    whole = picture.ranking.total.spent
    bar_width = 12 if width < MEDIUM else 20 if width < WIDE else 48

    def name(row: SpendRow) -> Cell:
        text = picture.name(row)
        return text, Tone.PLAIN

    def bar(row: SpendRow) -> Cell:
        return formats.bar(formats.share(row.spent, whole), bar_width), Tone.ACCENT

    def trend(row: SpendRow) -> Cell:
        # None where it is not known apart from others; 0s would say that nothing was spent.
        values = picture.trend(row)
        if values is None or row.known_cost is None:
            return formats.NOTHING, Tone.FAINT
        return sparkline(condensed(values, TREND)), Tone.FAINT

    start = [Column(picture.question.by, 12, name, stretch=1), SPENT, Column("", bar_width, bar)]
    part: Column[SpendRow] = Column("share", 5, lambda row: share_cell(row, whole), right=True)
    if width < MEDIUM:
        return [*start, part, CALLS, TOKENS, ERRORS, UNPRICED]
    return [*start, part, Column("trend", TREND, trend), CALLS, EACH, TOKENS, CACHED, ERRORS, UNPRICED]


def each_cell(row: SpendRow) -> Cell:
    """The mean of the calls whose cost is known."""
    # Calls without a price are left out of both, or each would seem cheaper than it was.
    priced, cost = row.calls - row.unpriced_calls, row.known_cost
    mean = cost / priced if cost is not None and priced > 0 else None
    return formats.at_point(formats.NOTHING if mean is None else formats.money(mean), SUM_PLACES), Tone.PLAIN


def tokens_cell(row: SpendRow) -> Cell:
    known = [number for number in (row.prompt_tokens, row.output_tokens) if number is not None]
    return formats.tokens(sum(known) if known else None), Tone.PLAIN


def cached_cell(row: SpendRow) -> Cell:
    if row.cached_tokens is None or row.prompt_tokens is None:
        return formats.NOTHING, Tone.FAINT
    return formats.percent(formats.share(row.cached_tokens, row.prompt_tokens)), Tone.PLAIN


def errors_cell(row: SpendRow) -> Cell:
    return formats.percent(formats.share(row.errors, row.calls)), Tone.PLAIN


def unpriced_cell(row: SpendRow) -> Cell:
    return (f"? {row.unpriced_calls:,}" if row.unpriced_calls else ""), Tone.LIMIT


SPENT: Column[SpendRow] = Column("spend", 12, spent_cell, right=True)
CALLS: Column[SpendRow] = Column("calls", 6, lambda row: (formats.tokens(row.calls), Tone.PLAIN), right=True)
EACH: Column[SpendRow] = Column("cost/call", 9, each_cell, right=True)
TOKENS: Column[SpendRow] = Column("tokens", 6, tokens_cell, right=True)
CACHED: Column[SpendRow] = Column("cached", 6, cached_cell, right=True)
ERRORS: Column[SpendRow] = Column("errors", 6, errors_cell, right=True)
UNPRICED: Column[SpendRow] = Column("no price", 8, unpriced_cell, right=True)
