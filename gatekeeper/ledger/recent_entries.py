"""The entries that were written last, for consumers that keep up: they need not read and decode the files."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import itemgetter

from gatekeeper.ledger.call import JournalEntry, Position

Entries = list[tuple[Position, JournalEntry]]
"""Finished calls and amendments, each with the position after it."""

_position = itemgetter(0)


class RecentEntries:
    """The calls and amendments of the journal from `start` on, as the objects that were written.

    At most as many as have `max_bytes` of lines: the oldest are dropped. The events of live calls hold the
    same objects, so they take little memory of their own. Not to be used by two threads at the same time.
    """

    def __init__(self, start: Position, max_bytes: int) -> None:
        self.start = start
        self._entries: deque[tuple[Position, JournalEntry, int]] = deque()
        self._size = 0
        self._max_bytes = max_bytes

    def add(self, after: Position, entry: JournalEntry, size: int) -> Position:
        """`size`: the bytes of its line. Returns `after`."""
        self._entries.append((after, entry, size))
        self._size += size
        while self._size > self._max_bytes:
            self._drop_first()
        return after

    def restart(self, start: Position) -> None:
        """Drops all, because something was written before `start` that was not added."""
        self._entries.clear()
        self._size, self.start = 0, start

    def drop_until(self, position: Position) -> list[object]:
        """Drops those that nobody will read any more, and returns them: to free thousands takes a while, for
        which the event loop should not have to wait."""
        return [self._drop_first() for _ in range(bisect_right(self._entries, position, key=_position))]

    def _drop_first(self) -> object:
        self.start, entry, size = self._entries.popleft()
        self._size -= size
        return entry

    def read(self, position: Position, stop: Position, limit: int) -> tuple[Entries, Position] | None:
        """At most `limit` entries between two positions, and the position to continue from; None if some of
        them may have been dropped."""
        if position < self.start:
            return None
        first = bisect_right(self._entries, position, key=_position)
        end = bisect_right(self._entries, stop, lo=first, key=_position)
        found = [entry[:2] for entry in islice(self._entries, first, min(end, first + limit))]
        # Not the last call's position: lines without an end, mostly begins, need not be read again.
        return found, stop if first + limit >= end else found[-1][0]
