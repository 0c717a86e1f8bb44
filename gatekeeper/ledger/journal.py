"""The journal: the append-only log from which all that is known of calls is made.

A call writes a `begin` before its first upstream byte and an `end` when it is over; a refused call writes
its `end` only. Each is one `write`, on the event loop. What is slow happens in threads: `sync` (writes what
had to wait, rotates, makes durable), `read` (a consumer's share), `discard`.

What makes each call one row, once:

- Only durable lines are read.
- No process appends to a segment of an earlier one.
- Segments are discarded oldest first, without holes.
- Room for thousands of lines is allocated ahead. Once it cannot be renewed, the journal is `full`: what
  is left of it is for the ends of the calls that are open, and refused calls wait in memory.
- While the disk refuses even so, lines wait in memory in their order; `begin` and `end` never raise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from gatekeeper.ledger.call import START, Call, Outcome, Position, weight
from gatekeeper.ledger.segments import (
    Record,
    Segment,
    discard_segment,
    frame,
    fsync,
    records,
    records_between,
    segment_numbers,
    segment_path,
)
from gatekeeper.pricing.estimate import upper_bound_note

AHEAD = 4 << 20  # bytes of room on the disk that there should always be
RESERVE = 1 << 20  # bytes of it that no new call is to take
END = 2048  # bytes, more than most ends have, that each open call has there as well
READ = 4 << 20  # bytes of memory that the calls of one reading take, or one call more


class Journal:
    """One process's journal in `folder`/journal; holding the lock on the data folder is the caller's part.

    `begin` and `end` belong to the event loop's thread; all else blocks and may be called in any thread.
    Raises OSError where the folder or the first segment cannot be made.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = 8 << 20, backlog_bytes: int = 64 << 20) -> None:
        self.folder = folder / "journal"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._segment_bytes = segment_bytes
        self._backlog_limit = backlog_bytes
        self._old = segment_numbers(self.folder)
        # Never one that an earlier process wrote, so a torn tail harms nothing.
        self._segment = Segment(self.folder, max(self._old, default=0) + 1)
        self._retired: list[Segment] = []
        self._backlog: deque[bytes] = deque()
        self._backlog_size = 0  # bytes
        self._refused: deque[bytes] = deque()  # ends without a begin, which wait for room
        self._refused_size = 0  # bytes
        self.lost_refusals = 0
        """How many refused calls have no row, because a full disk left too many of them waiting."""
        self._open: dict[str, int] = {}  # no begin of the call lies in a segment before this one
        self._damaged: set[Position] = set()
        # The event loop waits on `_writing`, so it is held for one write at most. `_syncing` is held across
        # the slow parts; only its holder swaps or closes segments, so none is closed under an fdatasync.
        self._writing = Lock()
        self._syncing = Lock()
        self.durable = Position(self._segment.number, 0)
        """Every line before it will survive a loss of power."""
        self.fault: OSError | None = None
        """The present trouble with the disk, for readiness; None again once everything is durable."""
        self._scarce = False  # whether room could not be had
        self._try(self._reserve)

    @property
    def inherited(self) -> bool:
        """Whether earlier processes left calls that some consumer may lack."""
        return any(
            record is None or record.end is not None or record.begin is not None
            for number in self._old
            for _, record in records(self.folder, number)
        )

    @property
    def full(self) -> bool:
        """Whether new calls are to be refused, for want of room. Ends of open calls are kept all the same."""
        room = self._segment.room
        spent = self._scarce and room is not None and room < RESERVE + END * len(self._open)
        return spent or self._backlog_size >= self._backlog_limit

    @property
    def waiting_lines(self) -> int:
        """How many lines wait in memory, because there was no room for them."""
        return len(self._backlog) + len(self._refused)

    @property
    def written(self) -> Position:
        """Where the next line will be; every line before it can be read once it is durable."""
        with self._writing:
            return self._segment.end

    @property
    def damaged_lines(self) -> int:
        """How many lines with a wrong checksum or content have been met, and skipped, since the start."""
        return len(self._damaged)

    def begin(self, call: Call) -> None:
        line = frame(Record(begin=call))
        with self._writing:
            self._open[call.id] = self._segment.number
            self._put(line)

    def end(self, call: Call) -> Position | None:
        """The position after the end, None while it waits for the disk. To be called once for a call."""
        line = frame(Record(end=call))
        with self._writing:
            begun = self._open.pop(call.id, None) is not None
            if not begun and self.full:
                self._put_off(line)
                return None
            self._put(line)
            return None if self._backlog else self._segment.end

    def _put_off(self, line: bytes) -> None:
        """A refused call must not take the room of one that has been answered."""
        if self._refused_size + len(line) > self._backlog_limit:
            self.lost_refusals += 1
            return
        self._refused.append(line)
        self._refused_size += len(line)

    def _put(self, line: bytes) -> None:
        if not self._backlog:
            try:
                self._segment.append(line)
            except OSError as error:
                self.fault = error
            else:
                return
        self._backlog.append(line)
        self._backlog_size += len(line)

    def sync(self) -> None:
        """Makes durable what was written before; `fault` tells where that failed."""
        with self._syncing:
            # Each step though another failed: without room for more, what is written is made durable all the
            # same.
            done = [self._try(step) for step in (self._reserve, self._flush, self._follow, self._harden)]
            if all(done):
                self._all_well()

    def _try(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            self.fault = error
            return False
        return True

    def _reserve(self) -> None:
        self._scarce = True
        self._segment.reserve(AHEAD)
        self._scarce = False

    def rotate(self) -> None:
        """Starts a new segment unless the present one has no calls yet; `fault` tells where that failed."""
        with self._syncing:
            if self._segment.empty:
                return
            self._try(self._advance)

    def _flush(self) -> None:
        if self._segment.torn:
            self._advance()
        while self._backlog:
            with self._writing:  # anew for each line, so that the event loop gets its turn
                self._segment.append(self._backlog[0])
                self._backlog_size -= len(self._backlog.popleft())
        while self._refused and not self.full:
            with self._writing:
                self._segment.append(self._refused[0])
                self._refused_size -= len(self._refused.popleft())

    def _follow(self) -> None:
        if self._segment.size >= self._segment_bytes:
            self._advance()

    def _advance(self) -> None:
        fresh = Segment(self.folder, self._segment.number + 1)
        try:
            fresh.reserve(AHEAD)
        except OSError:
            if not self._segment.torn:  # the old one has more room than this
                fresh.close()
                raise
        with self._writing:
            self._retired.append(self._segment)
            self._segment = fresh

    def _harden(self) -> None:
        with self._writing:
            mark = self._segment.end
        if mark == self.durable:
            return
        for segment in [*self._retired, self._segment]:
            segment.harden()
        self.durable = mark
        # Closed only when their lines are durable: a failed sync has to be done again on the same file.
        while self._retired:
            self._retired.pop().close()

    def _all_well(self) -> None:
        with self._writing:
            if not self._backlog:  # otherwise a write has failed meanwhile
                self.fault = None

    def read(self, position: Position, limit: int) -> tuple[list[tuple[Position, Call]], Position]:
        """At most `limit` finished calls after `position`, or some megabytes of them, each with the position
        after it; where to go on.

        Syncs first, so what ended before is found. A position beyond the end comes from a journal that
        somebody removed: reading starts at the beginning of this one. Raises OSError, NewerJournalError.
        """
        # A consumer commits what it reads; were such an end lost with the power, the next start would find a
        # begin without an end and tell the call a second time.
        self.sync()
        durable = self.durable
        found: list[tuple[Position, Call]] = []
        size = 0
        for after, record in records_between(self.folder, self.known(position), durable):
            if record is None:
                self._damaged.add(after)
            elif record.end:
                found.append((after, record.end))
                size += weight(record.end)
                # By weight too: rows of 70 KB would make a batch of 2,000 take 140 MB.
                if len(found) == limit or size >= READ:
                    return found, after
        # Not the last call's place: lines without an end, begins above all, are passed for good.
        return found, durable

    def known(self, position: Position) -> Position:
        """The position, or the beginning where it is of a journal that is no more."""
        return position if position <= self.durable else START

    def recover(self) -> list[Call]:
        """Ends, as `interrupted`, what earlier processes began and did not end; returns those calls.

        To be called before anything else; crashing on the way and starting again changes nothing. Memory
        holds the open calls only. Raises OSError where an old segment cannot be read, NewerJournalError.
        """
        open_calls: dict[str, Call] = {}
        for number in self._old:
            fsync(segment_path(self.folder, number))  # a killed process's lines may be in memory only
            for after, record in records(self.folder, number):
                self._replay(after, record, open_calls)
        for call in open_calls.values():
            call.outcome = Outcome.INTERRUPTED
            call.usage_note = upper_bound_note(call.charged_pico)
            with self._writing:
                self._put(frame(Record(end=call)))
        return list(open_calls.values())

    def _replay(self, after: Position, record: Record | None, open_calls: dict[str, Call]) -> None:
        if record is None:
            self._damaged.add(after)
        elif record.begin:
            open_calls[record.begin.id] = record.begin
        elif record.end:
            open_calls.pop(record.end.id, None)

    def discard(self, watermarks: Iterable[Position], look: Callable[[int], None] = lambda _: None) -> None:
        """Deletes the oldest segments: those before every watermark and before any open call's begin; each
        after a last `look` at it.

        Raises OSError where one cannot be deleted.
        """
        passed = min((self.known(mark).segment for mark in watermarks), default=0)
        with self._writing:
            # An end may go only after its begin: one call that runs for hours keeps all since then.
            keep = min(passed, self._segment.number, *self._open.values())
            goal = self._segment.end
        # An end takes its call out of `_open` before it is durable; a loss of power that took the end
        # would find the begin deleted, and the call would be gone.
        self.sync()
        if not self._backlog and self.durable >= goal:
            for number in segment_numbers(self.folder):
                if number < keep:
                    look(number)
                    discard_segment(self.folder, number)

    def close(self) -> None:
        """Syncs a last time. Nothing may be written or read after it."""
        self.sync()
        for segment in [*self._retired, self._segment]:
            segment.close()
