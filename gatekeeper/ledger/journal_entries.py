"""The entries of the journal, in batches for its consumers: the latest ones from memory, without reading and
decoding; older ones, and after a start, from the files. `consumers` runs the consumers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from gatekeeper.ledger.call import Amendment, CallRecord, JournalEntry, Position, memory_size
from gatekeeper.ledger.segments import records_between

Entries = list[tuple[Position, JournalEntry]]
"""Finished calls and amendments, each with the position after it."""

_position = itemgetter(0)

READ_BATCH_BYTES = 4 << 20  # bytes of memory for the calls of one batch, plus at most one call


class Batch(NamedTuple):
    """The finished calls and the amendments between two positions of the journal, each with the position
    after it. An amendment comes after its call, maybe in an earlier batch. The objects are shared, and must
    not be changed."""

    start: Position
    entries: list[tuple[Position, JournalEntry]]
    end: Position

    @property
    def calls(self) -> list[tuple[Position, CallRecord]]:
        return [(position, entry) for position, entry in self.entries if isinstance(entry, CallRecord)]

    @property
    def amendments(self) -> list[Amendment]:
        return [entry for _, entry in self.entries if isinstance(entry, Amendment)]


class Consumer(Protocol):
    """A reader of the journal. `consume` makes a batch and the consumer's watermark durable in one
    transaction, so that each call is stored exactly once, whenever the process crashes."""

    @property
    def watermark(self) -> Position:
        """The position up to which it has consumed every call; `START` for none."""
        ...

    async def consume(self, batch: Batch) -> None:
        """Stores a batch, which follows its watermark; the watermark becomes the batch's end.

        If it raises, the same calls are offered again after a growing delay. If it leaves the watermark
        unchanged ("not now"), they are offered again in the next round."""
        ...


class RecentEntries:
    """A cache of the calls and amendments of the journal from `start` on, the objects themselves.

    It holds at most as many as have `max_bytes` of lines; the oldest are dropped. Call events reference the
    same objects, so it takes little memory of its own. Not to be used by two threads at the same time.
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
        """Drops all entries, because one before `start` was written without being added."""
        self._entries.clear()
        self._size, self.start = 0, start

    def drop_until(self, position: Position) -> list[object]:
        """Drops the entries up to `position`, which every consumer has read, and returns them: freeing
        thousands takes some time, and must not delay the event loop."""
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


def read_entries(
    folder: Path, start: Position, stop: Position, limit: int, damaged: set[Position]
) -> tuple[Entries, Position]:
    """At most `limit` ends and amendments from `start` to `stop`, or `READ_BATCH_BYTES` of them, and the
    position to continue from. Adds the positions of damaged lines. Raises OSError, NewerJournalError."""
    found: Entries = []
    size = 0
    for after, record in records_between(folder, start, stop):
        if record is None:
            damaged.add(after)
        elif entry := record.entry:
            found.append((after, entry))
            size += memory_size(entry.call if isinstance(entry, Amendment) else entry)
            # Limited by memory too: a batch of 2,000 rows of 70 KB would take 140 MB.
            if len(found) == limit or size >= READ_BATCH_BYTES:
                return found, after
    return found, stop
