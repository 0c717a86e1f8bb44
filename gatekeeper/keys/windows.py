"""The periods in which spend counts against a budget, each a `budget_duration` long by the calendar of a zone
(`budget_periods`). They follow each other without gaps. Times are microseconds since 1970 (UTC)."""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

from gatekeeper.keys.budget_periods import boundaries, longest_period

MICROS_PER_SECOND = 1_000_000
# Microseconds by which the clock may be set back without moving the window.
CLOCK_TOLERANCE = 60 * 60 * MICROS_PER_SECOND


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
    if window_end - longest_period(budget_duration) - now <= CLOCK_TOLERANCE:
        return None
    return Window(*boundaries(budget_duration, window_end, now, zone))
