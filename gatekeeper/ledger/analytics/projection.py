"""The calls on their way from the journal into the analytics file.

Calls arrive from the journal with their positions, wait in memory, and move to the file in transactions
that move the file's watermark along. So each is there once, whatever dies when: what was lost before the
commit is read from the journal again, and what is offered again is skipped. While another program holds the
file (DuckDB locks it) everything goes on without it: the view `calls` is what the file has, and what waits.

There is a DuckDB instance only while it is needed, for it costs memory; `release` ends it and with it the
lock. What waits lies outside, so nothing is lost with an instance that broke: the next use starts another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import duckdb
import structlog
from duckdb import DuckDBPyConnection

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.analytics import messages
from gatekeeper.ledger.analytics.database import Database
from gatekeeper.ledger.analytics.messages import (
    AnalyticsError,
    FileHeld,
    FileReplaced,
    FileUnusable,
    RowsRefused,
)
from gatekeeper.ledger.call import START, Call, Position

log = structlog.get_logger()


class Projection:
    """All of it blocks, and belongs to one thread at a time.

    Questions see the file only while it is attached, and always what waits.
    """

    def __init__(self, folder: Path, memory: str = "512MB") -> None:
        self._folder = folder.resolve()
        self._memory = memory
        self._read_only = False
        self._database: Database | None = None
        self._queue = Waiting()
        self._loaded = 0  # so many of the queue, from the first, are in the instance's table `pending`
        self._known = START

    @property
    def waiting(self) -> int:
        """How many calls are not in the file."""
        return len(self._queue)

    @property
    def waiting_size(self) -> int:
        """How many characters of memory they take."""
        return self._queue.size

    @property
    def awake(self) -> bool:
        """Whether there is something to be let go."""
        return self._database is not None

    # The file

    def attach(self) -> None:
        """Holds the file until `release`; makes it if there is none.

        Raises FileHeld, FileUnusable, FileReplaced.
        """
        if self._database and self._database.is_lost():
            log.error("analytics_file_was_deleted", calls=self._database.count())
            self.release()
        try:
            self._running().attach(read_only=self._read_only)
        except FileUnusable:
            self.release()
            raise
        mark = self.watermark() or START
        if mark < self._known:
            raise FileReplaced(
                f"{ANALYTICS_FILE} lacks calls that were in it: it was deleted, or an old copy was put back"
            )
        self._known = mark

    def start_over(self) -> int:
        """Takes a file that was replaced for what it is; returns how many calls are in it. Those after its
        watermark are to be added again.

        Raises FileUnusable.
        """
        self._known = mark = self.watermark() or START
        self._running().forget()
        self._queue.begin_at(mark)
        self._loaded = 0
        return self._running().count()

    def release(self) -> None:
        """Lets go of the file and of DuckDB's memory; the next use takes both again."""
        if self._database:
            self._database.close()
        self._database = None
        self._loaded = 0

    def watermark(self) -> Position | None:
        """The position in the journal up to which calls are in the file; None while it is not attached."""
        return self._database.watermark if self._database else None

    def rewind(self) -> None:
        """The journal was removed and its positions start anew: so does the attached file's watermark.

        To be called when the watermark lies beyond the journal's end. Raises FileUnusable.
        """
        self._running().rewind()
        self._known = START

    def share(self) -> bool:
        """Brings the file up to date and opens it for reading only, as any number of processes then may; no
        rows move to it until `unshare`. Whether that was possible."""
        with suppress(AnalyticsError):
            self.move()
        self._reopen(read_only=True)
        with suppress(AnalyticsError):
            self.attach()
        return self.watermark() is not None

    def unshare(self) -> None:
        self._reopen(read_only=False)

    def _reopen(self, *, read_only: bool) -> None:
        """Lets go of the file, so that the next use opens it in this way."""
        self._read_only = read_only
        try:
            if self._database:
                self._database.detach()
        except FileUnusable:
            self.release()

    # In

    def add(self, batch: list[tuple[Position, Call]]) -> None:
        """Takes finished calls in the journal's order; they can be asked for at once.

        What was added before is skipped, so a reader that starts anew may offer it again.
        """
        self._queue.add(batch)

    def move(self) -> Position | None:
        """Moves what waits to the file, attaching it if need be; the watermark, or None where it is held.

        Raises FileUnusable, FileReplaced; what was not committed by then waits on.
        """
        if self._read_only:
            return None
        try:
            self.attach()
            return self._move_all()
        except FileHeld:
            return None
        except FileUnusable:
            self.release()
            raise

    def _move_all(self) -> Position | None:
        """A portion that DuckDB refuses is tried again by halves, until the row is found that is to blame."""
        most = PORTION
        while portion := self._queue.portion(0, most):
            database = self._running()
            try:
                self._known = database.append(joined(portion), portion[-1].position)
            except RowsRefused as refusal:
                self._begin_anew()
                most = self._halved(portion, refusal)
            else:
                self._queue.drop(len(portion))
        if self._loaded:
            self._running().forget()
            self._loaded = 0
        self.attach()  # once more: rows that went into a file which was deleted meanwhile are nowhere
        return self.watermark()

    def _begin_anew(self) -> None:
        """With another instance, for nobody knows what state this one is in. Raises AnalyticsError where the
        file takes no row at all, so that none is to blame."""
        self.release()
        self.attach()
        self._running().append("[]", START)

    def _halved(self, portion: list[Row], refusal: Exception) -> int:
        """How many rows to try next. One that is refused all by itself loses its texts."""
        if len(portion) > 1:
            return len(portion) // 2
        position, item = portion[0]
        if not self._queue.strip():
            raise refusal
        log.warning("row_stored_without_its_texts", position=position, size=len(item), detail=str(refusal))
        return PORTION

    def _load(self, database: Database) -> None:
        while portion := self._queue.portion(self._loaded):
            database.load(joined(portion))
            self._loaded += len(portion)

    # Out

    def first_waiting(self) -> tuple[str, bool]:
        """A portion of the rows that wait, as `Database.load` takes it, and whether that is all of them."""
        portion = self._queue.portion()
        return joined(portion), len(portion) == self.waiting

    @contextmanager
    def asked(self) -> Generator[DuckDBPyConnection]:
        """The connection for one question, with all that waits loaded: the view `calls` has every call.

        Raises AnalyticsError out of it; an instance that fails a question is done with.
        """
        database = self._running()
        try:
            self._load(database)
            with database.asked() as con:
                yield con
        except duckdb.Error as error:
            self.release()
            raise AnalyticsError(database.without_path(str(error))) from None

    def _running(self) -> Database:
        self._database = self._database or Database(self._folder, self._memory)
        return self._database


