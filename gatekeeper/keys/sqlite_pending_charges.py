"""Pending charges in a table of the keys' SQLite file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.ledger.call import CallRecord

_decode = msgspec.json.Decoder(CallRecord).decode


class SqlitePendingStore:
    """Shares the file with its owner, which closes it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def all(self) -> list[CallRecord]:
        with self._file.transaction() as db:
            rows = db.execute("SELECT state FROM pending_charges ORDER BY rowid").fetchall()
        return [_decode(state) for (state,) in rows]

    def put(self, states: Sequence[CallRecord], settled: Sequence[str]) -> None:
        with self._file.transaction() as db:
            db.executemany("DELETE FROM pending_charges WHERE begun_by = ?", [(name,) for name in settled])
            # Replaced, it becomes the newest, as in memory.
            db.executemany(
                "INSERT OR REPLACE INTO pending_charges (begun_by, state) VALUES (?, ?)",
                [(row.pending.begun_by, _json(row)) for row in states if row.pending],
            )


def _json(row: CallRecord) -> str:
    # `usage` is as Google sent it, and need not be UTF-8.
    return msgspec.json.encode(row).decode(errors="replace")
