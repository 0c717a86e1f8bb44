"""Time ranges for spend, and the preceding ones, in the gateway's zone.

A `Rolling` range is the last so many hours or days, a `Calendar` range a day, week or month by the calendar,
this one or an earlier one. Days begin at midnight of the zone, weeks on Monday (ISO 8601). A range is
compared with the same elapsed part of the preceding one, so that Monday to Tuesday is never compared with a
whole week.

All times are in UTC: Python compares and subtracts times of one local zone by their clocks, which is wrong
where daylight saving time changes. Titles and labels are in the zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Literal

HOUR, DAY, WEEK, MONTH = "hour", "day", "week", "month"
MIDNIGHT = time_of_day()


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from `since` until just before `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `days` days, today included; 0: the last 24 hours, the current one included."""

    days: int
    units: tuple[str, ...]

    def title(self, now: datetime, zone: tzinfo) -> str:  # noqa: ARG002 - the same for all ranges
        return f"last {self.length}"

    @property
    def length(self) -> str:
        return f"{self.days} days" if self.days else "24 hours"

    def start(self, now: datetime, zone: tzinfo) -> datetime:
        if not self.days:
            return hour_of(now.astimezone(UTC) - timedelta(hours=23), zone)
        return midnight(now.astimezone(zone).date() - timedelta(days=self.days - 1), zone)

    def end(self, now: datetime, zone: tzinfo) -> datetime | None:  # noqa: ARG002
        """None: it goes on until now."""
        return None

    def preceding(self, covered: Interval, zone: tzinfo) -> Interval:  # noqa: ARG002
        """As long a time, immediately before."""
        return Interval(covered.since - (covered.until - covered.since), covered.since)

    def preceding_title(self, covered: Interval, zone: tzinfo) -> str:  # noqa: ARG002
        return f"the {self.length} before"

    def stepped(self, by: int) -> Range:
        """The next longer or shorter one."""
        number = ROLLING.index(self) + by
        return ROLLING[max(min(number, len(ROLLING) - 1), 0)]


@dataclass(frozen=True, slots=True)
class Calendar:
    """A day, week or month, `back` units before the current one."""

    unit: Literal["day", "week", "month"]
    back: int = 0

    @property
    def units(self) -> tuple[str, ...]:
        """What one bar may cover."""
        return {DAY: (HOUR,), WEEK: (DAY, HOUR), MONTH: (DAY, WEEK)}[self.unit]

    def title(self, now: datetime, zone: tzinfo) -> str:
        if self.back < 2:
            current, last = {DAY: ("today", "yesterday")}.get(
                self.unit, (f"this {self.unit}", f"last {self.unit}")
            )
            return last if self.back else current
        first = self._first(now, zone)
        year = "" if first.year == now.astimezone(zone).year else f" {first.year}"
        if self.unit == MONTH:
            return f"{first:%B}{year}"
        return f"{first:%a} {short_day(first)}{year}" if self.unit == DAY else f"{week_title(first)}{year}"

    def _first(self, now: datetime, zone: tzinfo) -> date:
        return step_back(first_day(now.astimezone(zone).date(), self.unit), self.unit, self.back)

    def start(self, now: datetime, zone: tzinfo) -> datetime:
        return midnight(self._first(now, zone), zone)

    def end(self, now: datetime, zone: tzinfo) -> datetime | None:
        """None: it goes on until now."""
        return replace(self, back=self.back - 1).start(now, zone) if self.back else None

    def preceding(self, covered: Interval, zone: tzinfo) -> Interval:
        """The same part of the unit before."""
        first = covered.since.astimezone(zone).date()
        before = step_back(first, self.unit, 1)
        if self.back:
            return Interval(midnight(before, zone), covered.since)
        until = same_time(covered.until, first - before, covered.since, zone)
        return Interval(midnight(before, zone), until)

    def preceding_title(self, covered: Interval, zone: tzinfo) -> str:
        if self.back:
            return f"the {self.unit} before"
        until = self.preceding(covered, zone).until.astimezone(zone)
        day = {DAY: "", WEEK: f"{until:%a} ", MONTH: f"{short_day(until)} "}[self.unit]
        return f"the {self.unit} before until {day}{until:%H:%M}"

    def stepped(self, by: int) -> Range:
        """The unit after or before."""
        return replace(self, back=max(self.back - by, 0))


Range = Rolling | Calendar
LAST_24_HOURS, LAST_7_DAYS = Rolling(0, (HOUR,)), Rolling(7, (DAY, HOUR))
LAST_30_DAYS, LAST_90_DAYS = Rolling(30, (DAY, WEEK)), Rolling(90, (WEEK, DAY))
ROLLING = (LAST_24_HOURS, LAST_7_DAYS, LAST_30_DAYS, LAST_90_DAYS)
# By the keys that choose them.
RANGES: dict[str, Range] = {
    "t": Calendar(DAY),
    "y": Calendar(DAY, 1),
    "w": Calendar(WEEK),
    "W": Calendar(WEEK, 1),
    "m": Calendar(MONTH),
    "M": Calendar(MONTH, 1),
    "1": LAST_24_HOURS,
    "7": LAST_7_DAYS,
    "3": LAST_30_DAYS,
    "9": LAST_90_DAYS,
}


