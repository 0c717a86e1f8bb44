"""Keys in one SQLite file: its tables, and their migration from older versions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from gatekeeper.keys.store import (
    AliasConflict,
    AuditEntry,
    KeyChange,
    LoadedKeys,
    SecretConflict,
    StoreFailed,
)
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, SpendDelta, Window
from gatekeeper.ledger.call import Position

# One script per version of the schema; `user_version` counts how many of them a file has had.
MIGRATIONS = (
    """
    CREATE TABLE keys (
      token_id TEXT PRIMARY KEY,
      secret_hash TEXT NOT NULL UNIQUE,
      key_alias TEXT UNIQUE,
      record TEXT NOT NULL,  -- JSON
      spend_pico TEXT NOT NULL,  -- digits: a sum may outgrow 64 bits, and SQLite would make it a float
      window_start INTEGER NOT NULL,  -- this and all other times: microseconds since 1970, UTC
      budget_reset_at INTEGER,
      last_used_at INTEGER
    ) STRICT;
    CREATE TABLE watermark (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      segment INTEGER NOT NULL,
      "offset" INTEGER NOT NULL
    ) STRICT;
    INSERT INTO watermark VALUES (1, 0, 0);
    CREATE TABLE audit (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      at INTEGER NOT NULL,
      token_id TEXT NOT NULL,
      change TEXT NOT NULL  -- JSON
    ) STRICT;
    """,
    # The part of spend_pico that is estimates.
    "ALTER TABLE keys ADD COLUMN estimated_pico TEXT NOT NULL DEFAULT '0'",
    # Secrets of keys that were deleted or have another secret now.
    "CREATE TABLE retired (secret_hash TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
)


class SqliteKeyStore:
    """Keys in one SQLite file that only its owner may read: write-ahead log, every commit on disk.

    Raises StoreFailed if the file cannot be opened, is not a key store, or is of a newer gatekeeper.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._map_errors():
            # Created before SQLite opens it, so that it and the log beside it are private from the start.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            # Transactions are begun explicitly, not by the sqlite3 module; the lock serializes threads.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._map_errors():
                self._db.execute("PRAGMA journal_mode = WAL")
                # With a write-ahead log NORMAL would lose the last commits in a power failure.
                self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self._checkpoint()
        except StoreFailed:
            self._db.close()
            raise

    def load(self) -> LoadedKeys:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT record, spend_pico, estimated_pico, window_start, budget_reset_at, last_used_at "
                "FROM keys"
            ).fetchall()
            return LoadedKeys([_state(*row) for row in rows], _watermark(db))

    def revoked_hashes(self) -> set[str]:
        with self._transaction() as db:
            return {digest for (digest,) in db.execute("SELECT secret_hash FROM retired")}

    def insert(self, record: KeyRecord, window: Window, change: KeyChange) -> None:
        with self._write_transaction() as db:
            _check_duplicates(db, record)
            db.execute(
                "INSERT INTO keys (token_id, secret_hash, key_alias, record, spend_pico, window_start, "
                "budget_reset_at) VALUES (?, ?, ?, ?, '0', ?, ?)",
                (record.token_id, record.secret_hash, record.key_alias, _json(record), *window),
            )
            _unrevoke_secret(db, record)
            _insert_audit(db, change)

    def update(self, record: KeyRecord, window: Window, change: KeyChange) -> None:
        with self._write_transaction() as db:
            _check_duplicates(db, record)
            # Before the row has the new secret: the old one is revoked, and `_unrevoke_secret` undoes it if
            # the secret stays.
            _revoke_secret(db, record.token_id, change.at)
            db.execute(
                "UPDATE keys SET secret_hash = ?, key_alias = ?, record = ? WHERE token_id = ?",
                (record.secret_hash, record.key_alias, _json(record), record.token_id),
            )
            _unrevoke_secret(db, record)
            _add_spend(db, record.token_id, SpendDelta(window, 0, None))
            _insert_audit(db, change)

    def delete(self, token_id: str, change: KeyChange) -> None:
        with self._write_transaction() as db:
            _revoke_secret(db, token_id, change.at)
            db.execute("DELETE FROM keys WHERE token_id = ?", (token_id,))
            _insert_audit(db, change)

    def add_spend(self, spend_deltas: Mapping[str, SpendDelta], segment: int, offset: int) -> None:
        with self._write_transaction() as db:
            # The caller repeats this if it does not know whether the transaction was committed.
            if _watermark(db) == (segment, offset):
                return
            for token_id, delta in spend_deltas.items():
                _add_spend(db, token_id, delta)
            db.execute('UPDATE watermark SET segment = ?, "offset" = ?', (segment, offset))

    def audit_log(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, change FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
                (2**63 - 1 if before is None else before, limit),
            ).fetchall()
        return [AuditEntry(row_id, msgspec.json.decode(change, type=KeyChange)) for row_id, change in rows]

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _migrate(self) -> None:
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreFailed(
                    f"{self._path} has schema version {version}, this gatekeeper knows up to "
                    f"{len(MIGRATIONS)}: start the newer gatekeeper that wrote it"
                )
            for script in MIGRATIONS[version:]:
                # Not `executescript`, which commits an open transaction before it begins.
                for statement in script.split(";\n"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _write_transaction(self) -> Generator[sqlite3.Connection]:
        """A transaction, followed by a WAL checkpoint. By itself SQLite makes one every 1,000 pages, which
        keys may not fill in months: a copy of the file alone would be empty."""
        with self._transaction() as db:
            yield db
        self._checkpoint()

    def _checkpoint(self) -> None:
        # The data is on disk in the log already. Passive: neither waits for a reader nor blocks one.
        with self._lock, suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._map_errors():
            # Takes the write lock at once: taking it later fails if another process has written meanwhile.
            self._db.execute("BEGIN IMMEDIATE")
            # Commits, or rolls back after an error.
            with self._db:
                yield self._db

    @contextmanager
    def _map_errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"the key store {self._path} failed: {error}") from error


