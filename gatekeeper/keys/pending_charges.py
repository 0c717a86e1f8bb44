"""Pending charges of calls that have ended: batches and operations without a result yet, and cached contents,
which are charged by the hour.

Each is identified by the call that started it; its state is the latest row with its `pending`. It is a
projection of the journal: memory has it at once, the store before the watermark of the spend advances.
Storing is idempotent, so a killed process neither loses nor duplicates anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import trio

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.ledger.call import CallRecord

MAX_PENDING = 10_000  # about 2 KB of memory each
_decode = msgspec.json.Decoder(CallRecord).decode


class SqlitePendingStore:
    """A table of the keys' SQLite file, which the caller closes. Methods block, may be called from any
    thread, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def all(self) -> list[CallRecord]:
        """All pending charges, the oldest first."""
        with self._file.transaction() as db:
            rows = db.execute("SELECT state FROM pending_charges ORDER BY rowid").fetchall()
        return [_decode(state) for (state,) in rows]

    def put(self, states: Sequence[CallRecord], settled: Sequence[str]) -> None:
        """Stores states, and removes settled charges by the id of the call that started them."""
        with self._file.transaction() as db:
            db.executemany("DELETE FROM pending_charges WHERE begun_by = ?", [(name,) for name in settled])
            # A replaced row becomes the newest, as in memory.
            db.executemany(
                "INSERT OR REPLACE INTO pending_charges (begun_by, state) VALUES (?, ?)",
                [(row.pending.begun_by, _json(row)) for row in states if row.pending],
            )


class PendingCharges:
    """The pending charges of one gateway."""

    def __init__(self, store: SqlitePendingStore, limit: int = MAX_PENDING) -> None:
        self._store = store
        self._limit = limit
        self._states: dict[str, CallRecord] = {}
        self._by_resource: dict[str, str] = {}

    async def load(self) -> None:
        """Call it once, before the journal is replayed."""
        for call in await trio.to_thread.run_sync(self._store.all):
            self.apply(call)

    def apply(self, call: CallRecord) -> None:
        """Applies the state in a row, if it has one."""
        if (pending := call.pending) is None:
            return
        # Removed first, so that it becomes the latest in the dict, as its row does in the store.
        before = self._states.pop(pending.begun_by, None)
        if before and before.pending and before.pending.resource:
            self._by_resource.pop(before.pending.resource, None)
        if pending.resource is not None:
            self._states[pending.begun_by] = call
            self._by_resource[pending.resource] = pending.begun_by

    def find(self, resource: str) -> CallRecord | None:
        """The pending charge that this resource determines."""
        begun_by = self._by_resource.get(resource)
        return None if begun_by is None else self._states.get(begun_by)

    def begun_by(self, call_id: str) -> CallRecord | None:
        """The pending charge that this call has started."""
        return self._states.get(call_id)

    def all(self) -> list[CallRecord]:
        """All pending charges, the least recently changed first."""
        return list(self._states.values())

    def surplus(self) -> list[CallRecord]:
        """The oldest ones beyond the limit."""
        return self.all()[: max(0, len(self._states) - self._limit)]

    async def store(self, rows: Iterable[CallRecord]) -> None:
        """Stores the states of rows, in their order, durably. Raises StoreFailed, and may then be
        repeated."""
        latest = {row.pending.begun_by: row for row in rows if row.pending}
        states = [row for row in latest.values() if row.pending and row.pending.resource]
        # A row without a resource is the last one: the charge is settled.
        settled = [name for name, row in latest.items() if row.pending and not row.pending.resource]
        if latest:
            await trio.to_thread.run_sync(self._store.put, states, settled)


def _json(row: CallRecord) -> str:
    # `usage` is as Google sent it, and need not be UTF-8.
    return msgspec.json.encode(row).decode(errors="replace")