def range_since(first: date | None, today: date) -> Range:
    """The shortest range of whole days, at most 30, with all calls since the day `first`; None: no calls."""
    # Of a ledger that began yesterday, 24 hours would leave calls out.
    if first is None or first >= today:
        return LAST_24_HOURS
    return LAST_7_DAYS if (today - first).days < LAST_7_DAYS.days else LAST_30_DAYS


def preceding_bar(covered: Interval, unit: str, bars: int, zone: tzinfo) -> Interval:
    """What one bar of `bars` units is compared with: the same part of as many units before."""
    if unit == HOUR:
        length = timedelta(hours=bars)
        return Interval(covered.since - length, min(covered.until - length, covered.since))
    days = timedelta(days=bars * (7 if unit == WEEK else 1))
    since = midnight(covered.since.astimezone(zone).date() - days, zone)
    return Interval(since, same_time(covered.until, days, covered.since, zone))


def same_time(at: datetime, days: timedelta, latest: datetime, zone: tzinfo) -> datetime:
    """The same time of day some days earlier, but not after `latest`: months differ in length."""
    local = at.astimezone(zone)
    return min(datetime.combine(local.date() - days, local.time(), zone).astimezone(UTC), latest)


def axis(unit: str, covered: Interval, zone: tzinfo) -> list[datetime]:
    """The start of each hour, day or week of a stretch, at least of one; the first is that of the stretch."""
    if unit == HOUR:
        hours = max(-((covered.since - covered.until) // timedelta(hours=1)), 1)
        # Each by itself: a zone may change its offset by half an hour.
        return sorted({hour_of(covered.since + timedelta(hours=hour), zone) for hour in range(hours)})
    first = covered.since.astimezone(zone).date()
    starts: list[datetime] = []
    while not starts or midnight(first, zone) < covered.until:
        starts.append(midnight(first, zone))
        first = first_day(first, unit) + timedelta(days=7 if unit == WEEK else 1)
    return starts


def bar_label(start: datetime, unit: str, zone: tzinfo) -> str:
    """The gateway's label of an hour, day or week."""
    local = start.astimezone(zone)
    if unit == HOUR:
        return local.isoformat().replace("+00:00", "Z")
    return first_day(local.date(), unit).isoformat()


def bar_start(label: str, zone: tzinfo) -> datetime:
    """The start of an hour, day or week that the gateway has labelled."""
    if "T" in label:
        return datetime.fromisoformat(label).astimezone(UTC)
    return midnight(date.fromisoformat(label), zone)


def first_day(day: date, unit: str) -> date:
    """The first day of a day's week or month."""
    if unit == MONTH:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if unit == WEEK else day


def step_back(first: date, unit: str, by: int) -> date:
    """The first day of the day, week or month that many before the one that begins on `first`."""
    if unit == MONTH:
        months = first.year * 12 + first.month - 1 - by
        return date(months // 12, months % 12 + 1, 1)
    return first - timedelta(days=by * (7 if unit == WEEK else 1))


def midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, MIDNIGHT, zone).astimezone(UTC)


def hour_of(at: datetime, zone: tzinfo) -> datetime:
    """The start of the local hour."""
    local = at.astimezone(zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return at.astimezone(UTC) - into


def short_day(day: date) -> str:
    """`24 Nov`."""
    return f"{day.day} {day:%b}"


def week_title(monday: date) -> str:
    """`week 48, 23–29 Nov`."""
    return f"week {monday.isocalendar().week}, {days_title(monday, monday + timedelta(days=6))}"


def days_title(first: date, last: date) -> str:
    """`Mon 23 Nov`, `23–29 Nov`, `30 Nov–6 Dec`."""
    if first == last:
        return f"{first:%a} {short_day(first)}"
    same_month = (first.year, first.month) == (last.year, last.month)
    return f"{first.day if same_month else short_day(first)}–{short_day(last)}"


def bar_title(covered: Interval, unit: str, zone: tzinfo) -> str:
    """What a bar covers: `Mon 23 Nov, 13:00–14:00`, `Mon 23 Nov`, `week 48, 23–29 Nov`."""
    since, until = covered.since.astimezone(zone), covered.until.astimezone(zone)
    if unit == HOUR:
        return f"{since:%a} {short_day(since)}, {since:%H:%M}–{until:%H:%M}"
    days = days_title(since.date(), (until - timedelta(microseconds=1)).date())
    one = first_day(since.date(), WEEK) == first_day((until - timedelta(microseconds=1)).date(), WEEK)
    return f"week {since.isocalendar().week}, {days}" if unit == WEEK and one else days


def short_label(label: str, unit: str, several_days: bool = False) -> str:
    """A bar's label on the axis: `13:00` (`Mon 13:00` of several days), `24 Nov`, `W48`."""
    if unit == HOUR:
        start = datetime.fromisoformat(label)
        return f"{start:%a %H:%M}" if several_days else f"{start:%H:%M}"
    day = date.fromisoformat(label)
    return f"W{day.isocalendar().week}" if unit == WEEK else short_day(day)


def utc_timestamp(at: datetime) -> str:
    """A time in the API's format."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
