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
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import structlog
import trio

from gatekeeper.ledger.entry import Position
from gatekeeper.ledger.journal import Journal

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics import Analytics

# Why the file is out of reach, to be read after "because".
HELD = "another program has the analytics file"
UNUSABLE = "the analytics file is damaged or cannot be written"

log = structlog.get_logger()

T = TypeVar("T")

# Seconds between two moves of rows into the file: a transaction costs 20 ms of CPU whatever it holds, and
# questions bring the rows that they need up to date themselves.
PERIOD = 2.5
QUIET = 5.0  # seconds without calls or questions, after which the file is let go
BATCH = 2000  # rows
START = Position(0, 0)
# Characters of the rows, usually some 1,000 each, that wait in memory while somebody else has the file.
WAITING = 128 << 20
PATIENCE = 60.0  # seconds that rows may fail to move until that is more than a warning

TURN = 5.0  # seconds to wait for other processes that read the file


class Share(NamedTuple):
    """What another process may see: whether it may open the file, and rows that are not in it. `absence` says
    why that is not every call; None where it is."""

    attached: bool
    rows: str
    absence: str | None


class Desk:
    """`watermark` is the place in the journal up to which rows lie in the file; None until that is known."""

    def __init__(self, journal: Journal, folder: Path, timezone: str) -> None:
        self._journal = journal
        self._folder = folder
        self._timezone = timezone
        self._analytics: Analytics | None = None
        self._read = START
        self._one = trio.CapacityLimiter(1)
        self._busy_at = trio.current_time()
        self._lent_until = 0.0
        self._reading = trio.Lock()
        self._news = False
        self.watermark: Position | None = None
        self.fault: str | None = None
        """Why rows cannot be moved into the file, unless somebody else has it."""
        self.absence: str | None = None
        """Why the file is out of reach, so that answers lack what is in it; None while it is not."""
        self._fault_since = 0.0
        self._crowded = False

    def wake(self) -> None:
        """Something was written to the journal."""
        self._news = True

    async def run(self) -> None:
        """Moves rows into the file as they come; for the ledger's nursery."""
        while True:
            await trio.sleep(PERIOD)
            if self._news:
                self._news = False
                self._busy_at = trio.current_time()
                await self._in_thread(self._store)
            elif self._holds and trio.current_time() - self._busy_at > QUIET:
                await self._in_thread(self._let_go)

    async def ask(self, question: Callable[[Analytics], T]) -> T:
        """The answer over all calls that have ended by now. What the question raises passes."""
        self._busy_at = trio.current_time()

        def current() -> T:
            analytics = self._open()
            self._catch_up(analytics)
            return question(analytics)

        return await trio.to_thread.run_sync(current, limiter=self._one)

    async def lend(self, seconds: float) -> bool:
        """Brings the file up to date and lets go of it for so long, or until `take_back`. False where another
        program has it already. Raises AnalyticsError."""
        async with self._reading:
            return await trio.to_thread.run_sync(self._lend, seconds, limiter=self._one)

    def take_back(self) -> None:
        self._lent_until = 0.0
        self._news = True

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[Share]:
        """All calls for one other process to read. What comes meanwhile waits, and is in the answers here.

        Raises trio.TooSlowError where other processes read for long.
        """
        with trio.fail_after(TURN):
            await self._reading.acquire()
        try:
            self._busy_at = trio.current_time()
            yield await trio.to_thread.run_sync(self._share, limiter=self._one)
        finally:
            with trio.CancelScope(shield=True):
                await self._in_thread(self._unshare)
            self._reading.release()

    async def close(self) -> None:
        """Moves what is left and lets go, whatever it takes; nothing may be asked afterwards."""
        await self._in_thread(self._store)
        await self._in_thread(self._let_go)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Trouble with the file is no trouble of the calls: it is told once, and tried again later."""
        try:
            await trio.to_thread.run_sync(work, limiter=self._one)
        except Exception as problem:  # noqa: BLE001  whatever the disk or DuckDB does, serving goes on
            self._news = True
            if self.fault is None:
                log.warning("analytics_file_trouble", problem=type(problem).__name__, detail=str(problem))
                self._fault_since = time.monotonic()
            self.fault = str(problem) or type(problem).__name__

    @property
    def stuck(self) -> str | None:
        """Why the ledger is behind for so long that somebody must do something, for readiness."""
        if self._crowded:
            return "too many calls wait for the analytics file: answers lack the latest ones"
        if self.fault is not None and time.monotonic() - self._fault_since > PATIENCE:
            return f"no call could be moved into the analytics file for over {PATIENCE:g} seconds"
        return None

    @property
    def _holds(self) -> bool:
        return self._analytics is not None and self._analytics.awake

    # In the thread

    def _open(self) -> Analytics:
        if self._analytics is None:
            # Here and not above: DuckDB takes time and memory, and an idle gateway should take little.
            from gatekeeper.ledger.analytics import Analytics

            self._analytics = Analytics(self._folder, self._timezone)
        if self._is_lent():
            self.absence = HELD
        else:
            self._attach(self._analytics)
        return self._analytics

    def _attach(self, analytics: Analytics) -> None:
        from gatekeeper.ledger.instance import FileHeld, FileReplaced, FileUnusable

        try:
            analytics.attach()
        except FileHeld:
            self.absence = HELD
            return
        except FileUnusable:
            self.absence = UNUSABLE
            return
        except FileReplaced as replaced:
            self._start_over(analytics, str(replaced))
        self.absence = None
        self._align(analytics)

    def _start_over(self, analytics: Analytics, why: str) -> None:
        """Reads again what the journal still has: it forgets what is in the file, so calls may be missing."""
        calls = analytics.start_over()
        self._read = self.watermark = analytics.watermark() or START
        log.error(
            "analytics_file_replaced", detail=why, calls_in_it=calls, journal_read_again_from=self._read
        )

    def _align(self, analytics: Analytics) -> None:
        """Reads on where the file left off, or from the journal's beginning if the file is of a journal that
        is no more."""
        watermark = analytics.watermark()
        if watermark is None:
            return
        if watermark <= self._journal.durable:
            self._read = max(self._read, watermark)
            return
        analytics.rewind()
        if self.watermark is not None:  # there was another file before
            self._start_over(analytics, "the file is of another journal")

    def _is_lent(self) -> bool:
        return time.monotonic() < self._lent_until

    def _catch_up(self, analytics: Analytics) -> None:
        goal = self._journal.written
        while analytics.waiting_size < WAITING:
            batch, position = self._journal.read(self._read, BATCH)
            analytics.add(batch)
            stands_still, self._read = position == self._read, position
            if stands_still or position >= goal:
                break
        self._crowded = analytics.waiting_size >= WAITING

    def _store(self) -> None:
        analytics = self._open()
        self._catch_up(analytics)
        if self._is_lent():
            self._news = True
            return
        moved = analytics.move()
        if moved is None:
            self._news = True  # somebody else has the file
        else:
            self._news = self._crowded  # then there is more to be read
            self._crowded = False
            self.watermark = moved
            if self.fault is not None:
                log.info("analytics_file_well_again")
            self.fault = None

    def _share(self) -> Share:
        analytics = self._open()
        self._catch_up(analytics)
        attached = not self._is_lent() and analytics.share()
        rows, all_of_them = analytics.first_waiting()
        return Share(attached, rows, None if attached and all_of_them else self.absence or HELD)

    def _unshare(self) -> None:
        if self._analytics is not None:
            self._analytics.unshare()
        self._news = True

    def _lend(self, seconds: float) -> bool:
        analytics = self._open()
        self._catch_up(analytics)
        if analytics.move() is None:
            return False
        self._lent_until = time.monotonic() + seconds
        analytics.release()
        return True

    def _let_go(self) -> None:
        if self._analytics is not None:
            self._analytics.release()
