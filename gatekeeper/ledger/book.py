"""The ledger as the rest sees it: `begin` and `end` of a call on the hot path, and the tasks behind them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
import trio

from gatekeeper.ledger.attempts import Attempts
from gatekeeper.ledger.bounds import bound
from gatekeeper.ledger.desk import Desk
from gatekeeper.ledger.entry import Call, Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.live import Live
from gatekeeper.ledger.queries import Queries
from gatekeeper.refusals import Reason, Refusal

log = structlog.get_logger()

SYNC = 0.1  # seconds between two group syncs
CONSUME = 2.5  # seconds between two rounds of the consumers; memory knows a key's spend at once
BATCH = 2000  # calls


class Consumer(Protocol):
    """A reader of the journal. `take` makes a batch and its own watermark durable in one transaction."""

    watermark: Position

    async def take(self, calls: list[Call], watermark: Position) -> None:
        """In the journal's order and without gaps. What it raises makes the ledger offer the same again."""
        ...


class Ledger:
    """Journal, live events and analytics file of one data folder."""

    def __init__(self, folder: Path, timezone: str) -> None:
        self.journal = Journal(folder)
        self.live = Live()
        self.desk = Desk(self.journal, folder, timezone)
        self.queries = Queries(self.desk, folder)
        self.consumers: list[Consumer] = []
        self._feeding: dict[Consumer, Attempts] = {}
        self._discarding = Attempts("discard")
        self._written = False
        self._told: OSError | None = None  # the journal's trouble, once it was logged

    # On the hot path

    def begin(self, call: Call) -> None:
        bound(call)
        self.journal.begin(call)
        self._written = True
        self.live.publish("call.started", call)

    def end(self, call: Call) -> None:
        bound(call)
        self.journal.end(call)
        self._written = True
        self.live.publish("call.finished", call)
        self.desk.wake()

    def closed(self) -> Refusal | None:
        """Why no call can be taken on, if the disk has no room for its row."""
        if not self.journal.full:
            return None
        return Refusal(
            Reason.LEDGER_FULL,
            "The gateway cannot write its ledger (is the disk full?) and takes no calls until it can.",
            retry_after=10,
        )

    # Behind it

    def recover(self) -> None:
        """Calls that a killed process left open become rows with the outcome `interrupted`."""
        if interrupted := self.journal.recover():
            log.warning("calls_interrupted_by_an_earlier_stop", calls=len(interrupted))
        if self.journal.inherited:  # else there is no need for DuckDB and its memory yet
            self.desk.wake()

    async def run(self) -> None:
        """All of the ledger's tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sync)
            nursery.start_soon(self._consume)
            nursery.start_soon(self._tick)
            nursery.start_soon(self.desk.run)

    async def close(self) -> None:
        """Everything to the disk and into the file. After the last call, and once."""
        self.stop_answering()
        with trio.CancelScope(shield=True):
            await self._feed_each(at_once=True)
            await self.desk.close()
            await trio.to_thread.run_sync(self.journal.close)
        self._tell(self.journal.fault)
        if self.journal.waiting_lines:
            log.error("journal_lines_lost_at_the_stop", lines=self.journal.waiting_lines)

    def stop_answering(self) -> None:
        """Ends what would otherwise go on for as long as it likes: live streams, and people's queries."""
        self.live.close()
        self.queries.stop()

    async def _sync(self) -> None:
        while True:
            await trio.sleep(SYNC)
            if self._written or self.journal.fault:
                self._written = False
                found = self.journal.fault  # on the hot path, perhaps
                await trio.to_thread.run_sync(self.journal.sync)
                self._tell(self.journal.fault or found)
                self._tell(self.journal.fault)

    def _tell(self, fault: OSError | None) -> None:
        """Once of each change; at the end again what it was, for the log may have been on the same disk."""
        if fault and not self._told:
            log.error("journal_cannot_be_written", detail=str(fault))
        elif self._told and not fault:
            lost = self.journal.lost_refusals
            log.info("journal_well_again", trouble=str(self._told), refused_calls_without_a_row=lost)
        self._told = self._told if fault and self._told else fault

    async def _consume(self) -> None:
        seen = -1
        while True:
            await trio.sleep(CONSUME)
            if self.live.next_id != seen or self.behind or self._discarding.failing:
                seen = self.live.next_id
                await self._feed_each()
                await self._discarding.make(self._discard)

    @property
    def behind(self) -> list[str]:
        """The consumers that could not take what they were offered, by name."""
        return [type(consumer).__name__ for consumer, attempts in self._feeding.items() if attempts.failing]

    async def _feed_each(self, *, at_once: bool = False) -> None:
        """Each by itself: one that fails holds up no other."""
        for consumer in self.consumers:
            attempts = self._feeding.setdefault(consumer, Attempts(type(consumer).__name__))
            await attempts.make(partial(self._feed, consumer), at_once=at_once)

    async def feed(self) -> None:
        """Brings every consumer up to the journal's end. Raises what they raise."""
        for consumer in self.consumers:
            await self._feed(consumer)

    async def _feed(self, consumer: Consumer) -> None:
        goal = self.journal.written
        while True:
            before = consumer.watermark
            batch, position = await trio.to_thread.run_sync(self.journal.read, before, BATCH)
            if position != before:
                await consumer.take([call for _, call in batch], position)
            if position == before or position >= goal:
                break

    async def _discard(self) -> None:
        if self.desk.watermark is not None:
            marks = [self.desk.watermark, *(consumer.watermark for consumer in self.consumers)]
            await trio.to_thread.run_sync(self.journal.discard, marks)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(1)
            self.live.take_tick()
