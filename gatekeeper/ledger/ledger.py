"""The ledger's interface: `begin` and `end` of a call on the hot path, and the background tasks."""

from __future__ import annotations

from pathlib import Path

import trio

from gatekeeper.ledger.analytics.worker import Analytics
from gatekeeper.ledger.call import Amendment, CallRecord, truncate_fields
from gatekeeper.ledger.call_metrics import CallMetrics
from gatekeeper.ledger.consumers import Consumers
from gatekeeper.ledger.events import EventStream
from gatekeeper.ledger.journal import Journal
from gatekeeper.logs import log
from gatekeeper.refusals import Reason, Refusal

# A power failure may lose as much. A killed process loses nothing: the kernel has every line.
SYNC_INTERVAL = 0.1  # seconds between two group syncs


class Ledger:
    """The journal, the event stream and the analytics file of one data folder."""

    def __init__(self, folder: Path, timezone: str) -> None:
        self.journal = Journal(folder)
        self.events = EventStream()
        self.consumers = Consumers(self.journal)
        self.analytics = Analytics(self.journal, self.consumers, folder, timezone)
        self.metrics = CallMetrics(self.journal.write_position)
        self._metrics_subscription = self.consumers.subscribe(self.metrics)
        self._dirty = False
        self._reported_error: OSError | None = None  # the journal's error, if it was logged

    # On the hot path

    def begin(self, call: CallRecord) -> None:
        size = truncate_fields(call)
        self.journal.begin(call)
        self._dirty = True
        # After the journal: subscribers must not see a call that a crash could still lose.
        self.events.publish("call.started", call, size)

    def update_begin(self, call: CallRecord) -> None:
        """Writes a call's begin again: what is charged if the process dies, or what the call has created, has
        changed."""
        truncate_fields(call)
        self.journal.begin(call)
        self._dirty = True

    def end(self, call: CallRecord) -> None:
        size = truncate_fields(call)
        self.journal.end(call)
        self._dirty = True
        # Also if the line could not be written and waits in memory: that does not concern subscribers.
        self.events.publish("call.finished", call, size)
        self.consumers.notify()

    def amend(self, amendment: Amendment) -> None:
        """Completes the row of a call that has ended."""
        size = truncate_fields(amendment.call)
        self.journal.amend(amendment)
        self._dirty = True
        self.events.publish("call.amended", amendment.call, size)
        self.consumers.notify()

    def unavailable_refusal(self) -> Refusal | None:
        """The refusal of new calls while the disk has no space for their rows, else None."""
        if not self.journal.full:
            return None
        return Refusal(
            Reason.LEDGER_FULL,
            "The gateway cannot write its ledger (is the disk full?) and takes no calls until it can.",
            retry_after=10,
        )

    async def current_metrics(self) -> CallMetrics:
        """The counters, with every call that has ended."""
        await self._metrics_subscription.run_round(immediately=True)
        return self.metrics

    # Background tasks

    def recover(self) -> None:
        """Gives calls that a killed process left open a row with the outcome `interrupted`."""
        if interrupted := self.journal.recover():
            log.warning("interrupted_calls_recovered", calls=len(interrupted))
        if self.journal.has_earlier_records:  # otherwise DuckDB need not be loaded yet
            self.consumers.notify()

    async def run(self) -> None:
        """Runs all tasks of the ledger until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sync)
            nursery.start_soon(self._publish_ticks)
            nursery.start_soon(self.consumers.run)
            nursery.start_soon(self.analytics.run)

    async def close(self) -> None:
        """Writes everything to the journal and the analytics file. To be called once, after the last call."""
        self.close_streams_and_queries()
        with trio.CancelScope(shield=True):
            # The order matters: the last calls are moved into the file, the file is closed, and only then
            # the journal.
            await self.consumers.run_last_rounds()
            await self.analytics.close()
            await trio.to_thread.run_sync(self.journal.close)
        self._report_error(self.journal.error)
        if self.journal.pending_lines:
            log.error("journal_lines_lost_at_shutdown", lines=self.journal.pending_lines)

    def close_streams_and_queries(self) -> None:
        """Ends event streams and user-supplied queries, which may run indefinitely."""
        self.events.close()
        self.analytics.sql_runner.stop()

    async def _sync(self) -> None:
        while True:
            await trio.sleep(SYNC_INTERVAL)
            if self._dirty or self.journal.error:
                self._dirty = False
                found = self.journal.error  # may have been set by a write on the hot path
                await trio.to_thread.run_sync(self.journal.sync)
                # Twice: of an error that is over by now both the start and the recovery are logged.
                self._report_error(self.journal.error or found)
                self._report_error(self.journal.error)

    def _report_error(self, error: OSError | None) -> None:
        """Logs each change of the error state once; repeats the error on recovery, because the log may be on
        the same disk."""
        if error and not self._reported_error:
            log.error("journal_write_failed", detail=str(error))
        elif self._reported_error and not error:
            lost = self.journal.lost_refused_calls
            log.info("journal_recovered", error=str(self._reported_error), refused_calls_lost=lost)
        self._reported_error = self._reported_error if error and self._reported_error else error

    async def _publish_ticks(self) -> None:
        while True:
            await trio.sleep(1)
            self.events.publish_tick()