# Rows, and characters of them, of one INSERT: a day's worth at once would need many times its size in memory.
PORTION = 5_000
PORTION_SIZE = 8 << 20


class Row(NamedTuple):
    """A call's position, and its row as JSON."""

    position: Position
    item: str


class Waiting:
    """A queue of rows. `size` is how many characters they have."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._last = START
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, batch: list[tuple[Position, Call]]) -> None:
        """In the journal's order. What was added before is skipped."""
        for position, call in batch:
            if position > self._last:
                self._last = position
                row = Row(position, messages.encode(position, call))
                self._rows.append(row)
                self.size += len(row.item)

    def portion(self, start: int = 0, most: int = PORTION) -> list[Row]:
        portion: list[Row] = []
        size = 0
        for row in islice(self._rows, start, start + most):
            portion.append(row)
            size += len(row.item)
            if size >= PORTION_SIZE:
                break
        return portion

    def drop(self, count: int) -> None:
        """The first so many are in the file."""
        for _ in range(count):
            self.size -= len(self._rows.popleft().item)

    def strip(self) -> bool:
        """Takes the texts out of the first row; whether it had any."""
        position, item = self._rows[0]
        bare = messages.without_texts(item)
        self._rows[0] = Row(position, bare)
        self.size += len(bare) - len(item)
        return bare != item

    def begin_at(self, position: Position) -> None:
        """Forgets all rows; what follows `position` will be added anew."""
        self._rows.clear()
        self.size = 0
        self._last = position


def joined(portion: list[Row]) -> str:
    return f"[{','.join(row.item for row in portion)}]"
