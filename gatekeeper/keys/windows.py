"""The windows in which spend counts against a budget, each a `budget_duration` long by the calendar of a
zone. They follow each other without gaps. Pure; times are integers of microseconds since 1970 (UTC).

- Whole days begin at midnight, `w` on Monday, `mo` on the first of the month; days and months are the
  calendar's, of 23 to 25 hours and 28 to 31 days. Hours begin at the full hour, minutes at the full minute,
  seconds at the full second, and have a fixed length.
- Of several (`30d`, `2w`, `3mo`, `12h`) the first window begins with the day, week, month or hour in which
  the duration was set, and each further one where the one before ends.
- A fraction is counted in the largest smaller unit of which it is whole: `1.5d` is `36h`, `1.5mo` is `45d`.

All windows follow from the end of any one of them, the anchor: a day that begins at 1:00, because the clocks
are put forward at midnight, begins there, and a day that a zone has left out has none.
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
# When a zone's full hours are looked up, once for all: they are its local ones, but where clocks are changed
# by half an hour, and they stay the same then.
HOURS_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """The time whose calls count against a budget: from `start` (0: since the beginning) until `end` (None:
    without end), when the next window starts."""

    start: int = 0
    end: int | None = None


def initial_window_end(budget_duration: str | None, now: int, zone: tzinfo) -> int | None:
    """The end of the period that contains `now`, where the duration was set then; None without one."""
    return None if budget_duration is None else boundaries(budget_duration, now, now, zone).after


def next_window(window_end: int, budget_duration: str, now: int, zone: tzinfo) -> Window:
    """The window that contains `now`, of those that follow one which ended at `window_end`, however long the
    account was not read. After an end that is not where periods begin (it was set before a zone or the
    calendar counted), the first one is shorter."""
    before, after = boundaries(budget_duration, window_end, now, zone)
    return Window(max(before, window_end), after)


def clamped_window(window_end: int, budget_duration: str, now: int, zone: tzinfo) -> Window | None:
    """The window that contains `now`, in place of one that cannot have begun yet, because the clock was ahead
    when its end was set; None if that is not so. The spend of the window stays: those calls were made."""
    if window_end - longest_window(budget_duration) - now <= CLOCK_TOLERANCE:
        return None
    return Window(*boundaries(budget_duration, window_end, now, zone))


class CalendarDuration(NamedTuple):
    """A duration as so many of a unit: one of fixed length, `h`, `m` or `s`, or of the calendar's."""

    number: int
    unit: str

    @property
    def longest(self) -> int:
        """Microseconds that no window is longer than."""
        if longest := LONGEST.get(self.unit):
            return self.number * longest + CLOCK_CHANGE
        return self.number * MILLISECONDS[self.unit] * MILLISECOND


class Boundaries(NamedTuple):
    """The ends of windows around a time: the last one that is not after it, and the next."""

    before: int
    after: int


@lru_cache(maxsize=1024)
def calendar_duration(duration: str) -> CalendarDuration:
    """Raises ValueError for what is no duration."""
    milliseconds = parse_duration(duration) * 1000
    unit = duration.lstrip("0123456789.")
    units = UNITS[UNITS.index(unit) :] if unit in UNITS else ("s",)
    # A second at last: durations are of whole seconds.
    whole = next(smaller for smaller in units if milliseconds % MILLISECONDS[smaller] == 0)
    return CalendarDuration(milliseconds // MILLISECONDS[whole], whole)


# Asked for with each look at a budget.
@lru_cache(maxsize=1024)
def longest_window(duration: str) -> int:
    """Microseconds that no window of this duration is longer than."""
    return calendar_duration(duration).longest


def boundaries(duration: str, anchor: int, at: int, zone: tzinfo) -> Boundaries:
    """The boundaries around `at`, of the windows of which one ends at `anchor`, or at its unit's begin before
    it: at midnight, if the anchor is at noon and the duration in days."""
    number, unit = calendar_duration(duration)
    if unit == "mo":
        return _months(number, anchor, at, zone)
    if days := DAYS.get(unit):
        return _days(number * days, _monday(anchor, zone) if unit == "w" else _date(anchor, zone), at, zone)
    length = MILLISECONDS[unit] * MILLISECOND
    offset = HOURS_AT.astimezone(zone).utcoffset() or timedelta()
    # By the zone's clock: where that is half an hour off, full hours are not those of UTC.
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
    """The day that contains this time."""
    day = from_micros(at).astimezone(zone).date()
    # Clocks that are put forward over midnight: the day that is skipped into has begun before.
    return day if _midnight(day, zone) <= at else day - timedelta(days=1)


def _monday(at: int, zone: tzinfo) -> date:
    day = _date(at, zone)
    return day - timedelta(days=day.weekday())


def _midnight(day: date, zone: tzinfo) -> int:
    """The first moment of a day; where there is no midnight, the moment when the clocks skip it."""
    # A time that clocks skip has the offset from before (PEP 495, fold 0): that is the moment of the change.
    return to_micros(datetime(day.year, day.month, day.day, tzinfo=zone))
