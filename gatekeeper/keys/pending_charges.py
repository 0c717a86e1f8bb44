"""Costs still to come of calls that have ended: batches and operations whose result has not been seen, and
cached contents, which are charged by the hour.

Each is known by the call that began it; its state is the row that was written last, with its `pending`. So it
is a projection of the journal: memory has it at once, the store before the spend's watermark moves on. To
store a state again changes nothing, so a killed process loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import trio

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.ledger.call import CallRecord

MAX_PENDING = 10_000  # some 2 KB of memory each
_decode = msgspec.json.Decoder(CallRecord).decode


class SqlitePendingStore:
    """A table of the keys' SQLite file, which the caller closes. Methods block, may be called from any
    thread, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def all(self) -> list[CallRecord]:
        """The state of each, the oldest first."""
        with self._file.transaction() as db:
            rows = db.execute("SELECT state FROM pending_charges ORDER BY rowid").fetchall()
        return [_decode(state) for (state,) in rows]

    def put(self, states: Sequence[CallRecord], settled: Sequence[str]) -> None:
        """Sets the state of some, and removes others by the id of the call that began them."""
        with self._file.transaction() as db:
            db.executemany("DELETE FROM pending_charges WHERE begun_by = ?", [(name,) for name in settled])
            # Replaced, it becomes the newest, as in memory.
            db.executemany(
                "INSERT OR REPLACE INTO pending_charges (begun_by, state) VALUES (?, ?)",
                [(row.pending.begun_by, _json(row)) for row in states if row.pending],
            )


class PendingCharges:
    """Those of one gateway."""

    def __init__(self, store: SqlitePendingStore, limit: int = MAX_PENDING) -> None:
        self._store = store
        self._limit = limit
        self._states: dict[str, CallRecord] = {}
        self._by_resource: dict[str, str] = {}

    async def load(self) -> None:
        """To be called once, before the journal is replayed."""
        for call in await trio.to_thread.run_sync(self._store.all):
            self.apply(call)

    def apply(self, call: CallRecord) -> None:
        """Takes the state that a row says, if it says one."""
        if (pending := call.pending) is None:
            return
        # Popped, so that it becomes the latest in the dict's order, as its row does in the store's.
        before = self._states.pop(pending.begun_by, None)
        if before and before.pending and before.pending.resource:
            self._by_resource.pop(before.pending.resource, None)
        if pending.resource is not None:
            self._states[pending.begun_by] = call
            self._by_resource[pending.resource] = pending.begun_by

    def find(self, resource: str) -> CallRecord | None:
        """The state of what this resource will tell."""
        begun_by = self._by_resource.get(resource)
        return None if begun_by is None else self._states.get(begun_by)

    def begun_by(self, call_id: str) -> CallRecord | None:
        """The state of what this call has begun."""
        return self._states.get(call_id)

    def all(self) -> list[CallRecord]:
        """The state of each, those that have not changed for longest first."""
        return list(self._states.values())

    def surplus(self) -> list[CallRecord]:
        """Those that are too many: the oldest."""
        return self.all()[: max(0, len(self._states) - self._limit)]

    async def store(self, rows: Iterable[CallRecord]) -> None:
        """Makes the states of rows, in their order, durable. Raises StoreFailed, and may then be repeated."""
        latest = {row.pending.begun_by: row for row in rows if row.pending}
        states = [row for row in latest.values() if row.pending and row.pending.resource]
        # A row without a resource is the last one: nothing is to come of it any more.
        settled = [name for name, row in latest.items() if row.pending and not row.pending.resource]
        if latest:
            await trio.to_thread.run_sync(self._store.put, states, settled)


def _json(row: CallRecord) -> str:
    # `usage` is as Google sent it, and need not be UTF-8.
    return msgspec.json.encode(row).decode(errors="replace")
