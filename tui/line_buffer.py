"""The lines of the log: the newest calls, each once, oldest first, up to a capacity, with a line where a
local day begins.

Pure. Calls are ordered by id (UUID version 7: by start time), so that calls loaded after a gap are inserted
between those received live. A finished call replaces its line in flight, never the reverse.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from rich.segment import Segment

from gatekeeper.client import formats
from gatekeeper.client.call_types import Call

SORT_KEY = attrgetter("sort_key")
# `~` sorts after every hexadecimal digit and a space before: a marker follows the call whose id its key
# extends, or precedes all calls.
AFTER, BEFORE = "~", " "
# The position of a UUID's version digit, and the number of its timestamp's hexadecimal digits: in version 7
# the first 48 bits are the milliseconds since 1970 (RFC 9562, 5.7).
VERSION = slice(14, 15)
DIGITS = 12


class Line:
    """A call, the beginning of a day, or a marker (gap, lost connection); `rendered` caches the segments that
    the view made of it."""

    # No `__dict__` each, as a log holds thousands.
    __slots__ = ("call", "is_day", "rendered", "sort_key", "text")

    def __init__(self, sort_key: str, call: Call | None = None, text: str = "", is_day: bool = False) -> None:
        self.sort_key = sort_key
        self.call = call
        self.text = text
        self.is_day = is_day
        self.rendered: tuple[object, list[Segment]] | None = None

    @property
    def in_flight(self) -> bool:
        return self.call is not None and self.call.outcome is None


class LineBuffer:
    """At most `capacity` lines; `trim` removes the oldest."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lines: list[Line] = []
        self._by_id: dict[str, Line] = {}
        self._days: set[str] = set()
        self._day: Day | None = None
        self.trimmed = False
        """Whether older lines were removed."""

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Line:
        return self._lines[index]

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __reversed__(self) -> Iterator[Line]:
        return reversed(self._lines)

    def index(self, line: Line) -> int:
        """The index of a line; where it would be, if it was removed."""
        return bisect_left(self._lines, line.sort_key, key=SORT_KEY)

    def after(self, sort_key: str) -> int:
        """The number of calls after this key."""
        return sum(
            line.call is not None for line in self._lines[bisect_right(self._lines, sort_key, key=SORT_KEY) :]
        )

    def get(self, id: str) -> Line | None:  # noqa: A002 - the API's name
        """The line of this call, if there is one."""
        return self._by_id.get(id)

    @property
    def calls(self) -> int:
        return len(self._by_id)

    def add(self, calls: Iterable[Call]) -> int:
        """Adds calls, in any order; returns the number of new ones."""
        return sum(self._add_call(call) for call in calls)

    def add_marker(self, text: str) -> None:
        """Adds a line that is not a call, after all current lines."""
        last = self._lines[-1].sort_key if self._lines else BEFORE
        self._insert(Line(last + AFTER, text=text))

    def drop(self, id: str) -> None:  # noqa: A002 - the API's name
        """Removes a call, and the line of its day if that has no other call."""
        if line := self._by_id.pop(id, None):
            index = self.index(line)
            empty = index and self._lines[index - 1].is_day and self._is_end_of_day(index + 1)
            self._forget(index - bool(empty), index + 1)

    def _is_end_of_day(self, index: int) -> bool:
        return index == len(self._lines) or self._lines[index].is_day

    def _forget(self, start: int, end: int) -> None:
        for line in self._lines[start:end]:
            self._days.discard(line.sort_key)
        del self._lines[start:end]
        # The line of the current day may be among the removed ones.
        self._day = None

    def trim(self) -> int:
        """Removes the oldest lines; returns their number. Not done by `add`: a batch is trimmed once."""
        surplus = max(len(self._lines) - self.capacity, 0)
        # Their days stay in the set, so that a trimmed day line is not added again.
        for line in self._lines[:surplus]:
            if line.call:
                del self._by_id[line.call.id]
        del self._lines[:surplus]
        self.trimmed = self.trimmed or surplus > 0
        return surplus

    def _add_call(self, call: Call) -> bool:
        line = self._by_id.get(call.id)
        if line is None:
            line = self._by_id[call.id] = Line(call.id, call)
            self._begin_day(call.id)
            self._insert(line)
            return True
        # A late event must not turn a finished call into one in flight.
        if call.outcome is not None or line.in_flight:
            line.call, line.rendered = call, None
        return False

    def _begin_day(self, id: str) -> None:  # noqa: A002 - the API's name
        """Adds a line before the first call of a day. A trimmed one is not added again."""
        # Calls mostly arrive in order, so the last call's day is most likely this one's.
        if self._day and self._day.first <= id < self._day.next:
            return
        self._day = day_of(id)
        if self._day and self._day.first not in self._days:
            self._days.add(self._day.first)
            self._insert(Line(self._day.first, text=self._day.title, is_day=True))

    def _insert(self, line: Line) -> None:
        # Nearly always the newest: no search and no shift.
        if not self._lines or self._lines[-1].sort_key < line.sort_key:
            self._lines.append(line)
        else:
            self._lines.insert(self.index(line), line)


@dataclass(frozen=True, slots=True)
class Day:
    """Its ids sort from `first`, a prefix of the smallest, up to but not including `next`."""

    first: str
    next: str
    title: str


def day_of(id: str) -> Day | None:  # noqa: A002 - the API's name
    """The local day in which a call started; None if the id has no timestamp."""
    try:
        if id[VERSION] != "7":
            return None
        moment = datetime.fromtimestamp(int(id.replace("-", "")[:DIGITS], 16) / 1000).astimezone()
        # Naive, so that adding a day ends at midnight also on days of 23 or 25 hours.
        midnight = moment.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        return Day(first_id(midnight), first_id(midnight + timedelta(days=1)), formats.weekday(moment))
    except (ValueError, OverflowError, OSError):
        return None


def first_id(midnight: datetime) -> str:
    """The prefix of the smallest id from this local time on."""
    digits = f"{round(midnight.astimezone().timestamp() * 1000):0{DIGITS}x}"
    return f"{digits[:8]}-{digits[8:]}"
