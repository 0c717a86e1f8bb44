"""The analytics file as the event loop sees it: one question at a time, in a thread, on current rows.

The file is a projection of the journal. It is held while calls or questions come and let go after a few quiet
seconds, so that other programs can open it; while somebody else holds it, rows wait in memory and questions
are answered from those.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog
import trio

from gatekeeper.ledger.analytics import queries
from gatekeeper.ledger.analytics.messages import FileHeld, FileReplaced, FileUnusable, Found, Share
from gatekeeper.ledger.analytics.sql_query import Queries
from gatekeeper.ledger.call import START, Document, Position
from gatekeeper.ledger.consumers import Batch, Consumers
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.journal import Journal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from gatekeeper.ledger.analytics.projection import Projection

# Why the file is out of reach, to be read after "because".
HELD = "another program has the analytics file"
UNUSABLE = "the analytics file is damaged or cannot be written"

log = structlog.get_logger()

T = TypeVar("T")

PERIOD = 2.5  # seconds between two looks whether the file can be let go
QUIET = 5.0  # seconds without calls or questions, after which the file is let go
BATCH = 2000  # rows
# Characters of the rows, usually some 1,000 each, that wait in memory while somebody else has the file.
WAITING = 128 << 20
PATIENCE = 60.0  # seconds that rows may fail to move until that is more than a warning
TURN = 5.0  # seconds to wait for other processes that read the file


class Analytics:
    """All that is asked of finished calls, and the consumer that brings them into the file."""

    def __init__(self, journal: Journal, consumers: Consumers, folder: Path, timezone: str) -> None:
        self.follower = consumers.follow(self, holds=None, event="analytics_file")
        self.sums = queries.Sums(timezone)
        self.queries = Queries(self.shared, folder)
        self._journal = journal
        self._folder = folder
        self._projection: Projection | None = None
        self._read = START  # rows up to here lie in the file or wait in memory
        self._stored: Position | None = None  # rows up to here lie in the file; None until that is known
        self._one = trio.CapacityLimiter(1)
        self._busy_at = trio.current_time()
        self._lent_until = 0.0
        self._reading = trio.Lock()
        self.absence: str | None = None
        """Why the file is out of reach, so that answers lack what is in it; None while it is not."""
        self._crowded = False

    @property
    def watermark(self) -> Position:
        """The place in the journal up to which rows are known to lie in the file."""
        return self._stored or START

    async def take(self, batch: Batch) -> None:
        """Moves the rows into the file; where somebody else has it, into memory."""
        self._busy_at = trio.current_time()
        await self._in_thread(lambda: self._take(batch))

    async def run(self) -> None:
        """Lets go of the file when all is quiet; for the ledger's nursery."""
        while True:
            await trio.sleep(PERIOD)
            if self._holds and trio.current_time() - self._busy_at > QUIET:
                await self._untroubled(self._let_go)

    # Questions: the answers are over all calls that have ended by now. They raise AnalyticsError.

    async def calls(self, wanted: Filter, limit: int, before: str | None = None) -> Found[list[Document]]:
        """At most `limit` finished calls, newest (that is, highest `id`) first; see `queries.calls`."""
        return await self._ask(lambda con: queries.calls(con, wanted, limit, before))

    async def call(self, call_id: str) -> Found[Document | None]:
        """The finished call of that id, None where there is none."""
        return await self._ask(lambda con: queries.call(con, call_id))

    async def spend(
        self, by: list[str], wanted: Filter, limit: int | None, top: int | None = None
    ) -> Found[Document]:
        """Calls added up; see `queries.Sums.answer`. Raises GroupingError."""
        return await self._ask(lambda con: self.sums.answer(con, by, wanted.where(), limit, top))

    async def models(self) -> Found[list[Document]]:
        """The models that were asked for, the last used first, with their calls and known cost."""
        return await self._ask(queries.models)

    async def _ask(self, question: Callable[[DuckDBPyConnection], T]) -> Found[T]:
        self._busy_at = trio.current_time()

        def current() -> Found[T]:
            projection = self._open()
            self._catch_up(projection)
            with projection.asked() as con:
                return Found(question(con), self.absence)

        return await self._in_thread(current)

    async def sql(self, query: str, limit: int) -> bytes:
        """The JSON that answers a person's query; see `Queries.answer`. Raises QueryRefused,
        QueryUnavailable."""
        return await self.queries.answer(query, limit)

    # The file for others

    async def lend(self, seconds: float) -> bool:
        """Brings the file up to date and lets go of it for so long, or until `take_back`. False where another
        program has it already. Raises AnalyticsError."""
        async with self._reading:
            return await self._in_thread(lambda: self._lend(seconds))

    def take_back(self) -> None:
        self._lent_until = 0.0
        self.follower.hurry()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[Share]:
        """All calls for one other process to read. What comes meanwhile waits, and is in the answers here.

        Raises trio.TooSlowError where other processes read for long.
        """
        # The wait for a turn only: the query itself has a limit of its own.
        with trio.fail_after(TURN):
            await self._reading.acquire()
        try:
            self._busy_at = trio.current_time()
            yield await self._in_thread(self._share)
        finally:
            # Else a query that is given up would leave the file open for reading only, and no row could move.
            with trio.CancelScope(shield=True):
                await self._untroubled(self._unshare)
            self._reading.release()

    async def close(self) -> None:
        """Lets go of the file, whatever it takes; nothing may be asked afterwards."""
        await self._untroubled(self._let_go)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # One at a time: a DuckDB connection belongs to one thread, and so does what waits beside it.
        return await trio.to_thread.run_sync(work, limiter=self._one)

    async def _untroubled(self, work: Callable[[], None]) -> None:
        """Trouble in letting go of the file is nobody's; if there is more to it, the next `take` tells."""
        try:
            await self._in_thread(work)
        except Exception as problem:  # noqa: BLE001  whatever the disk or DuckDB does, serving goes on
            log.warning("analytics_file_not_let_go", problem=type(problem).__name__, detail=str(problem))
            self.follower.hurry()

    # What readiness tells

    @property
    def stuck(self) -> str | None:
        """Why the ledger is behind for so long that somebody must do something."""
        if self._crowded:
            return "too many calls wait for the analytics file: answers lack the latest ones"
        if trio.current_time() - self.follower.attempts.failing_since > PATIENCE:
            return f"no call could be moved into the analytics file for over {PATIENCE:g} seconds"
        return None

    @property
    def _holds(self) -> bool:
        return self._projection is not None and self._projection.awake

    # In the thread

    def _open(self) -> Projection:
        if self._projection is None:
            # Here and not above: DuckDB takes time and memory, and an idle gateway should take little.
            from gatekeeper.ledger.analytics.projection import Projection

            self._projection = Projection(self._folder)
        if self._is_lent():
            self.absence = HELD
        else:
            self._attach(self._projection)
        return self._projection

    def _attach(self, projection: Projection) -> None:
        try:
            projection.attach()
        except FileHeld:
            self.absence = HELD
            return
        except FileUnusable:
            self.absence = UNUSABLE
            return
        except FileReplaced as replaced:
            self._start_over(projection, str(replaced))
        # Somebody has mended it: rows that wait need not wait for the pause to end.
        if self.absence == UNUSABLE:
            self.follower.hurry()
        self.absence = None
        self._align(projection)

    def _start_over(self, projection: Projection, why: str) -> None:
        """Reads again what the journal still has: it forgets what is in the file, so calls may be missing."""
        calls = projection.start_over()
        self._read = self._stored = projection.watermark() or START
        log.error(
            "analytics_file_replaced", detail=why, calls_in_it=calls, journal_read_again_from=self._read
        )

    def _align(self, projection: Projection) -> None:
        """Reads on where the file left off, or from the journal's beginning if the file is of a journal that
        is no more."""
        watermark = projection.watermark()
        if watermark is None:
            return
        if watermark > self._journal.durable:
            projection.rewind()
            if self._stored is not None:  # there was another file before
                self._start_over(projection, "the file is of another journal")
        else:
            self._read = max(self._read, watermark)
            self._stored = max(self._stored or START, watermark)

    def _is_lent(self) -> bool:
        return time.monotonic() < self._lent_until

    def _catch_up(self, projection: Projection) -> None:
        # Fixed here: under load the journal's end moves on, and a question would never be asked.
        goal = self._journal.written
        while projection.waiting_size < WAITING:
            batch, position = self._journal.read(self._read, BATCH)
            projection.add(batch)
            stands_still, self._read = position == self._read, position
            if stands_still or position >= goal:
                break
        self._crowded = projection.waiting_size >= WAITING

    def _take(self, batch: Batch) -> None:
        projection = self._open()
        # Another file may have been found: then reading starts anew, before this batch.
        if batch.start <= self._read:
            projection.add(batch.calls)
            self._read = max(self._read, batch.end)
        if self._is_lent() or projection.move() is None:  # somebody else has the file
            self._catch_up(projection)
        else:
            # Not the file's own watermark, which is that of its last row: lines without a row may follow.
            self._stored = self._read
            self._crowded = False

    def _share(self) -> Share:
        projection = self._open()
        self._catch_up(projection)
        attached = not self._is_lent() and projection.share()
        rows, all_of_them = projection.first_waiting()
        return Share(attached, rows, None if attached and all_of_them else self.absence or HELD)

    def _unshare(self) -> None:
        if self._projection is not None:
            self._projection.unshare()
        self.follower.hurry()

    def _lend(self, seconds: float) -> bool:
        projection = self._open()
        self._catch_up(projection)
        if projection.move() is None:
            return False
        self._lent_until = time.monotonic() + seconds
        projection.release()
        return True

    def _let_go(self) -> None:
        if self._projection is not None:
            self._projection.release()
