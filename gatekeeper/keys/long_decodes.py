"""Long decodes that may go on: which call a continuation token came from.

A request that goes on with one has the token of the call before. That is found by the token's digest, and
among the calls of the same key only: of another key's call nothing is shown.

Memory has what calls have reported; the store has it as a projection of the journal, written before the
spend's watermark moves on, so that a killed process loses nothing: what the store lacks is replayed from the
journal, and to store a token again changes nothing. Tokens are kept for `RETENTION_DAYS`, and no more than
`MAX_TOKENS` of them, the latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.keys.windows import MICROS_PER_SECOND

RETENTION_DAYS = 7  # Google does not say how long it takes a token
KEPT_MICROS = RETENTION_DAYS * 24 * 60 * 60 * MICROS_PER_SECOND
MAX_TOKENS = 20_000  # some 300 bytes of memory each


class Continuation(NamedTuple):
    """A token by its digest, and the call that reported it, which ended at that time (microseconds since
    1970)."""

    key_id: str
    digest: str
    call_id: str
    ended_at: int


class SqliteContinuationStore:
    """A table of the keys' SQLite file, which the caller closes. Methods block, may be called from any
    thread, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def latest(self, limit: int) -> list[Continuation]:
        """The latest ones, the oldest first."""
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT key_id, digest, call_id, ended_at FROM continuations ORDER BY ended_at DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Continuation(*row) for row in reversed(rows)]

    def put(self, reported: Sequence[Continuation], expired_before: int, limit: int) -> None:
        """Adds these, in place of earlier ones with the same key and digest; removes those from before
        `expired_before`, and all but the latest `limit`."""
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


class LongDecodes:
    """The tokens of one gateway's calls."""

    def __init__(self, store: SqliteContinuationStore, limit: int = MAX_TOKENS) -> None:
        self._store = store
        self._limit = limit
        self._calls: dict[tuple[str, str], Continuation] = {}

    async def load(self) -> None:
        """To be called once, before the journal is replayed."""
        self.add(await trio.to_thread.run_sync(self._store.latest, self._limit))

    def add(self, reported: Iterable[Continuation]) -> None:
        """Takes what a call that has just ended, or one that is replayed, has reported."""
        for continuation in reported:
            key = continuation.key_id, continuation.digest
            # Taken out first, so that it becomes the latest: a dict keeps the place of a key that it has.
            self._calls.pop(key, None)
            self._calls[key] = continuation
        while len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]

    def find(self, key_id: str, digest: str, now: int) -> str | None:
        """The id of the call that reported the token to this key."""
        found = self._calls.get((key_id, digest))
        return found.call_id if found and found.ended_at > now - KEPT_MICROS else None

    async def store(self, reported: Sequence[Continuation]) -> None:
        """Makes what calls have reported durable. Raises StoreFailed, and may then be repeated."""
        if reported:
            expired_before = max(each.ended_at for each in reported) - KEPT_MICROS
            await trio.to_thread.run_sync(self._store.put, reported, expired_before, self._limit)
