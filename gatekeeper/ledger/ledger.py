"""The ledger as the rest sees it: `begin` and `end` of a call on the hot path, and the tasks behind them."""

from __future__ import annotations

from pathlib import Path

import structlog
import trio

from gatekeeper.ledger.analytics.worker import Analytics
from gatekeeper.ledger.call import Call, bound
from gatekeeper.ledger.consumers import Consumers
from gatekeeper.ledger.events import Live
from gatekeeper.ledger.journal import Journal
from gatekeeper.refusals import Reason, Refusal

log = structlog.get_logger()

SYNC = 0.1  # seconds between two group syncs


class Ledger:
    """Journal, live events and analytics file of one data folder."""

    def __init__(self, folder: Path, timezone: str) -> None:
        self.journal = Journal(folder)
        self.live = Live()
        self.consumers = Consumers(self.journal)
        self.analytics = Analytics(self.journal, self.consumers, folder, timezone)
        self._written = False
        self._told: OSError | None = None  # the journal's trouble, once it was logged

    # On the hot path

    def begin(self, call: Call) -> None:
        bound(call)
        self.journal.begin(call)
        self._written = True
        # After the journal: nobody is to be told of a call that a kill could still undo.
        self.live.publish("call.started", call)

    def end(self, call: Call) -> None:
        bound(call)
        self.journal.end(call)
        self._written = True
        # Also where the disk refuses the line, which then waits in memory: listeners need not know.
        self.live.publish("call.finished", call)
        self.consumers.wake()

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
            self.consumers.wake()

    async def run(self) -> None:
        """All of the ledger's tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sync)
            nursery.start_soon(self._tick)
            nursery.start_soon(self.consumers.run)
            nursery.start_soon(self.analytics.run)

    async def close(self) -> None:
        """Everything to the disk and into the file. After the last call, and once."""
        self.stop_answering()
        with trio.CancelScope(shield=True):
            # In this order: the last calls go into the file, the file is let go, and only then the journal
            # ends.
            await self.consumers.finish()
            await self.analytics.close()
            await trio.to_thread.run_sync(self.journal.close)
        self._tell(self.journal.fault)
        if self.journal.waiting_lines:
            log.error("journal_lines_lost_at_the_stop", lines=self.journal.waiting_lines)

    def stop_answering(self) -> None:
        """Ends what would otherwise go on for as long as it likes: live streams, and people's queries."""
        self.live.close()
        self.analytics.queries.stop()

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

    async def _tick(self) -> None:
        while True:
            await trio.sleep(1)
            self.live.take_tick()
