"""Consumers of the journal, each in its own task, so that one that fails or hangs does not slow the others.

To add a consumer, write a class like `journal_entries.Consumer` and pass it to `Consumers.subscribe`.

How much of the journal is retained for which consumer:

- For one that must have every call, everything that it has not consumed, however long it fails. These are
  the analytics file and the keys' spend. If the disk fills up because of that, the gateway refuses new calls
  until there is space (`Journal.full`); no call is lost.
- For any other, called a sink, the latest `SINK_RETENTION_BYTES` bytes. Older segments are deleted although
  the sink has not consumed them; that is logged, and counted as `lost`.

So the journal takes at most `SINK_RETENTION_BYTES` of the disk, plus what the ledger's own consumers have yet
to consume, and the segments since the `begin` of the oldest open call.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import trio

from gatekeeper.ledger.call import Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import Batch, Consumer
from gatekeeper.ledger.segments import bytes_after, count_end_records, oldest_segment_within
from gatekeeper.logs import log

CONSUME_INTERVAL = 3.0
"""Seconds between two rounds of a consumer. The analytics file must have a call within 5 seconds; an INSERT
costs as much as 800 of its rows. Queries have every call, and a key's spend is known, at once."""
BATCH_CALLS = 5000  # calls, or as many as `Journal.read` returns
INITIAL_BACKOFF, MAX_BACKOFF = 2.5, 60.0  # seconds
SINK_CLOSE_TIMEOUT = 5.0  # seconds that a shutdown waits for a sink
SLOW_SECONDS = 60.0  # seconds of lag after which a consumer that does not fail is reported
SINK_RETENTION_BYTES = 256 << 20  # bytes: some 150,000 calls


class RetryBackoff:
    """Repeats one task, with exponential backoff while it fails; a failure is logged once."""

    def __init__(self, name: str, event: str = "ledger_task") -> None:
        self._name = name
        self._event = event
        self._delay = INITIAL_BACKOFF
        self._due = -math.inf  # on trio's clock
        self.last_error: str | None = None
        """The error of the last attempt; None if it succeeded."""
        self.failing_since = math.inf  # on trio's clock

    @property
    def failing(self) -> bool:
        return self.last_error is not None

    async def run(self, work: Callable[[], Awaitable[None]], *, immediately: bool = False) -> None:
        """Makes an attempt, unless it is delayed after a failure. Errors are caught and logged."""
        if trio.current_time() < self._due and not immediately:
            return
        try:
            await work()
        except Exception as problem:  # noqa: BLE001  whatever the disk does, the gateway keeps serving
            self._failed(problem)
        else:
            if self.failing:
                log.info(f"{self._event}_recovered", what=self._name)
            self.last_error, self.failing_since = None, math.inf
            self._due, self._delay = -math.inf, INITIAL_BACKOFF

    def _failed(self, problem: Exception) -> None:
        if not self.failing:
            kind, detail = type(problem).__name__, str(problem)
            log.warning(f"{self._event}_failed", what=self._name, problem=kind, detail=detail)
            self.failing_since = trio.current_time()
        self.last_error = str(problem) or type(problem).__name__
        self._due = trio.current_time() + self._delay
        self._delay = min(2 * self._delay, MAX_BACKOFF)

    def reset(self) -> None:
        """Ends the delay, because the cause of the failure may be gone. May be called from any thread."""
        self._due = -math.inf


class Lag(NamedTuple):
    """How far a consumer lags behind: bytes of the journal, and seconds since the end of a call that it may
    lack."""

    size: int
    seconds: float


