"""Spans and points of time: as people write them, as the API shows them, and as they are counted inside.

A duration is a number and a unit, `30d`, `1.5h`. Units are fixed spans, so that the same text always
means the same number of seconds: a month (`mo`) is 30 days, a day 24 hours whatever the clocks do.
A point of time is a duration back from now, or a date or time in ISO 8601.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

MILLISECONDS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "mo": 30 * 86_400_000,
}
# Long enough for any key or question, short enough that now plus or minus it is always a date.
LONGEST = 100 * 365 * MILLISECONDS["d"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000  # microseconds
_SPAN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|mo|m|h|d|w)")


@lru_cache(maxsize=1024)  # a budget asks for its own with every call
def parse_duration(text: str) -> int:
    """Whole seconds of `30d`, `12h`, `1.5h`; units `s m h d w mo`, the longest 100 years.

    Raises ValueError, with what is allowed, for anything else.
    """
    span = parse_span(text)
    if span % 1_000:
        raise ValueError(f'"{text}" is not a whole number of seconds')
    return int(span) // 1_000


def parse_span(text: str) -> Decimal:
    """Milliseconds of a duration, which may be as short as a fraction of one: `1.5ms`, `2s`, `1m`.

    Raises ValueError, with what is allowed, for anything else.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise ValueError(
            f'"{text}" is no duration: write a number and one of ms s m h d w mo, like 30d or 1.5h'
        )
    # Decimal, because 0.1 s in binary is not a whole number of milliseconds.
    span = Decimal(found[1]) * MILLISECONDS[found[2]]
    if span > LONGEST:
        raise ValueError(f'"{text}" is too long a duration: the longest is 36500d')
    return span


def parse_time(text: str, now: datetime) -> datetime:
    """The point of time that `text` names: `1h` (before `now`), `2026-11-24`, `2026-11-24T13:00:00Z`.

    A date is its midnight; what names no zone is in the zone of `now`, which must have one. Raises
    ValueError, with what is allowed, for anything else.
    """
    if _SPAN.fullmatch(text):
        return now - timedelta(milliseconds=float(parse_span(text)))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'"{text}" is no time: write a duration back from now like 1h or 7d, a date like 2026-11-24,'
            " or a time like 2026-11-24T13:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def micros(moment: datetime) -> int:
    """The moment, which has a zone, in microseconds since 1970 in UTC, as a call's `started_at` counts."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """Microseconds since 1970 as a moment in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def day_of(micros: int) -> date:
    """The day in UTC that holds these microseconds since 1970."""
    return _day(micros // DAY)


@lru_cache(maxsize=4)  # calls ask all the time, and for today
def _day(number: int) -> date:
    return EPOCH.date() + timedelta(days=number)


def iso(micros: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC with `Z`, exact to the microsecond."""
    return moment_of(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