def _state(
    record: str, spend: str, estimated: str, start: int, reset_at: int | None, used_at: int | None
) -> KeyState:
    return KeyState(
        record=msgspec.json.decode(record, type=KeyRecord),
        spend_pico=int(spend),
        estimated_pico=int(estimated),
        window_start=start,
        budget_reset_at=reset_at,
        last_used_at=used_at,
    )


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _watermark(db: sqlite3.Connection) -> Position:
    return Position(*db.execute('SELECT segment, "offset" FROM watermark').fetchone())


def _check_duplicates(db: sqlite3.Connection, record: KeyRecord) -> None:
    others = "SELECT 1 FROM keys WHERE token_id <> ? AND "
    if db.execute(others + "secret_hash = ?", (record.token_id, record.secret_hash)).fetchone():
        raise SecretConflict
    if record.key_alias is None:
        return
    if db.execute(others + "key_alias = ?", (record.token_id, record.key_alias)).fetchone():
        raise AliasConflict(record.key_alias)


def _revoke_secret(db: sqlite3.Connection, token_id: str, at: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO retired SELECT secret_hash, ? FROM keys WHERE token_id = ?", (at, token_id)
    )


def _unrevoke_secret(db: sqlite3.Connection, record: KeyRecord) -> None:
    """The secret of an existing key is not revoked, though it may have been."""
    db.execute("DELETE FROM retired WHERE secret_hash = ?", (record.secret_hash,))


def _add_spend(db: sqlite3.Connection, token_id: str, delta: SpendDelta) -> None:
    """Adds to a key's spend; what it spent before the delta's window no longer counts."""
    row = db.execute(
        "SELECT spend_pico, estimated_pico, window_start, last_used_at FROM keys WHERE token_id = ?",
        (token_id,),
    ).fetchone()
    if row is None:
        return
    spend, estimated, start, used_at = row
    kept = start >= delta.window.start
    db.execute(
        "UPDATE keys SET spend_pico = ?, estimated_pico = ?, window_start = ?, budget_reset_at = ?, "
        "last_used_at = ? WHERE token_id = ?",
        (
            # As digits: a sum may outgrow SQLite's 64 bits.
            str((int(spend) if kept else 0) + delta.spend_pico),
            str((int(estimated) if kept else 0) + delta.estimated_pico),
            *delta.window,
            _latest(used_at, delta.last_used_at),
            token_id,
        ),
    )


def _latest(*times: int | None) -> int | None:
    return max((time for time in times if time is not None), default=None)


def _insert_audit(db: sqlite3.Connection, change: KeyChange) -> None:
    db.execute(
        "INSERT INTO audit (at, token_id, change) VALUES (?, ?, ?)",
        (change.at, change.token_id, _json(change)),
    )
