"""Keys in one SQLite file: the only place that knows its tables, and how a file of an older gatekeeper gets
them."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from gatekeeper.keys.store import AliasTaken, AuditEntry, Change, Loaded, SecretTaken, StoreFailed
from gatekeeper.keys.virtual_key import Charge, KeyRecord, KeyState, Window
from gatekeeper.ledger.call import Position

# One script for each version of the schema; `user_version` says how many of them a file has had.
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
    # Secrets of keys that were deleted or given another one.
    "CREATE TABLE retired (secret_hash TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
)


class SqliteKeyStore:
    """Keys in one SQLite file that its owner alone may read: write-ahead log, every commit on disk.

    Raises StoreFailed if the file cannot be opened, is no such store, or is of a newer gatekeeper.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._failing():
            # Made before SQLite opens it, so that it and the log beside it are private from the start.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            # Transactions are begun here, not by the module; threads take turns by the lock.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._failing():
                self._db.execute("PRAGMA journal_mode = WAL")
                # With a write-ahead log NORMAL would lose the last commits with the power.
                self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self._checkpoint()
        except StoreFailed:
            self._db.close()
            raise

    def load(self) -> Loaded:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT record, spend_pico, estimated_pico, window_start, budget_reset_at, last_used_at "
                "FROM keys"
            ).fetchall()
            return Loaded([_state(*row) for row in rows], _watermark(db))

    def retired(self) -> set[str]:
        with self._transaction() as db:
            return {digest for (digest,) in db.execute("SELECT secret_hash FROM retired")}

    def insert(self, record: KeyRecord, window: Window, change: Change) -> None:
        with self._writing() as db:
            _refuse_doubles(db, record)
            db.execute(
                "INSERT INTO keys (token_id, secret_hash, key_alias, record, spend_pico, window_start, "
                "budget_reset_at) VALUES (?, ?, ?, ?, '0', ?, ?)",
                (record.token_id, record.secret_hash, record.key_alias, _json(record), *window),
            )
            _revive(db, record)
            _note(db, change)

    def update(self, record: KeyRecord, window: Window, change: Change) -> None:
        with self._writing() as db:
            _refuse_doubles(db, record)
            # Before the row has the new secret: the old one retires, and `_revive` takes it back if it stays.
            _retire(db, record.token_id, change.at)
            db.execute(
                "UPDATE keys SET secret_hash = ?, key_alias = ?, record = ? WHERE token_id = ?",
                (record.secret_hash, record.key_alias, _json(record), record.token_id),
            )
            _revive(db, record)
            _grow(db, record.token_id, Charge(window, 0, None))
            _note(db, change)

    def delete(self, token_id: str, change: Change) -> None:
        with self._writing() as db:
            _retire(db, token_id, change.at)
            db.execute("DELETE FROM keys WHERE token_id = ?", (token_id,))
            _note(db, change)

    def charge(self, charges: Mapping[str, Charge], segment: int, offset: int) -> None:
        with self._writing() as db:
            # A charge is repeated when it is not known whether it came through.
            if _watermark(db) == (segment, offset):
                return
            for token_id, charge in charges.items():
                _grow(db, token_id, charge)
            db.execute('UPDATE watermark SET segment = ?, "offset" = ?', (segment, offset))

    def trail(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, change FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
                (2**63 - 1 if before is None else before, limit),
            ).fetchall()
        return [AuditEntry(row_id, msgspec.json.decode(change, type=Change)) for row_id, change in rows]

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
                # Not `executescript`, which commits what is open before it begins.
                for statement in script.split(";\n"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction, and after it the log's way into the database. Left to itself SQLite does that each
        1,000 pages, which keys may not fill in months: a copy of the file alone would be empty."""
        with self._transaction() as db:
            yield db
        self._checkpoint()

    def _checkpoint(self) -> None:
        # What was written is on disk in the log already. Passive: neither waits for a reader nor hinders one.
        with self._lock, suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._failing():
            # The write lock at once: one that is asked for later fails if another process has written.
            self._db.execute("BEGIN IMMEDIATE")
            # Commits, or rolls back what an error left
            with self._db:
                yield self._db

    @contextmanager
    def _failing(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"the store of keys {self._path} does not work: {error}") from error


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


def _refuse_doubles(db: sqlite3.Connection, record: KeyRecord) -> None:
    others = "SELECT 1 FROM keys WHERE token_id <> ? AND "
    if db.execute(others + "secret_hash = ?", (record.token_id, record.secret_hash)).fetchone():
        raise SecretTaken
    if record.key_alias is None:
        return
    if db.execute(others + "key_alias = ?", (record.token_id, record.key_alias)).fetchone():
        raise AliasTaken(record.key_alias)


def _retire(db: sqlite3.Connection, token_id: str, at: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO retired SELECT secret_hash, ? FROM keys WHERE token_id = ?", (at, token_id)
    )


def _revive(db: sqlite3.Connection, record: KeyRecord) -> None:
    """The secret of a living key is not retired, though it may have been."""
    db.execute("DELETE FROM retired WHERE secret_hash = ?", (record.secret_hash,))


def _grow(db: sqlite3.Connection, token_id: str, charge: Charge) -> None:
    """Adds to a key's spend; what it spent before the charge's window is over."""
    row = db.execute(
        "SELECT spend_pico, estimated_pico, window_start, last_used_at FROM keys WHERE token_id = ?",
        (token_id,),
    ).fetchone()
    if row is None:
        return
    spend, estimated, start, used_at = row
    kept = start >= charge.window.start
    db.execute(
        "UPDATE keys SET spend_pico = ?, estimated_pico = ?, window_start = ?, budget_reset_at = ?, "
        "last_used_at = ? WHERE token_id = ?",
        (
            # As digits: a sum may outgrow SQLite's 64 bits.
            str((int(spend) if kept else 0) + charge.spend_pico),
            str((int(estimated) if kept else 0) + charge.estimated_pico),
            *charge.window,
            _later(used_at, charge.last_used_at),
            token_id,
        ),
    )


def _later(*times: int | None) -> int | None:
    return max((time for time in times if time is not None), default=None)


def _note(db: sqlite3.Connection, change: Change) -> None:
    db.execute(
        "INSERT INTO audit (at, token_id, change) VALUES (?, ?, ?)",
        (change.at, change.token_id, _json(change)),
    )
