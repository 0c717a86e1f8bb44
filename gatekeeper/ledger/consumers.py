"""What reads the journal: each consumer in a task of its own, so that one that fails or hangs slows no other.

To add one is to write a class with `watermark` and `take`, and to give it to `Consumers.follow`.

How much of the journal waits for whom:

- One that must have every call holds back whatever it has not taken, however long it fails. These are the
  gateway's own ledger: the analytics file and the keys' spend. The disk may fill up then, and the gateway
  takes no new calls until it has room (`Journal.full`); it loses none.
- Any other, a sink, holds back at most `SINK_HOLDS` bytes, the latest. What is older goes though the sink
  has not taken it; that is logged, and counted as `lost`.

So beside what the ledger itself has still to take, and the segments since the begin of a call that is still
open, the journal takes no more of the disk than `SINK_HOLDS`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog
import trio

from gatekeeper.ledger.call import Call, Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.segments import ends_in, oldest_within, size_after

log = structlog.get_logger()

PERIOD = 2.5  # seconds between two rounds of a consumer; memory knows a key's spend at once
BATCH = 2000  # calls
FIRST_PAUSE, LONGEST_PAUSE = 2.5, 60.0  # seconds
LAST_ROUND = 5.0  # seconds that a stop waits for a sink
SLOW = 60.0  # seconds behind, after which that is told of one that does not fail
SINK_HOLDS = 256 << 20  # bytes: some 150,000 calls


class Batch(NamedTuple):
    """Finished calls, each with the position after it, from everything that lies between two positions."""

    start: Position
    calls: list[tuple[Position, Call]]
    end: Position


class Consumer(Protocol):
    """A reader of the journal. `take` makes a batch and its own watermark durable in one transaction, so that
    each call is there once, whatever dies when."""

    @property
    def watermark(self) -> Position:
        """The place up to which it has every call; `START` for none."""
        ...

    async def take(self, batch: Batch) -> None:
        """What follows its watermark, in the journal's order; the watermark becomes the batch's end.

        What it raises makes the runner offer the same again, later and later. To leave the watermark where it
        is means "not now", and to be asked again soon."""
        ...


class Attempts:
    """At one piece of work that may fail and is tried again, less often the longer it fails, which is told
    once."""

    def __init__(self, name: str, event: str = "ledger") -> None:
        self._name = name
        self._event = event
        self._pause = FIRST_PAUSE
        self._due = -math.inf  # on trio's clock
        self.problem: str | None = None
        """What the last one failed with; None where it did not."""
        self.failing_since = math.inf  # on trio's clock

    @property
    def failing(self) -> bool:
        return self.problem is not None

    async def make(self, work: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        """Another one, unless the last one failed a short while ago. Whatever it raises ends here."""
        if trio.current_time() < self._due and not at_once:
            return
        try:
            await work()
        except Exception as problem:  # noqa: BLE001  whatever the disk does, serving goes on
            self._failed(problem)
        else:
            if self.failing:
                log.info(f"{self._event}_well_again", what=self._name)
            self.problem, self.failing_since = None, math.inf
            self._due, self._pause = -math.inf, FIRST_PAUSE

    def _failed(self, problem: Exception) -> None:
        if not self.failing:
            kind, detail = type(problem).__name__, str(problem)
            log.warning(f"{self._event}_trouble", what=self._name, problem=kind, detail=detail)
            self.failing_since = trio.current_time()
        self.problem = str(problem) or type(problem).__name__
        self._due = trio.current_time() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def soon(self) -> None:
        """There is a new reason to hope: the next one need not wait. May be called from any thread."""
        self._due = -math.inf


class Lag(NamedTuple):
    """How far a consumer is behind: bytes of the journal, and seconds since a call ended that it may lack."""

    size: int
    seconds: float


class Follower:
    """One consumer on its way through the journal, and how it fares."""

    def __init__(self, journal: Journal, consumer: Consumer, holds: int | None, event: str) -> None:
        self.name = type(consumer).__name__
        self.consumer = consumer
        self.attempts = Attempts(self.name, event)
        self.lost = 0
        """How many calls left the journal since the start before it had taken them."""
        self._journal = journal
        self._holds = holds
        self._stale = False
        self._deferred = False  # whether it has said "not now"
        self._feeding = trio.Lock()
        self._behind_since: float | None = None  # on trio's clock

    async def run(self) -> None:
        while True:
            await trio.sleep(PERIOD)
            if self._stale:
                await self.attempt()

    def wake(self) -> None:
        """A call ended."""
        self._stale = True
        if self._behind_since is None:
            self._behind_since = trio.current_time()

    def hurry(self) -> None:
        """It may be able to take what it could not a moment ago. May be called from any thread."""
        self._stale = True
        # `_behind_since` is left alone: this may be another thread, and no call has ended.
        self.attempts.soon()

    async def attempt(self, *, at_once: bool = False) -> None:
        await self.attempts.make(self._round, at_once=at_once)

    async def attempt_last(self) -> None:
        """Before the gateway goes. What a sink does not take in time is offered again at the next start."""
        # A sink may hang for ever; the ledger's own consumers end, and a stop waits for what they do.
        with trio.move_on_after(math.inf if self._holds is None else LAST_ROUND):
            await self.attempt(at_once=True)

    async def _round(self) -> None:
        self._stale = False  # before the look: what is written from now on is another round's
        current = False
        try:
            # Two rounds at once would offer a consumer the same calls twice, before its watermark has moved.
            async with self._feeding:
                current = await self.feed()
        finally:
            self._stale = self._stale or not current

    async def feed(self) -> bool:
        """Offers it what is written by now; whether it has taken that. Raises what it raises."""
        # Fixed at the start: under load the end moves on, and a round would never end.
        goal = self._journal.written
        while True:
            before = self.consumer.watermark
            calls, end = await trio.to_thread.run_sync(self._journal.read, before, BATCH)
            if end == before:
                break
            await self.consumer.take(Batch(before, calls, end))
            # An analytics file that another program has is no failure: no pause grows, nothing is logged.
            self._deferred = self.consumer.watermark == before
            if self._deferred or self.consumer.watermark >= goal:
                break
        if current := self.consumer.watermark >= goal:
            # A call that ended meanwhile is not in the goal.
            self._behind_since = trio.current_time() if self._stale else None
        return current

    @property
    def lag(self) -> Lag:
        mark = self._journal.known(self.consumer.watermark)
        size = size_after(self._journal.folder, mark, self._journal.written.segment)
        return Lag(size, self._seconds_behind)

    @property
    def _seconds_behind(self) -> float:
        since = self._behind_since
        return 0.0 if since is None else trio.current_time() - since

    @property
    def behind(self) -> bool:
        """Whether it could not take what it was offered, or is slow, or hangs."""
        return self.attempts.failing or (not self._deferred and self._seconds_behind > SLOW)

    # In a thread

    def held_from(self) -> Position:
        """From where on the journal must stay for it."""
        mark = self._journal.known(self.consumer.watermark)
        if self._holds is None:
            return mark
        # Of a foreign journal a watermark counts as the beginning, so it cannot pass for one that has all.
        return max(mark, Position(oldest_within(self._journal.folder, self._holds), 0))

    def lose(self, number: int) -> None:
        """A segment is about to go: counts what of it was not taken."""
        mark = self._journal.known(self.consumer.watermark)
        if mark.segment > number:
            return
        start = mark.offset if mark.segment == number else 0
        if calls := ends_in(self._journal.folder, number, start):
            self.lost += calls
            log.error("journal_discarded_before_taken", consumer=self.name, segment=number, calls=calls)


class Consumers:
    """All that read one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._followers: list[Follower] = []
        self._discarding = Attempts("discard")

    def follow(
        self, consumer: Consumer, *, holds: int | None = SINK_HOLDS, event: str = "ledger"
    ) -> Follower:
        """From now on it is offered every call, by `run`. It holds back at most `holds` bytes of the journal;
        None: all that it has not taken, for one that must have every call. `event` begins the log's words for
        its trouble."""
        follower = Follower(self._journal, consumer, holds, event)
        self._followers.append(follower)
        return follower

    def wake(self) -> None:
        """A call ended."""
        for follower in self._followers:
            follower.wake()

    @property
    def behind(self) -> list[Follower]:
        """Those that do not keep up with the journal."""
        return [follower for follower in self._followers if follower.behind]

    @property
    def with_gaps(self) -> list[Follower]:
        """The sinks that lack calls."""
        return [follower for follower in self._followers if follower.lost]

    async def run(self) -> None:
        """Feeds each, and discards what nobody waits for, until cancelled."""
        async with trio.open_nursery() as nursery:
            for follower in self._followers:
                nursery.start_soon(follower.run)
            # A task of its own too: a consumer that hangs must not keep the disk from being freed.
            nursery.start_soon(self._keep_discarding)

    async def _keep_discarding(self) -> None:
        seen = None
        while True:
            await trio.sleep(PERIOD)
            marks = [follower.consumer.watermark for follower in self._followers]
            # The segment counts too: a sink that stands still lets go of one as others are added.
            state = (marks, self._journal.written.segment)
            if state != seen or self._discarding.failing:
                seen = state
                await self._discarding.make(partial(trio.to_thread.run_sync, self.discard))

    def discard(self) -> None:
        """Deletes the segments that nobody waits for any more. Blocks. Raises OSError."""
        marks = [follower.held_from() for follower in self._followers]
        self._journal.discard(marks, self._lose)

    def _lose(self, number: int) -> None:
        for follower in self._followers:
            follower.lose(number)

    async def attempt_each(self) -> None:
        """One round of each, all at the same time."""
        async with trio.open_nursery() as nursery:
            for follower in self._followers:
                nursery.start_soon(follower.attempt)

    async def finish(self) -> None:
        """The last round, for all that is left."""
        async with trio.open_nursery() as nursery:
            for follower in self._followers:
                nursery.start_soon(follower.attempt_last)
