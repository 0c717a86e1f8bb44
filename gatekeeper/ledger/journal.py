"""The journal: an append-only log of calls, of which keys' spend and the analytics file are projections.

A call writes a `begin` before it waits or goes upstream, and an `end` when it ends; a refused call, and a
charge without a request, writes only an `end`. An `amend` completes the row of an ended call. Each is a
`write` on the event loop. Slow work is in threads: `sync` (backlog, rotation, fdatasync), `read`, `discard`.

Each call becomes exactly one row, whatever fails. Disk space for thousands of lines is preallocated. When
that fails the journal is `full`: the rest is reserved for the ends of open calls, and refused calls wait in
memory. If writing fails even so, lines wait in memory; `begin` and `end` never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from gatekeeper.ledger.call import START, Amendment, CallRecord, JournalEntry, Outcome, Position
from gatekeeper.ledger.journal_entries import Entries, RecentEntries, read_entries
from gatekeeper.ledger.journal_record import JournalRecord, encode_amend, encode_begin, encode_end
from gatekeeper.ledger.segments import (
    Segment,
    UnwrittenLines,
    discard_segment,
    earlier_segments,
    fsync,
    records,
    segment_numbers,
    segment_path,
)
from gatekeeper.pricing.cost_notes import reserved_note

PREALLOCATE_BYTES = 4 << 20  # bytes of disk space to keep available
RESERVED_BYTES = 1 << 20  # bytes of it that no new call may use
END_RECORD_BYTES = 2048  # bytes reserved for the end of each open call; most ends are shorter


class Journal:
    """One process's journal in `folder`/journal; the caller holds the lock of the data folder. `begin`, `end`
    and `amend` are for the event loop's thread; all other methods block, and may be called in any thread.
    Raises OSError if the folder or the first segment cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 8 << 20,
        backlog_bytes: int = 64 << 20,
        recent_bytes: int = 8 << 20,
    ) -> None:
        self.folder = folder / "journal"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._segment_bytes = segment_bytes
        self._backlog_limit = backlog_bytes
        self._earlier_segments = earlier_segments(self.folder)
        # Never one of an earlier process, so its torn last line, if any, does no harm.
        self._segment = Segment(self.folder, max(self._earlier_segments, default=0) + 1)
        self._full_segments: list[Segment] = []
        self._recent = RecentEntries(self._segment.end, recent_bytes)
        self._backlog = UnwrittenLines()
        self._deferred = UnwrittenLines()  # ends without a begin, which wait for space
        self.lost_refused_calls = 0
        """How many refused calls have no row, because too many had to wait in memory while the disk was
        full."""
        self._open: dict[str, int] = {}  # call id to segment: the begin is in that one or a later one
        self._damaged: set[Position] = set()
        # The event loop waits on `_writing`, so it is held for one write at most. `_syncing` is held across
        # the slow parts; only its holder swaps or closes segments, so none is closed under an fdatasync.
        self._writing = Lock()
        self._syncing = Lock()
        self.durable_position = Position(self._segment.number, 0)
        """Every line before it survives a power failure."""
        self.error: OSError | None = None
        """The current write error, for readiness; None once everything is durable."""
        self._allocation_failed = False
        self._try(self._preallocate)

    @property
    def has_earlier_records(self) -> bool:
        """Whether segments of earlier processes have calls, which some consumer may lack."""
        return any(
            record is None or bool(record.begin or record.entry)
            for number in self._earlier_segments
            for _, record in records(self.folder, number)
        )

    @property
    def full(self) -> bool:
        """Whether new calls must be refused for lack of space. Ends of open calls are still recorded."""
        free, needed = self._segment.free_bytes, RESERVED_BYTES + END_RECORD_BYTES * len(self._open)
        spent = self._allocation_failed and free is not None and free < needed
        return spent or self._backlog.size >= self._backlog_limit

    @property
    def pending_lines(self) -> int:
        """How many lines wait in memory because they could not be written."""
        return len(self._backlog) + len(self._deferred)

    @property
    def write_position(self) -> Position:
        """The position of the next line; every line before it can be read once it is durable."""
        with self._writing:
            return self._segment.end

    @property
    def damaged_lines(self) -> int:
        """How many lines with a wrong checksum or content were skipped since the start."""
        return len(self._damaged)

    def begin(self, call: CallRecord) -> None:
        line = encode_begin(call)
        with self._writing:
            self._open[call.id] = self._segment.number
            self._append(line)

    def end(self, call: CallRecord) -> Position | None:
        """Returns the position after the line, None if it was not written yet. To be called once per call,
        which must not be changed afterwards."""
        line = encode_end(call)
        with self._writing:
            # The end of a call with a `begin` has reserved space (`full`), which no other line may use.
            begun = self._open.pop(call.id, None) is not None
            if not begun and self.full:
                self._defer(line)
                return None
            return self._append(line, call)

    def amend(self, amendment: Amendment) -> None:
        line = encode_amend(amendment)
        with self._writing:
            self._append(line, amendment)

    def _defer(self, line: bytes) -> None:
        """Keeps the end of a refused call in memory: it must not use the space reserved for open calls."""
        if self._deferred.size + len(line) > self._backlog_limit:
            self.lost_refused_calls += 1
        else:
            self._deferred.add(line)

    def _append(self, line: bytes, entry: JournalEntry | None = None) -> Position | None:
        """Returns the position after an entry that was written."""
        # After the waiting lines: consumers get lines in order, an amendment after its call.
        if not self._backlog:
            try:
                self._segment.append(line)
            except OSError as error:
                self.error = error
            else:
                return None if entry is None else self._recent.add(self._segment.end, entry, len(line))
        self._backlog.add(line)
        return None

    def sync(self) -> None:
        """Makes everything written before durable; on failure sets `error`."""
        with self._syncing:
            # Every step, even if another one failed: written lines are made durable even if the disk is full.
            steps = (self._preallocate, self._flush, self._rotate_if_full, self._fdatasync)
            done = [self._try(step) for step in steps]
            if all(done):
                self._clear_error()

    def _try(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            self.error = error
            return False
        return True

    def _preallocate(self) -> None:
        try:
            self._segment.preallocate(PREALLOCATE_BYTES)
        except OSError:
            self._allocation_failed = (
                True  # set afterwards: preallocating may take long, and new calls read this flag
            )
            raise
        self._allocation_failed = False

    def _flush(self) -> None:
        if self._segment.torn:
            self._open_next_segment()
        while self._backlog:
            self._append_waiting(self._backlog)
        while self._deferred and not self.full:
            self._append_waiting(self._deferred)

    def _append_waiting(self, lines: UnwrittenLines) -> None:
        with self._writing:  # for each line, so that the event loop need not wait for all
            lines.append_first(self._segment)
            self._recent.restart(self._segment.end)  # the line's call is only in the file

    def _rotate_if_full(self) -> None:
        if self._segment.size >= self._segment_bytes:
            self._open_next_segment()

    def _open_next_segment(self) -> None:
        fresh = Segment(self.folder, self._segment.number + 1)
        try:
            fresh.preallocate(PREALLOCATE_BYTES)
        except OSError:
            if not self._segment.torn:  # the old one has more space left
                fresh.close()
                raise
        with self._writing:
            self._full_segments.append(self._segment)
            self._segment = fresh

    def _fdatasync(self) -> None:
        with self._writing:
            mark = self._segment.end
        if mark == self.durable_position:
            return
        for segment in [*self._full_segments, self._segment]:
            segment.fdatasync()
        self.durable_position = mark
        # Closed only once durable: a failed sync must be repeated on the same descriptor.
        while self._full_segments:
            self._full_segments.pop().close()

    def _clear_error(self) -> None:
        with self._writing:
            if not self._backlog:  # otherwise another write has failed meanwhile
                self.error = None

    def read(self, position: Position, limit: int) -> tuple[Entries, Position]:
        """At most `limit` ends and amendments after `position`, or `READ_BATCH_BYTES` of them, each with the
        position after it; and the position to continue from. The objects must not be changed.

        Syncs first, so all calls that ended before are found. A position beyond the end belongs to a journal
        that was removed: reading starts at the beginning of this one. Raises OSError, NewerJournalError.
        """
        # A consumer commits what it reads: if such an end were lost in a power failure, the next start would
        # record the call twice.
        self.sync()
        durable, position = self.durable_position, self.clamp(position)
        with self._writing:
            found = self._recent.read(position, durable, limit)
        return found or read_entries(self.folder, position, durable, limit, self._damaged)

    def clamp(self, position: Position) -> Position:
        """The position, or `START` if it belongs to a journal that was deleted."""
        return position if position <= self.durable_position else START

    def recover(self) -> list[CallRecord]:
        """Ends, as `interrupted`, the calls that earlier processes began and did not end; returns them.

        To be called before anything else. Idempotent, also after a crash in between. Only the open calls are
        held in memory. Raises OSError if an old segment cannot be read, NewerJournalError.
        """
        open_calls: dict[str, CallRecord] = {}
        for number in self._earlier_segments:
            fsync(segment_path(self.folder, number))  # a killed process's lines may be in the page cache only
            for after, record in records(self.folder, number):
                self._replay(after, record, open_calls)
        for call in open_calls.values():
            call.outcome = Outcome.INTERRUPTED
            call.usage_note = reserved_note(call.charged_pico)
            with self._writing:
                self._append(encode_end(call), call)
        return list(open_calls.values())

    def _replay(
        self, after: Position, record: JournalRecord | None, open_calls: dict[str, CallRecord]
    ) -> None:
        if record is None:
            self._damaged.add(after)
        # A call's later begin knows more of it (`Ledger.update_begin`).
        elif record.begin:
            open_calls[record.begin.id] = record.begin
        elif record.end:
            open_calls.pop(record.end.id, None)

    def discard(
        self, watermarks: Iterable[Position], before_delete: Callable[[int], None] = lambda _: None
    ) -> None:
        """Deletes the oldest segments: those before every watermark and before any open call's begin, each
        after `before_delete` with its number. Raises OSError if one cannot be deleted."""
        passed = min(map(self.clamp, watermarks), default=START)
        with self._writing:
            dropped = self._recent.drop_until(passed)
            # The begin of an open call must stay: a call of hours retains all segments since.
            keep = min(passed.segment, self._segment.number, *self._open.values())
            goal = self._segment.end
        del dropped  # now that the event loop may write
        # An ended call is not in `_open`, but its line is not durable yet: it could be lost with its begin.
        self.sync()
        if not self._backlog and self.durable_position >= goal:
            # Oldest first: a begin that outlives its end, by a crash in between, would make a second row.
            for number in segment_numbers(self.folder):
                if number < keep:
                    before_delete(number)
                    discard_segment(self.folder, number)

    def close(self) -> None:
        """Syncs and closes. Nothing may be written or read afterwards."""
        self.sync()
        for segment in [*self._full_segments, self._segment]:
            segment.close()
