"""The periods in which spend counts against a budget. They follow each other without gaps, each
`budget_duration` long. Times are integers of microseconds since 1970 (UTC)."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.times import parse_duration

MICROS_PER_SECOND = 1_000_000
# Microseconds by which the clock may be set back without moving the window.
CLOCK_TOLERANCE = 60 * 60 * MICROS_PER_SECOND


class Window(NamedTuple):
    """The time whose calls count against a budget: from `start` (0: since the beginning) until `end` (None:
    without end), when the next window starts."""

    start: int = 0
    end: int | None = None


def initial_window_end(budget_duration: str | None, now: int) -> int | None:
    """The end of a window that begins at `now`; None without a `budget_duration`."""
    return None if budget_duration is None else now + parse_duration(budget_duration) * MICROS_PER_SECOND


def next_window_end(window_end: int, budget_duration: str, now: int) -> int:
    """The end of the window that contains `now`: `window_end`, or the first later end at the same phase."""
    if now < window_end:
        return window_end
    length = parse_duration(budget_duration) * MICROS_PER_SECOND
    # In whole lengths, however long the key was not read: windows keep their phase.
    return window_end + ((now - window_end) // length + 1) * length


def clamped_window_end(window_end: int, budget_duration: str, now: int) -> int:
    """`window_end`, moved back by whole lengths if its window cannot have begun yet because the clock was
    ahead when it was set. The spend of the window stays: those calls were made."""
    length = parse_duration(budget_duration) * MICROS_PER_SECOND
    ahead = window_end - length - now
    return window_end if ahead <= CLOCK_TOLERANCE else window_end - -(-ahead // length) * length
