"""The calls that a log holds: the newest of them, each once, oldest first, at most so many, with a rule
where a day of the local calendar begins.

Pure. Calls are ordered by id (UUID version 7: by their start), so that what is read from the ledger after a
gap finds its place between what was seen live. A finished call replaces its running self, never the reverse.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from rich.segment import Segment

from gatekeeper.client import formats
from gatekeeper.client.api_types import Call

PLACE = attrgetter("place")
# `~` sorts after every hexadecimal digit and a blank before: a mark stands behind the call whose id it
# continues, or before them all.
AFTER, BEFORE = "~", " "
# Where the digit of a UUID's version stands, and how many digits of it are its time. The first 48 bits of one
# of version 7 are the milliseconds since 1970 (RFC 9562, 5.7).
VERSION = slice(14, 15)
DIGITS = 12


class Line:
    """A call, the beginning of a day, or a mark (gap, lost connection) at its place; in `drawn` the view
    remembers its looks."""

    # Without a dictionary each: a log holds thousands.
    __slots__ = ("call", "drawn", "is_day", "place", "text")

    def __init__(self, place: str, call: Call | None = None, text: str = "", is_day: bool = False) -> None:
        self.place = place
        self.call = call
        self.text = text
        self.is_day = is_day
        self.drawn: tuple[object, list[Segment]] | None = None

    @property
    def in_flight(self) -> bool:
        return self.call is not None and self.call.outcome is None


class Ring:
    """At most `capacity` lines; when there are more, the oldest go."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lines: list[Line] = []
        self._by_id: dict[str, Line] = {}
        self._days: set[str] = set()
        self._day: Day | None = None
        self.trimmed = False
        """Whether older lines were let go."""

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Line:
        return self._lines[index]

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def index(self, line: Line) -> int:
        """Where it stands; where it would, if it has gone."""
        return bisect_left(self._lines, line.place, key=PLACE)

    def after(self, place: str) -> int:
        """How many calls stand behind this place."""
        return sum(
            line.call is not None for line in self._lines[bisect_right(self._lines, place, key=PLACE) :]
        )

    def get(self, id: str) -> Line | None:  # noqa: A002 - the contract's name
        """The line of this call, if it is held."""
        return self._by_id.get(id)

    @property
    def calls(self) -> int:
        return len(self._by_id)

    def add(self, calls: Iterable[Call]) -> int:
        """Takes calls in, in any order; the number of those that were not held before."""
        return sum(self._take(call) for call in calls)

    def mark(self, text: str) -> None:
        """A line that is no call, behind all that is held now."""
        last = self._lines[-1].place if self._lines else BEFORE
        self._insert(Line(last + AFTER, text=text))

    def drop(self, id: str) -> None:  # noqa: A002 - the contract's name
        """Lets go of a call, and of the day that it leaves empty."""
        if line := self._by_id.pop(id, None):
            index = self.index(line)
            empty = index and self._lines[index - 1].is_day and self._is_end_of_day(index + 1)
            self._forget(index - bool(empty), index + 1)

    def _is_end_of_day(self, index: int) -> bool:
        return index == len(self._lines) or self._lines[index].is_day

    def _forget(self, start: int, end: int) -> None:
        for line in self._lines[start:end]:
            self._days.discard(line.place)
        del self._lines[start:end]
        # It may be the day whose rule has just gone.
        self._day = None

    def trim(self) -> int:
        """Lets the oldest go; their number. Apart from `add`, so that a batch is trimmed once."""
        surplus = max(len(self._lines) - self.capacity, 0)
        # Their days stay known: a rule that was let go does not come back.
        for line in self._lines[:surplus]:
            if line.call:
                del self._by_id[line.call.id]
        del self._lines[:surplus]
        self.trimmed = self.trimmed or surplus > 0
        return surplus

    def _take(self, call: Call) -> bool:
        line = self._by_id.get(call.id)
        if line is None:
            line = self._by_id[call.id] = Line(call.id, call)
            self._begin_day(call.id)
            self._insert(line)
            return True
        # What the stream told late must not make a call that has ended run again.
        if call.outcome is not None or line.in_flight:
            line.call, line.drawn = call, None
        return False

    def _begin_day(self, id: str) -> None:  # noqa: A002 - the contract's name
        """A rule before the first call of its day. One that was trimmed does not come back."""
        # Calls mostly come in order, so that the last one's day is most likely this one's.
        if self._day and self._day.first <= id < self._day.next:
            return
        self._day = day_of(id)
        if self._day and self._day.first not in self._days:
            self._days.add(self._day.first)
            self._insert(Line(self._day.first, text=self._day.title, is_day=True))

    def _insert(self, line: Line) -> None:
        # Nearly always the newest: then nothing has to be looked for or moved.
        if not self._lines or self._lines[-1].place < line.place:
            self._lines.append(line)
        else:
            self._lines.insert(self.index(line), line)


@dataclass(frozen=True, slots=True)
class Day:
    """Its ids are not before `first`, which is how they begin and sorts before each, but before `next`."""

    first: str
    next: str
    title: str


def day_of(id: str) -> Day | None:  # noqa: A002 - the contract's name
    """The day in which a call started; None where the id does not tell."""
    try:
        if id[VERSION] != "7":
            return None
        moment = datetime.fromtimestamp(int(id.replace("-", "")[:DIGITS], 16) / 1000).astimezone()
        # Without a zone, so that a day of 23 or 25 hours ends at its own midnight.
        midnight = moment.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        return Day(first_id(midnight), first_id(midnight + timedelta(days=1)), formats.weekday(moment))
    except (ValueError, OverflowError, OSError):
        return None


def first_id(midnight: datetime) -> str:
    """How ids begin that are given from this local time on."""
    digits = f"{round(midnight.astimezone().timestamp() * 1000):0{DIGITS}x}"
    return f"{digits[:8]}-{digits[8:]}"
