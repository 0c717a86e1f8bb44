"""Durations and points in time: parsing, formatting, and microseconds since 1970.

A duration is a number and a unit, `30d`, `1.5h`. Units have a fixed length, so that the same text always
means the same number of seconds: a month (`mo`) is 30 days, a day 24 hours even if the clocks change.
A point in time is a duration back from now, a day by its name (`today`, `yesterday`, `monday`), the first of
a month (`this-month`, `last-month`), or a date or time in ISO 8601.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from gatekeeper.suggestions import did_you_mean

MILLISECONDS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "mo": 30 * 86_400_000,
}
# Short enough that now plus or minus it is always a valid date.
MAX_SPAN = 100 * 365 * MILLISECONDS["d"]

# No call is before or after; the first and last times of Python's are none in some zones.
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000  # microseconds
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NAMED_DAYS = ("today", "yesterday", *WEEKDAYS, "this-month", "last-month")
_SPAN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|mo|m|h|d|w)")


@lru_cache(maxsize=1024)  # a budget parses its own with every call
def parse_duration(text: str) -> int:
    """Whole seconds of `30d`, `12h`, `1.5h`; units `s m h d w mo`, the longest 100 years.

    Raises ValueError, with what is allowed, for anything else.
    """
    span = parse_span(text)
    if span % 1_000:
        raise ValueError(f'"{text}" is not a whole number of seconds')
    return int(span) // 1_000


def parse_span(text: str) -> Decimal:
    """Milliseconds of a duration, which may be fractional: `1.5ms`, `2s`, `1m`.

    Raises ValueError, with what is allowed, for anything else.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise ValueError(
            f'"{text}" is not a duration: write a number and one of ms s m h d w mo, like 30d or 1.5h'
        )
    # Decimal, because 0.1 s in binary is not a whole number of milliseconds.
    span = Decimal(found[1]) * MILLISECONDS[found[2]]
    if span > MAX_SPAN:
        raise ValueError(f'"{text}" is too long a duration: the longest is 36500d')
    return span


def parse_time(text: str, now: datetime) -> datetime:
    """Parses a point in time: `1h` (before `now`), `yesterday`, `2026-11-24`, `2026-11-24T13:00:00Z`.

    A day is its midnight, a weekday the latest one, which may be today. Without a time zone it is in that of
    `now`, which must have one. A date before EARLIEST, or after LATEST, is that. Raises ValueError, with what
    is allowed, for anything else.
    """
    if _SPAN.fullmatch(text):
        return now - timedelta(milliseconds=float(parse_span(text)))
    if (ago := days_ago(text, now.date())) is not None:
        return datetime.combine(now.date() - timedelta(days=ago), time(), now.tzinfo)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        near = did_you_mean(text, NAMED_DAYS, "write").replace("?", "? Write")
        raise ValueError(
            f'"{text}" is not a time: {near} a duration back from now like 1h or 7d, today, yesterday or a '
            "weekday, this-month, last-month, a date like 2026-11-24, or a time like 2026-11-24T13:00:00Z"
        ) from None
    # What people write without a zone is meant in the configured one.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    return min(max(moment, EARLIEST), LATEST)


def is_relative(text: str) -> bool:
    """Whether this point in time depends on now: a duration back from it, or a day by its name."""
    return bool(_SPAN.fullmatch(text)) or days_ago(text, EPOCH.date()) is not None


def days_ago(name: str, today: date) -> int | None:
    """How many days ago the day or month of that name began, whatever its case; None: it is no such name."""
    match name.lower():
        case "today":
            return 0
        case "yesterday":
            return 1
        case "this-month":
            return today.day - 1
        case "last-month":
            return today.day - 1 + (today - timedelta(days=today.day)).day
        case weekday if weekday in WEEKDAYS:
            return (today.weekday() - WEEKDAYS.index(weekday)) % len(WEEKDAYS)
        case _:
            return None


def to_micros(moment: datetime) -> int:
    """A time with a zone in microseconds since 1970 in UTC, the unit of a call's `started_at`."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class ClockWatch:
    """Whether the wall clock may be believed for what cannot be undone: not for `DOUBT` after it has jumped
    ahead of a clock that nobody sets. Most that jump are set right by then. Times are in microseconds."""

    TOLERANCE = 60_000_000
    DOUBT = 3_600_000_000

    def __init__(self) -> None:
        self._ahead: int | None = None  # by how much the wall clock is ahead of the other one, as believed
        self._doubted_since: int | None = None  # by the other one

    def is_steady(self, wall: int, steady: int) -> bool:
        """To be asked again and again, with what both clocks say."""
        ahead = wall - steady
        if self._ahead is None or ahead <= self._ahead + self.TOLERANCE:
            self._ahead, self._doubted_since = ahead, None
            return True
        if self._doubted_since is None:
            self._doubted_since = steady
        if steady - self._doubted_since < self.DOUBT:
            return False
        self._ahead, self._doubted_since = ahead, None
        return True


def utc_day(micros: int) -> date:
    """The day in UTC of these microseconds since 1970."""
    return _day(micros // DAY)


@lru_cache(maxsize=4)  # used by every call, nearly always for today
def _day(number: int) -> date:
    return EPOCH.date() + timedelta(days=number)


def iso(micros: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC with `Z`, exact to the microsecond."""
    # A tenth of the time of `strftime`; the offset is `+00:00`.
    return from_micros(micros).isoformat(timespec="microseconds")[:-6] + "Z"
