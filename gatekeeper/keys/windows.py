"""Budget windows: each is a `budget_duration` long, by the calendar of a time zone, and they follow each
other without gaps. Pure; times are integers of microseconds since 1970 (UTC).

- Days start at midnight, weeks (`w`) on Monday, months (`mo`) on the first; they are calendar days of 23 to
  25 hours and calendar months of 28 to 31 days. Hours start at the full hour, minutes at the full minute,
  seconds at the full second, and have a fixed length.
- With a multiple (`30d`, `2w`, `3mo`, `12h`) the first window starts with the day, week, month or hour in
  which the duration was set, and each next one at the end of the previous one.
- A fraction is converted to the largest smaller unit that gives an integer: `1.5d` is `36h`, `1.5mo` is
  `45d`.

All windows follow from the end of any one of them, the anchor. If the clocks go forward at midnight, the day
starts at 1:00; a day that a time zone has skipped has no window.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from gatekeeper.times import DAY, MILLISECONDS, from_micros, parse_duration, to_micros

MICROS_PER_SECOND = 1_000_000
# Microseconds by which the clock may be set back without moving the window.
CLOCK_TOLERANCE = 60 * 60 * MICROS_PER_SECOND
UNITS = ("mo", "w", "d", "h", "m", "s")
DAYS = {"w": 7, "d": 1}
MILLISECOND = 1_000  # microseconds
LONGEST = {"mo": 31 * DAY, "w": 7 * DAY, "d": DAY}  # microseconds, if no clock changes
CLOCK_CHANGE = 7_200_000_000  # the most microseconds by which one makes a day longer
# The date for which a zone's offset from full hours is determined: full hours are local ones, and do not move
# when the clocks change by half an hour.
HOURS_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """The period whose calls count towards a budget: from `start` (0: unbounded) until `end` (None:
    unbounded), when the next window starts."""

    start: int = 0
    end: int | None = None


def initial_window_end(budget_duration: str | None, now: int, zone: tzinfo) -> int | None:
    """The end of the first window, if the duration is set at `now`; None without a duration."""
    return None if budget_duration is None else boundaries(budget_duration, now, now, zone).after


def next_window(window_end: int, budget_duration: str, now: int, zone: tzinfo) -> Window:
    """The window that contains `now`, after one that ended at `window_end`, however long ago. If that is not
    at the start of a period (it was set by an older version, or in another time zone), the next window is
    shorter."""
    before, after = boundaries(budget_duration, window_end, now, zone)
    return Window(max(before, window_end), after)


def clamped_window(window_end: int, budget_duration: str, now: int, zone: tzinfo) -> Window | None:
    """The window that contains `now`, if the current one cannot have started yet because the clock was ahead
    when its end was set; else None. The spend of the window is kept, because those calls were made."""
    if window_end - longest_window(budget_duration) - now <= CLOCK_TOLERANCE:
        return None
    return Window(*boundaries(budget_duration, window_end, now, zone))


class CalendarDuration(NamedTuple):
    """A duration as a number of units: of fixed length (`h`, `m`, `s`) or of the calendar (`mo`, `w`,
    `d`)."""

    number: int
    unit: str

    @property
    def longest(self) -> int:
        """The longest possible window, in microseconds."""
        if longest := LONGEST.get(self.unit):
            return self.number * longest + CLOCK_CHANGE
        return self.number * MILLISECONDS[self.unit] * MILLISECOND


class Boundaries(NamedTuple):
    """The ends of windows around a time: the last one at or before it, and the next one."""

    before: int
    after: int


@lru_cache(maxsize=1024)
def calendar_duration(duration: str) -> CalendarDuration:
    """Parses a duration. Raises ValueError if it is invalid."""
    milliseconds = parse_duration(duration) * 1000
    unit = duration.lstrip("0123456789.")
    units = UNITS[UNITS.index(unit) :] if unit in UNITS else ("s",)
    # At least seconds match: durations are in whole seconds.
    whole = next(smaller for smaller in units if milliseconds % MILLISECONDS[smaller] == 0)
    return CalendarDuration(milliseconds // MILLISECONDS[whole], whole)


# Needed with each check of a budget.
@lru_cache(maxsize=1024)
def longest_window(duration: str) -> int:
    """The longest possible window of this duration, in microseconds."""
    return calendar_duration(duration).longest


def boundaries(duration: str, anchor: int, at: int, zone: tzinfo) -> Boundaries:
    """The boundaries around `at`, if one window ends at `anchor`, rounded down to the start of a unit: to
    midnight for a duration in days."""
    number, unit = calendar_duration(duration)
    if unit == "mo":
        return _months(number, anchor, at, zone)
    if days := DAYS.get(unit):
        return _days(number * days, _monday(anchor, zone) if unit == "w" else _date(anchor, zone), at, zone)
    length = MILLISECONDS[unit] * MILLISECOND
    offset = HOURS_AT.astimezone(zone).utcoffset() or timedelta()
    # In local time: if the offset has half an hour, full hours are not those of UTC.
    base = anchor - (anchor + offset // timedelta(microseconds=1)) % length
    before = base + (at - base) // (number * length) * number * length
    return Boundaries(before, before + number * length)


def _months(number: int, anchor: int, at: int, zone: tzinfo) -> Boundaries:
    def begin(month: int) -> int:
        return _midnight(date(month // 12, month % 12 + 1, 1), zone)

    first, here = (day.year * 12 + day.month - 1 for day in (_date(anchor, zone), _date(at, zone)))
    month = first + (here - first) // number * number
    return Boundaries(begin(month), begin(month + number))


def _days(number: int, first: date, at: int, zone: tzinfo) -> Boundaries:
    passed = (_date(at, zone) - first).days // number * number
    before, after = (_midnight(first + timedelta(days=days), zone) for days in (passed, passed + number))
    return Boundaries(before, after)


def _date(at: int, zone: tzinfo) -> date:
    """The calendar day that contains this time."""
    day = from_micros(at).astimezone(zone).date()
    # If the clocks go forward over midnight, the local date changes before the day starts by `_midnight`.
    return day if _midnight(day, zone) <= at else day - timedelta(days=1)


def _monday(at: int, zone: tzinfo) -> date:
    day = _date(at, zone)
    return day - timedelta(days=day.weekday())


def _midnight(day: date, zone: tzinfo) -> int:
    """The start of a day; if the clocks skip midnight, the moment when they do."""
    # A skipped local time has the offset from before the change (PEP 495, fold 0), which gives that moment.
    return to_micros(datetime(day.year, day.month, day.day, tzinfo=zone))
