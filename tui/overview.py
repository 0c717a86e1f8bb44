"""What the Overview screen shows, from the gateway's own sums: spend of today and of this month beside the
same part of the day and month before, the last hour by minute, the largest tags, keys and models, the
fullest budgets, and the gateway's health. Nothing is added up here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import Readiness
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import Spend, SpendRow
from tui.spend.periods import utc_timestamp
from tui.spend.sums import NOW

# The groups whose largest are shown.
TOPS = ("tag", "key", "model")
MINUTES = 60
# More than the highest terminal shows; the rest is one more row.
MAX_TOP = 20
MAX_KEYS = 50


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month, from its start until now, and the same part of the one before."""

    title: str
    since: datetime
    earlier_title: str
    earlier_since: datetime
    earlier_until: datetime


def today(now: datetime) -> Period:
    """Today until now, and yesterday until the same time of day, in the zone of `now`."""
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    yesterday = now.date() - timedelta(days=1)
    return Period(
        "today",
        midnight,
        f"yesterday until {clock_of(now)}",
        datetime.combine(yesterday, time(), now.tzinfo),
        datetime.combine(yesterday, now.time(), now.tzinfo),
    )


def this_month(now: datetime) -> Period:
    """This month until now, and the month before until the same day and time; all of it if it is shorter."""
    first = datetime.combine(now.date().replace(day=1), time(), now.tzinfo)
    last_day = first.date() - timedelta(days=1)
    earlier_first = datetime.combine(last_day.replace(day=1), time(), now.tzinfo)
    if now.day > last_day.day:
        return Period(f"{now:%B}", first, f"all of {last_day:%B}", earlier_first, first)
    until = datetime.combine(last_day.replace(day=now.day), now.time(), now.tzinfo)
    title = f"last month until {until.day} {until:%b}, {clock_of(now)}"
    return Period(f"{now:%B}", first, title, earlier_first, until)


def clock_of(now: datetime) -> str:
    """The time of day, with its zone if that is not this machine's."""
    local = now.astimezone().utcoffset() == now.utcoffset()
    return f"{now:%H:%M}" if local else f"{now:%H:%M %Z}"


PERIODS = (today, this_month)


@dataclass(frozen=True, slots=True)
class OverviewRequest:
    """`period` is that of the largest groups, by its number in `PERIODS`; `q` a filter of all sums."""

    period: int = 0
    q: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sums of a period until now, and of the same part of the one before."""

    period: Period
    current: Spend
    earlier: Spend


@dataclass(frozen=True)
class OverviewData:
    """All that the screen shows; `now` is the gateway's, in its zone. Where keys or health could not be
    loaded, there is the error. `called` is whether there was any call, ever."""

    request: OverviewRequest
    now: datetime
    by_minute: Spend
    comparisons: tuple[Comparison, ...]
    tops: Mapping[str, Spend]
    keys: Sequence[Key] | ApiError
    health: Readiness | ApiError
    called: bool

    @property
    def period(self) -> Period:
        """That of the largest groups."""
        return self.comparisons[self.request.period].period

    @property
    def longest(self) -> Comparison:
        """The month, in which calls without a price are looked for."""
        return self.comparisons[-1]

    def per_minute(self, count: Callable[[SpendRow], int | None]) -> list[int]:
        """What is counted in each minute of the last hour; the last minute is still running."""
        known = {datetime.fromisoformat(row.minute): count(row) for row in self.by_minute.rows if row.minute}
        start = minute_of(self.now)
        return [known.get(start - timedelta(minutes=back)) or 0 for back in reversed(range(MINUTES))]

    def later(self, elapsed: timedelta, health: Readiness | ApiError) -> OverviewData:
        """The same sums some time later, if no call has ended since."""
        return replace(self, now=self.now + elapsed, health=health)

    def shows_the_same_as(self, earlier: OverviewData) -> bool:
        """Whether its charts and its health look as they did."""
        return self.health == earlier.health and minute_of(self.now) == minute_of(earlier.now)


def minute_of(moment: datetime) -> datetime:
    """Its start, in UTC: local minutes are missing or doubled where clocks change."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def zone_of(name: str) -> tzinfo:
    """UTC where this machine does not know the zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


async def load_overview(client: Client, request: OverviewRequest, clock: datetime) -> OverviewData:
    """Loads everything for one and the same moment. Raises ApiError if sums cannot be loaded."""
    start = minute_of(clock) - timedelta(minutes=MINUTES - 1)
    # First and alone: the response has the gateway's time and zone, by which all others are asked for.
    by_minute = (
        await client.spend("minute", since=utc_timestamp(start), until=NOW, q=request.q or None)
    ).value
    now = (by_minute.until or clock).astimezone(zone_of(by_minute.timezone))
    periods = [period(now) for period in PERIODS]
    spans = [
        span for each in periods for span in ((each.since, now), (each.earlier_since, each.earlier_until))
    ]
    chosen = periods[request.period].since
    health, keys, sums, tops = await asyncio.gather(
        load_health(client),
        load_keys(client, now),
        asyncio.gather(*(load_sums(client, request, "none", *span) for span in spans)),
        asyncio.gather(*(load_sums(client, request, by, chosen, now, MAX_TOP) for by in TOPS)),
    )
    comparisons = tuple(map(Comparison, periods, sums[::2], sums[1::2]))
    called = bool(request.q) or any(spend.total.calls for spend in sums) or await has_calls(client)
    return OverviewData(
        request, now, by_minute, comparisons, dict(zip(TOPS, tops, strict=True)), keys, health, called
    )


async def load_sums(
    client: Client,
    request: OverviewRequest,
    by: str,
    since: datetime,
    until: datetime,
    top: int | None = None,
) -> Spend:
    """Sums of the calls between two times that match the request's filter."""
    bounds = utc_timestamp(since), utc_timestamp(until)
    return (await client.spend(by, *bounds, q=request.q or None, top=top)).value


async def has_calls(client: Client) -> bool:
    """Whether there was any call, ever."""
    return (await client.spend("none")).value.total.calls > 0


async def load_health(client: Client) -> Readiness | ApiError:
    """The gateway's health, or why it is not known."""
    try:
        return (await client.readiness()).value
    except ApiError as error:
        return error


async def load_keys(client: Client, now: datetime) -> list[Key] | ApiError:
    """The keys that have a budget and may call, the fullest first; or why they are not known."""
    try:
        page = (await client.keys(limit=MAX_KEYS, sort="-budget_used")).value
    except ApiError as error:
        return error
    return [key for key in page.keys if key.max_budget is not None and may_call(key, now)]


def may_call(key: Key, now: datetime) -> bool:
    """Whether it is neither blocked nor expired."""
    return not key.blocked and (key.expires is None or key.expires > now)
