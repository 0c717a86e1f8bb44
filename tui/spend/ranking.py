"""The ranking of the Spend screen: groups by their spend, the spend of each in the preceding period, and the
parts of opened groups, all as summed by the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gatekeeper.client.admin_api import Client
from gatekeeper.client.spend import Spend, SpendRow
from tui.spend.periods import Interval, utc_timestamp
from tui.widgets.filter_line import group_filter

GROUPS = ("tag", "model", "key", "user")
# What an opened row is divided by: the first of these that no row above it is grouped by.
PARTS = ("model", "key", "tag", "user")
NONE = "(none)"
# Groups in the ranking, and below an opened row.
MAX_GROUPS, MAX_PARTS = 500, 20

Path = tuple[tuple[str, str | None], ...]
"""The groups of a row and of those above it: `(("tag", "checkout"), ("model", "gemini-2.5-flash"))`."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row in its place. `before` has its sums of the preceding period: None if it had no calls then, or if
    they are only part of a sum with other groups' (`before_known` is False)."""

    path: Path
    row: SpendRow
    before: SpendRow | None
    before_known: bool
    gone: bool = False
    opened: bool = False

    @property
    def depth(self) -> int:
        return len(self.path) - 1

    @property
    def by(self) -> str:
        return self.path[-1][0]

    @property
    def identity(self) -> object:
        return self.path, self.row.other

    @property
    def name(self) -> str:
        """The group's name."""
        if self.row.other:
            return f"… {self.row.groups or 0:,} more"
        value = self.path[-1][1]
        return NONE if value is None else value

    @property
    def part(self) -> str | None:
        """What it can be divided by; None where it cannot."""
        return None if self.row.other or self.gone else next_part(self.path)


@dataclass(frozen=True)
class Ranking:
    """The sums of a stretch of time by group, and those of the preceding one, called `before_title`. `parts`
    has those of the opened rows."""

    by: str
    q: str
    covered: Interval
    spend: Spend
    before: Spend
    before_title: str
    path: Path = ()
    parts: Mapping[Path, Ranking] = field(default_factory=dict[Path, "Ranking"])

    @property
    def rows(self) -> list[SpendRow]:
        """Most expensive first; the sum of the groups without rows of their own last."""
        return sorted(self.spend.rows, key=lambda row: (row.other, -row.spent, -row.calls))

    @property
    def groups(self) -> int:
        """The number of groups, with or without rows of their own."""
        return sum((row.groups or 0) if row.other else 1 for row in self.spend.rows)

    def lines(self, compared: bool) -> Iterator[Line]:
        """All rows, each followed by its parts; `compared`: also groups with calls in the preceding period
        only."""
        before = {row.group(self.by): row for row in self.before.rows if not row.other}
        # A group may be among those without rows of their own.
        cut_before = any(row.other for row in self.before.rows) or self.before.truncated
        cut_now = any(row.other for row in self.spend.rows) or self.spend.truncated
        for row in self.rows:
            path = (*self.path, (self.by, None if row.other else row.group(self.by)))
            earlier = None if row.other else before.pop(row.group(self.by), None)
            # What the others spent before is that of other groups, unless all had rows of their own.
            known = not row.other and (earlier is not None or not cut_before)
            part = None if row.other else self.parts.get(path)
            yield Line(path, row, earlier, known, opened=part is not None)
            if part:
                yield from part.lines(compared)
        if compared and not cut_now:
            for name, row in sorted(before.items(), key=lambda item: (-item[1].spent, -item[1].calls)):
                yield Line((*self.path, (self.by, name)), SpendRow(cost_usd=Decimal(0)), row, True, gone=True)

    def drill_down_filter(self, term: str) -> str:
        """A filter for those of the summed calls that match a term."""
        return calls_filter(self.q, term, self.covered)


async def load_ranking(
    client: Client,
    by: str,
    q: str,
    covered: Interval,
    before: Interval,
    before_title: str,
    opened: Sequence[Path] = (),
    path: Path = (),
) -> Ranking:
    """The sums of both stretches, and of the `opened` rows below `path`. Raises ApiError."""
    wanted = " ".join(filter(None, (q, path_filter(path)))) or None
    top = MAX_PARTS if path else MAX_GROUPS

    async def load(stretch: Interval) -> Spend:
        since, until = utc_timestamp(stretch.since), utc_timestamp(stretch.until)
        return (await client.spend(by, since=since, until=until, q=wanted, top=top)).value

    here = {one: part for one in opened if one[:-1] == path and (part := next_part(one))}
    below = [
        load_ranking(client, part, q, covered, before, before_title, opened, one)
        for one, part in here.items()
    ]
    (sums, earlier), parts = await asyncio.gather(
        asyncio.gather(load(covered), load(before)), asyncio.gather(*below)
    )
    return Ranking(by, q, covered, sums, earlier, before_title, path, dict(zip(here, parts, strict=True)))


def next_part(path: Path) -> str | None:
    """The next grouping for the parts of the row at this path; None if all are used."""
    used = {by for by, _ in path}
    return next((by for by in PARTS if by not in used), None)


def calls_filter(q: str, term: str, covered: Interval) -> str:
    """A filter for the calls of a stretch of time that match both."""
    bounds = f"since:{utc_timestamp(covered.since)}", f"until:{utc_timestamp(covered.until)}"
    return " ".join(filter(None, (q, term, *bounds)))


def path_filter(path: Path) -> str:
    """A filter for exactly the calls that a row sums."""
    return " ".join(group_filter(by, value) for by, value in path)
