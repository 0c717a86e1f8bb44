"""Finds the previous call of a long decode by its continuation token.

A request that continues a long decode has the token of the previous call, which is looked up by the token's
digest, among the calls of the same key only: nothing about other keys' calls is revealed.

Memory has the reported tokens; the store has them as a projection of the journal, written before the
watermark of the spend advances. So nothing is lost if the process is killed: the rest is replayed from the
journal, and storing a token again is idempotent. The latest `MAX_TOKENS` tokens are kept, for
`RETENTION_DAYS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.keys.windows import MICROS_PER_SECOND

RETENTION_DAYS = 7  # Google does not document how long a token is valid
KEPT_MICROS = RETENTION_DAYS * 24 * 60 * 60 * MICROS_PER_SECOND
MAX_TOKENS = 20_000  # about 300 bytes of memory each


class Continuation(NamedTuple):
    """A token, by its digest, and the call that reported it and ended at `ended_at` (microseconds since
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
        """The latest tokens, the oldest of them first."""
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT key_id, digest, call_id, ended_at FROM continuations ORDER BY ended_at DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Continuation(*row) for row in reversed(rows)]

    def put(self, reported: Sequence[Continuation], expired_before: int, limit: int) -> None:
        """Adds tokens, replacing those with the same key and digest; removes tokens from before
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
                # SQLite has no OFFSET without a LIMIT; -1 means no limit.
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
        """Call it once, before the journal is replayed."""
        self.add(await trio.to_thread.run_sync(self._store.latest, self._limit))

    def add(self, reported: Iterable[Continuation]) -> None:
        """Adds the tokens of a call that has just ended, or is replayed."""
        for continuation in reported:
            key = continuation.key_id, continuation.digest
            # Removed first, so that it becomes the latest: assigning to an existing key keeps its position in
            # a dict.
            self._calls.pop(key, None)
            self._calls[key] = continuation
        while len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]

    def find(self, key_id: str, digest: str, now: int) -> str | None:
        """The id of the call that reported the token to this key."""
        found = self._calls.get((key_id, digest))
        return found.call_id if found and found.ended_at > now - KEPT_MICROS else None

    async def store(self, reported: Sequence[Continuation]) -> None:
        """Stores the tokens of calls durably. Raises StoreFailed, and may then be repeated."""
        if reported:
            expired_before = max(each.ended_at for each in reported) - KEPT_MICROS
            await trio.to_thread.run_sync(self._store.put, reported, expired_before, self._limit)
