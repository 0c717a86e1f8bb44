"""Runs queries and flushes on the analytics file, one at a time in a worker thread, on current rows.

The file is a projection of the journal. It is open while there are calls or queries, and closed after
`IDLE_CLOSE_SECONDS`, so that other programs can open it; while another program has it locked, rows wait in
memory and queries see only those.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import trio

from gatekeeper.ledger.analytics import call_pages, queries
from gatekeeper.ledger.analytics.call_pages import NEWEST_FIRST, Order
from gatekeeper.ledger.analytics.messages import (
    AnalyticsResult,
    FileLocked,
    FileReplaced,
    FileUnusable,
    SharedSnapshot,
)
from gatekeeper.ledger.analytics.sql_query import SqlRunner
from gatekeeper.ledger.call import START, Document, Position
from gatekeeper.ledger.consumers import Consumers
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import Batch
from gatekeeper.logs import log
from gatekeeper.runtime import drop_executable_pages

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from gatekeeper.ledger.analytics.projection import Projection

# Why the file cannot be read; shown to clients as `partial_reason`.
LOCKED_BY_OTHER = "another program has the analytics file"
LENT = "the analytics file is lent to another program; POST /sql/return ends that"
UNUSABLE = "the analytics file is damaged or cannot be written"

T = TypeVar("T")

CLOSE_CHECK_INTERVAL = 2.5  # seconds between two checks whether the file can be closed
IDLE_CLOSE_SECONDS = 5.0  # seconds without calls or queries, after which the file is closed
BATCH_ROWS = 5000  # rows, or as many as `Journal.read` returns
# Characters of the rows, usually some 1,000 each, that wait in memory while the file is locked.
MAX_PENDING_CHARS = 128 << 20
STALL_SECONDS = 60.0  # seconds without a successful flush, after which the gateway is not ready
SHARE_TIMEOUT = 5.0  # seconds that a query waits for another one that reads the file


class Analytics:
    """Queries on finished calls, and the consumer that moves them into the file."""

    def __init__(self, journal: Journal, consumers: Consumers, folder: Path, timezone: str) -> None:
        self.subscription = consumers.subscribe(self, retention_bytes=None, event="analytics_write")
        self.sums = queries.Sums(timezone)
        self.sql_runner = SqlRunner(self.shared, folder)
        self._journal = journal
        self._folder = folder
        self._projection: Projection | None = None
        self._read_position = START  # rows up to here are in the file or in memory
        self._stored_position: Position | None = None  # rows up to here are in the file; None if unknown
        self._limiter = trio.CapacityLimiter(1)
        self._last_activity = trio.current_time()
        self._lent_until = 0.0
        self._share_lock = trio.Lock()
        self.missing_reason: str | None = None
        """Why the file cannot be read, so that results lack its calls; None while it can."""
        self._backlog_full = False

    @property
    def watermark(self) -> Position:
        """The position in the journal up to which rows are known to be in the file."""
        return self._stored_position or START

    async def consume(self, batch: Batch) -> None:
        """Moves the rows into the file or, while another program has it locked, into memory."""
        self._last_activity = trio.current_time()
        await self._in_thread(lambda: self._consume(batch))

    async def run(self) -> None:
        """Closes the file when it is idle; for the ledger's nursery."""
        while True:
            await trio.sleep(CLOSE_CHECK_INTERVAL)
            if self._is_open and trio.current_time() - self._last_activity > IDLE_CLOSE_SECONDS:
                await self._log_errors(lambda: self._close_file(idle=True))

    # Queries: on all calls that have ended by now. They raise AnalyticsError.

    async def calls(
        self, wanted: Filter, limit: int, cursor: str | None = None, order: Order = NEWEST_FIRST
    ) -> AnalyticsResult[list[Document]]:
        """At most `limit` finished calls; see `call_pages.page_of_calls`."""
        return await self.query(lambda con: call_pages.page_of_calls(con, wanted, limit, cursor, order))

    async def call(self, call_id: str) -> AnalyticsResult[Document | None]:
        """See `queries.call`."""
        return await self.query(lambda con: queries.call(con, call_id))

    async def chain(self, call_id: str) -> Document:
        """The long decode that a finished call is part of; see `call_pages.chain`."""
        return (await self.query(lambda con: call_pages.chain(con, self.sums, call_id))).value

    async def spend(
        self, by: list[str], wanted: Filter, limit: int | None, top: int | None = None
    ) -> AnalyticsResult[Document]:
        """Sums of calls; see `queries.Sums.report`. Raises GroupingError."""
        return await self.query(lambda con: self.sums.report(con, by, wanted.to_sql(), limit, top))

    async def models(self) -> AnalyticsResult[list[Document]]:
        """The requested models, most recently used first, with their calls and known cost."""
        return await self.query(queries.models)

    async def query(self, query: Callable[[DuckDBPyConnection], T]) -> AnalyticsResult[T]:
        """The result of another query, to be run in the worker thread."""
        self._last_activity = trio.current_time()

        def current() -> AnalyticsResult[T]:
            projection = self._open()
            self._read_journal(projection)
            if not self.is_lent():
                projection.flush_amendments()
            with projection.query_connection() as con:
                return AnalyticsResult(query(con), self.missing_reason)

        return await self._in_thread(current)

    async def sql(self, query: str, limit: int) -> bytes:
        """The JSON result of a user-supplied query; see `SqlRunner.execute`, also for what it raises."""
        return await self.sql_runner.execute(query, limit)

    # Access for other processes

    async def lend(self, seconds: float) -> bool:
        """Flushes and closes the file for so many seconds, or until `end_loan`. Returns False if another
        program has it locked. Raises AnalyticsError."""
        async with self._share_lock:
            return await self._in_thread(lambda: self._lend(seconds))

    def end_loan(self) -> None:
        self._lent_until = 0.0
        self.subscription.retry_soon()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[SharedSnapshot]:
        """All calls, for one other process to read. Calls that end meanwhile wait in memory, and queries of
        this process include them. Raises trio.TooSlowError if another process reads for too long."""
        # Only for the wait: the query itself has its own limit.
        with trio.fail_after(SHARE_TIMEOUT):
            await self._share_lock.acquire()
        try:
            self._last_activity = trio.current_time()
            yield await self._in_thread(self._share)
        finally:
            # Otherwise a cancelled query would leave the file open read-only, and no row could be flushed.
            with trio.CancelScope(shield=True):
                await self._log_errors(self._unshare)
            self._share_lock.release()

    async def close(self) -> None:
        """Closes the file; no query may follow."""
        await self._log_errors(self._close_file)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # One at a time: neither a DuckDB connection nor the pending rows may be used by two threads.
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def _log_errors(self, work: Callable[[], None]) -> None:
        """Logs errors of closing the file; if the cause persists, the next `consume` fails."""
        try:
            await self._in_thread(work)
        except Exception as error:  # noqa: BLE001  whatever the disk or DuckDB does, the gateway keeps serving
            log.warning("analytics_file_close_failed", problem=type(error).__name__, detail=str(error))
            self.subscription.retry_soon()

    # For readiness

    @property
    def stalled_reason(self) -> str | None:
        """Why the gateway is not ready: the file has lagged behind for too long."""
        if self._backlog_full:
            return "too many calls wait for the analytics file: answers lack the latest ones"
        if trio.current_time() - self.subscription.retries.failing_since > STALL_SECONDS:
            return f"no call could be moved into the analytics file for over {STALL_SECONDS:g} seconds"
        return None

    @property
    def _is_open(self) -> bool:
        return self._projection is not None and self._projection.is_open

    # In the worker thread

    def _open(self) -> Projection:
        if self._projection is None:
            # Imported on first use: DuckDB costs time and memory, of which an idle gateway should use little.
            from gatekeeper.ledger.analytics.projection import Projection

            self._projection = Projection(self._folder)
        if self.is_lent():
            self.missing_reason = LENT
        else:
            self._attach(self._projection)
        return self._projection

    def _attach(self, projection: Projection) -> None:
        try:
            projection.attach()
        except (FileLocked, FileUnusable) as error:
            self.missing_reason = LOCKED_BY_OTHER if isinstance(error, FileLocked) else UNUSABLE
            return
        except FileReplaced as replaced:
            self._adopt_replaced_file(projection, str(replaced))
        # It has been repaired: pending rows need not wait for the backoff.
        if self.missing_reason == UNUSABLE:
            self.subscription.retry_soon()
        self.missing_reason = None
        self._resume_at_watermark(projection)

    def _adopt_replaced_file(self, projection: Projection, why: str) -> None:
        """Reads the journal again from the replaced file's watermark. Calls of deleted segments stay
        missing."""
        calls = projection.adopt_replaced_file()
        self._read_position = self._stored_position = projection.watermark() or START
        log.error("analytics_file_replaced", detail=why, row_count=calls, replay_from=self._read_position)

    def _resume_at_watermark(self, projection: Projection) -> None:
        """Continues at the file's watermark, or at the journal's beginning if the file belongs to a journal
        that was deleted."""
        watermark = projection.watermark()
        if watermark is None:
            return
        if watermark > self._journal.durable_position:
            projection.reset_watermark()
            if self._stored_position is not None:  # another file was open before
                self._adopt_replaced_file(projection, "the file is of another journal")
        else:
            self._read_position = max(self._read_position, watermark)
            self._stored_position = max(self._stored_position or START, watermark)

    def is_lent(self) -> bool:
        return time.monotonic() < self._lent_until

    def _read_journal(self, projection: Projection) -> None:
        # Fixed here: under load the journal's end moves on, and the query would never run.
        goal = self._journal.write_position
        while projection.pending_chars < MAX_PENDING_CHARS:
            batch, position = self._journal.read(self._read_position, BATCH_ROWS)
            projection.add(batch)
            stands_still, self._read_position = position == self._read_position, position
            if stands_still or position >= goal:
                break
        self._backlog_full = projection.pending_chars >= MAX_PENDING_CHARS

    def _consume(self, batch: Batch) -> None:
        projection = self._open()
        # The file may have been replaced: then reading restarts at a position before this batch.
        if batch.start <= self._read_position:
            projection.add(batch.entries)
            self._read_position = max(self._read_position, batch.end)
        if self.is_lent() or projection.flush() is None:  # another program has the file locked
            self._read_journal(projection)
        else:
            # Not the file's watermark, which is that of its last row: lines without a row may follow.
            self._stored_position = self._read_position
            self._backlog_full = False

    def _share(self) -> SharedSnapshot:
        projection = self._open()
        self._read_journal(projection)
        attached = not self.is_lent() and projection.open_read_only()
        rows, all_of_them = projection.pending_batch()
        # Rows that did not fit into one batch beside a file that is ours: it could not be written.
        reason = self.missing_reason or (UNUSABLE if attached else LOCKED_BY_OTHER)
        return SharedSnapshot(attached, rows, None if attached and all_of_them else reason)

    def _unshare(self) -> None:
        if self._projection is not None:
            self._projection.reopen_read_write()
        self.subscription.retry_soon()

    def _lend(self, seconds: float) -> bool:
        projection = self._open()
        self._read_journal(projection)
        if projection.flush() is None:
            return False
        self._lent_until = time.monotonic() + seconds
        projection.release()
        return True

    def _close_file(self, *, idle: bool = False) -> None:
        if self._projection is not None:
            self._projection.release()
        if idle:
            drop_executable_pages("_duckdb")
