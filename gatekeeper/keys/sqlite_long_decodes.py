"""Continuation tokens in a table of the keys' SQLite file."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.keys.long_decodes import Continuation
from gatekeeper.keys.sqlite_file import SqliteFile


class SqliteContinuationStore:
    """Shares the file with its owner, which closes it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def latest(self, limit: int) -> list[Continuation]:
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT key_id, digest, call_id, ended_at FROM continuations ORDER BY ended_at DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Continuation(*row) for row in reversed(rows)]

    def put(self, reported: Sequence[Continuation], expired_before: int, limit: int) -> None:
        with self._file.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO continuations (key_id, digest, call_id, ended_at) "
                "VALUES (?, ?, ?, ?)",
                reported,
            )
            db.execute("DELETE FROM continuations WHERE ended_at <= ?", (expired_before,))
            db.execute(
                "DELETE FROM continuations WHERE rowid IN "
                # SQLite has no OFFSET without a LIMIT; -1 is none.
                "(SELECT rowid FROM continuations ORDER BY ended_at DESC LIMIT -1 OFFSET ?)",
                (limit,),
            )