class Subscription:
    """Feeds one consumer from the journal, and keeps its state: its lag, failures and lost calls."""

    def __init__(self, journal: Journal, consumer: Consumer, retention_bytes: int | None, event: str) -> None:
        self.name = type(consumer).__name__
        self.consumer = consumer
        self.retries = RetryBackoff(self.name, event)
        self.lost = 0
        """How many calls, since the start, were deleted from the journal before this consumer had consumed
        them."""
        self._journal = journal
        self._retention_bytes = retention_bytes
        self._has_news = False
        self._deferred = False  # whether the consumer left its watermark unchanged
        self._round_lock = trio.Lock()
        self._lagging_since: float | None = None  # on trio's clock

    async def run(self) -> None:
        while True:
            await trio.sleep(CONSUME_INTERVAL)
            if self._has_news:
                await self.run_round()

    def notify(self) -> None:
        """A call ended."""
        self._has_news = True
        if self._lagging_since is None:
            self._lagging_since = trio.current_time()

    def retry_soon(self) -> None:
        """Retries without delay, because the cause of a failure may be gone. May be called from any
        thread."""
        self._has_news = True
        # `_lagging_since` is not set: this may be another thread, and no call has ended.
        self.retries.reset()

    async def run_round(self, *, immediately: bool = False) -> None:
        await self.retries.run(self._round, immediately=immediately)

    async def run_last_round(self) -> None:
        """The last round, at shutdown. Calls that a sink does not consume in time are offered again at the
        next start."""
        # A sink may hang forever; the ledger's own consumers finish, and the shutdown waits for them.
        with trio.move_on_after(math.inf if self._retention_bytes is None else SINK_CLOSE_TIMEOUT):
            await self.run_round(immediately=True)

    async def _round(self) -> None:
        self._has_news = False  # before reading: what is written from now on belongs to the next round
        current = False
        try:
            # Two concurrent rounds would offer a consumer the same calls twice.
            async with self._round_lock:
                current = await self.feed()
        finally:
            self._has_news = self._has_news or not current

    async def feed(self) -> bool:
        """Offers the consumer all entries written so far; returns whether it has consumed them. Raises what
        the consumer raises."""
        # Fixed at the start: under load the journal's end moves on, and a round would never finish.
        goal = self._journal.write_position
        while True:
            before = self.consumer.watermark
            entries, end = await trio.to_thread.run_sync(self._journal.read, before, BATCH_CALLS)
            if end == before:
                break
            await self.consumer.consume(Batch(before, entries, end))
            # A file that another program has locked is not a failure: no backoff, nothing is logged.
            self._deferred = self.consumer.watermark == before
            if self._deferred or self.consumer.watermark >= goal:
                break
        if current := self.consumer.watermark >= goal:
            # A call that ended meanwhile lies beyond the goal.
            self._lagging_since = trio.current_time() if self._has_news else None
        return current

    @property
    def lag(self) -> Lag:
        mark = self._journal.clamp(self.consumer.watermark)
        size = bytes_after(self._journal.folder, mark, self._journal.write_position.segment)
        return Lag(size, self.lag_seconds)

    @property
    def lag_seconds(self) -> float:
        """Seconds since the end of the oldest call that it may lack; 0 if it lacks none."""
        since = self._lagging_since
        return 0.0 if since is None else trio.current_time() - since

    @property
    def is_lagging(self) -> bool:
        """Whether it fails, is slow, or hangs."""
        return self.retries.failing or (not self._deferred and self.lag_seconds > SLOW_SECONDS)

    # Called in a worker thread

    def retain_from(self) -> Position:
        """The position from which on the journal must be retained for it."""
        mark = self._journal.clamp(self.consumer.watermark)
        if self._retention_bytes is None:
            return mark
        # A watermark of another journal counts as the start: otherwise everything would seem to be consumed.
        return max(mark, Position(oldest_segment_within(self._journal.folder, self._retention_bytes), 0))

    def count_lost(self, number: int) -> None:
        """Counts the calls of a segment that is about to be deleted and that it has not consumed."""
        mark = self._journal.clamp(self.consumer.watermark)
        if mark.segment > number:
            return
        start = mark.offset if mark.segment == number else 0
        if calls := count_end_records(self._journal.folder, number, start):
            self.lost += calls
            log.error("journal_discarded_before_consumed", consumer=self.name, segment=number, calls=calls)


class Consumers:
    """All consumers of one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._subscriptions: list[Subscription] = []
        self._discarding = RetryBackoff("discard")

    def subscribe(
        self,
        consumer: Consumer,
        *,
        retention_bytes: int | None = SINK_RETENTION_BYTES,
        event: str = "ledger_task",
    ) -> Subscription:
        """Registers a consumer. The journal retains at most `retention_bytes` for it; None: all that it has
        not consumed, for one that must have every call. `event` is the prefix of its log events."""
        subscription = Subscription(self._journal, consumer, retention_bytes, event)
        self._subscriptions.append(subscription)
        return subscription

    def notify(self) -> None:
        """A call ended."""
        for subscription in self._subscriptions:
            subscription.notify()

    @property
    def lagging(self) -> list[Subscription]:
        """Those that lag behind the journal."""
        return [subscription for subscription in self._subscriptions if subscription.is_lagging]

    @property
    def with_lost_calls(self) -> list[Subscription]:
        """The sinks that lack calls."""
        return [subscription for subscription in self._subscriptions if subscription.lost]

    async def run(self) -> None:
        """Feeds each consumer, and deletes segments that none needs, until cancelled."""
        async with trio.open_nursery() as nursery:
            for subscription in self._subscriptions:
                nursery.start_soon(subscription.run)
            # A task of its own too: a consumer that hangs must not keep the disk from being freed.
            nursery.start_soon(self._keep_discarding)

    async def _keep_discarding(self) -> None:
        seen = None
        while True:
            await trio.sleep(CONSUME_INTERVAL)
            marks = [subscription.consumer.watermark for subscription in self._subscriptions]
            # The segment counts too: as segments are added, the oldest one that a sink retains expires.
            state = (marks, self._journal.write_position.segment)
            if state != seen or self._discarding.failing:
                seen = state
                await self._discarding.run(partial(trio.to_thread.run_sync, self.discard))

    def discard(self) -> None:
        """Deletes the segments that no consumer needs any more. Blocks. Raises OSError."""
        marks = [subscription.retain_from() for subscription in self._subscriptions]
        self._journal.discard(marks, self._count_lost)

    def _count_lost(self, number: int) -> None:
        for subscription in self._subscriptions:
            subscription.count_lost(number)

    async def run_rounds(self) -> None:
        """One round of each consumer, concurrently."""
        async with trio.open_nursery() as nursery:
            for subscription in self._subscriptions:
                nursery.start_soon(subscription.run_round)

    async def run_last_rounds(self) -> None:
        """The round of each at shutdown."""
        async with trio.open_nursery() as nursery:
            for subscription in self._subscriptions:
                nursery.start_soon(subscription.run_last_round)
