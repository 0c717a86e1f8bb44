"""What is stored in the key store when a call ends: its key's spend, its continuation tokens, its pending
charge, the owners of its resources, and the free searches of its Google project. A consumer of the journal
makes each of them durable.

Each is stored before the watermark of the spend advances: if the process is killed, the rest is replayed from
the journal, and storing it again is idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import trio

from gatekeeper.gemini.actions import CACHE_STORAGE_ACTION
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.long_decodes import Continuation, LongDecodes
from gatekeeper.keys.owners import Owners
from gatekeeper.keys.pending_charges import PendingCharges
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.ledger.call import Amendment, CallRecord, Position
from gatekeeper.ledger.journal_entries import Batch
from gatekeeper.pricing.allowance import Period, period_of
from gatekeeper.pricing.cost_lines import SEARCH_KINDS
from gatekeeper.times import utc_day

FREE_SEARCHES_KEPT = timedelta(days=62)  # the count of a month is needed until its last call has ended
READ_AT_ONCE = 200  # calls between two checkpoints


class FreeSearch(NamedTuple):
    """The free searches that one call has used."""

    call_id: str
    period: Period
    taken: int


def ended_at(call: CallRecord) -> int:
    """When the call ended, microseconds since 1970; an interrupted call counts from its start."""
    return call.started_at + round((call.duration_ms or 0.0) * 1000)


def charge_of(call: CallRecord) -> AccountCharge | None:
    """The charge of the call's key, if it has one: the cost, or the upper bound in place of an unknown
    cost."""
    if call.key_id is None:
        return None
    charged = call.charged_pico
    return AccountCharge(
        call.key_id,
        charged if charged is not None else call.cost_pico or 0,
        ended_at(call),
        estimated=charged is not None,
        is_use=call.action != CACHE_STORAGE_ACTION,
        group=call.group,
        user=call.user_id,
        model=call.model,
    )


def continuations(call: CallRecord) -> list[Continuation]:
    """The continuation tokens in the response of the call."""
    if call.key_id is None or not call.continuations:
        return []
    return [Continuation(call.key_id, digest, call.id, ended_at(call)) for digest in call.continuations]


def correction(amendment: Amendment) -> tuple[AccountCharge, ...]:
    """The effect of an amendment on its key's spend: the previous charge is reversed in the budget window
    that it was made in, and the new one is added."""
    charge = charge_of(amendment.call)
    if charge is None:
        return ()
    before, estimated = amendment.charged_before, amendment.estimated_before
    return charge._replace(cost_pico=-before, estimated=estimated, is_use=True), charge


def free_searches(call: CallRecord, project: str) -> Iterator[FreeSearch]:
    """The searches that the call has taken from the free allowance of its Google project."""
    for kind, search in SEARCH_KINDS.items():
        taken = (call.billed_units or {}).get(search.free)
        model, day = call.model_version or call.model or "", utc_day(call.started_at)
        if taken and (period := period_of(project, model, kind, day)):
            yield FreeSearch(call.id, period, taken)


class SqliteFreeSearchStore:
    """The free searches of each call, in a table of the keys' SQLite file, which the caller closes. Methods
    block, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def totals(self) -> dict[Period, int]:
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT project, pool, starts, sum(taken) FROM free_searches GROUP BY project, pool, starts"
            ).fetchall()
        return {
            Period(project, pool, date.fromisoformat(starts)): taken for project, pool, starts, taken in rows
        }

    def put(self, searches: Sequence[FreeSearch]) -> None:
        """Adds the searches of calls, and removes those that are too old to count."""
        expired = max(each.period.starts for each in searches) - FREE_SEARCHES_KEPT
        with self._file.transaction() as db:
            db.executemany(
                # After a crash the replay of the journal offers rows again that are already stored.
                "INSERT OR IGNORE INTO free_searches (call_id, project, pool, starts, taken) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        each.call_id,
                        each.period.project,
                        each.period.pool,
                        each.period.starts.isoformat(),
                        each.taken,
                    )
                    for each in searches
                ],
            )
            db.execute("DELETE FROM free_searches WHERE starts < ?", (expired.isoformat(),))


class KeyStoreProjection:
    """Consumer of the journal that stores the keys' spend, their long decodes and pending charges, the owners
    of resources, and the free searches of each Google project. While `replaying`, at startup, it also updates
    these in memory, except the searches; later calls update memory themselves when they end."""

    def __init__(
        self,
        registry: KeyRegistry,
        long_decodes: LongDecodes,
        free_search_store: SqliteFreeSearchStore,
        pending: PendingCharges,
        owners: Owners,
        google_keys: GoogleKeys,
        watermark: Position,
    ) -> None:
        self._registry = registry
        self._long_decodes = long_decodes
        self._free_searches = free_search_store
        self._pending = pending
        self._owners = owners
        self._project_of = google_keys.project_of
        self.watermark = watermark
        self.replaying = True

    async def consume(self, batch: Batch) -> None:
        rows = [entry if isinstance(entry, CallRecord) else entry.call for _, entry in batch.entries]
        calls = [call for _, call in batch.calls]
        settled: list[AccountCharge] = []
        for start in range(0, len(calls), READ_AT_ONCE):
            await trio.lowlevel.checkpoint()
            settled += filter(None, map(charge_of, calls[start : start + READ_AT_ONCE]))
        settled += [charge for amendment in batch.amendments for charge in correction(amendment)]
        reported = [token for call in calls if call.continuations for token in continuations(call)]
        # The first batch is what the last process did not consume; later calls update memory when they end.
        if self.replaying:
            self._registry.replay(settled)
            self._long_decodes.add(reported)
            for call in calls:
                self._registry.costs.note_call(call, 0)
            for row in rows:
                self._pending.apply(row)
                self._owners.apply(row)
        # Before the spend: storing them twice is harmless, but once the watermark has passed they would be
        # lost.
        await self._long_decodes.store(reported)
        await self._pending.store(rows)
        await self._owners.store(rows)
        searches = [
            search
            for row in rows
            if row.billed_units
            for search in free_searches(row, self._project_of(row.upstream_key))
        ]
        if searches:
            await trio.to_thread.run_sync(self._free_searches.put, searches)
        await self._registry.store_spend(settled, *batch.end)
        self.watermark = batch.end
