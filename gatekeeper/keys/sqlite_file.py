"""A SQLite file that only its owner may read: opening, migrations and transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import trio

# One script per version of the schema; `user_version` is the number of scripts that a file has had.
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
    # The estimated part of spend_pico.
    "ALTER TABLE keys ADD COLUMN estimated_pico TEXT NOT NULL DEFAULT '0'",
    # Secrets of keys that were deleted or have another secret now.
    "CREATE TABLE retired (secret_hash TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
    """
    CREATE TABLE sessions (
      digest TEXT PRIMARY KEY,  -- of the upload id, or of the ephemeral token
      kind TEXT NOT NULL,
      key_id TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      record TEXT NOT NULL  -- JSON
    ) STRICT;
    CREATE INDEX sessions_of_key ON sessions (key_id, kind);
    CREATE INDEX sessions_by_expiry ON sessions (expires_at)
    """,
    """
    CREATE TABLE continuations (
      key_id TEXT NOT NULL,
      digest TEXT NOT NULL,  -- of the token of a long decode
      call_id TEXT NOT NULL,  -- of the call that reported it
      ended_at INTEGER NOT NULL,
      PRIMARY KEY (key_id, digest)
    ) STRICT;
    CREATE INDEX continuations_by_end ON continuations (ended_at)
    """,
    """
    CREATE TABLE free_searches (
      call_id TEXT NOT NULL,
      project TEXT NOT NULL,  -- the label of its Google key
      pool TEXT NOT NULL,
      starts TEXT NOT NULL,  -- the first day of the pool's day or month
      taken INTEGER NOT NULL,
      PRIMARY KEY (call_id, pool)
    ) STRICT
    """,
    # Runs of `prices reprice` whose differences are included in the keys' spend.
    "CREATE TABLE repriced (run_id TEXT PRIMARY KEY) STRICT",
    """
    CREATE TABLE pending_charges (
      begun_by TEXT PRIMARY KEY,  -- the id of a call
      state TEXT NOT NULL  -- the latest row of it, as JSON
    ) STRICT
    """,
    """
    CREATE TABLE owners (
      name TEXT PRIMARY KEY,  -- of a resource: files/x
      key_id TEXT NOT NULL,
      user_id TEXT,
      google_key TEXT,  -- the label of the Google key that made it
      made_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX owners_by_age ON owners (made_at);
    CREATE INDEX owners_of_files ON owners (made_at) WHERE name >= 'files/' AND name < 'files0'
    """,
    # Of groups, end users and the gateway, and of models within any account.
    """
    CREATE TABLE accounts (
      kind TEXT NOT NULL,
      name TEXT NOT NULL,
      model TEXT NOT NULL,  -- a glob, or empty
      record TEXT,  -- JSON, of a group or an end user
      spend_pico TEXT NOT NULL DEFAULT '0',  -- digits, as of keys
      estimated_pico TEXT NOT NULL DEFAULT '0',
      window_start INTEGER NOT NULL DEFAULT 0,
      budget_reset_at INTEGER,
      PRIMARY KEY (kind, name, model)
    ) STRICT
    """,
    # The audit log is append-only.
    """
    CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE INDEX audit_of_key ON audit (token_id)
    """,
    """
    CREATE TABLE former_keys (
      token_id TEXT PRIMARY KEY,
      share TEXT NOT NULL,  -- of a deleted key: who else sees what it has made
      key_group TEXT
    ) STRICT
    """,
    """
    CREATE TABLE google_keys (
      label TEXT PRIMARY KEY,
      record TEXT NOT NULL,  -- JSON, with the secret in plain text: it is sent to Google
      draining INTEGER NOT NULL
    ) STRICT
    """,
    # What calls have cost of late, by key (empty: all of them), model and action.
    """
    CREATE TABLE costs (
      key_id TEXT NOT NULL,
      model TEXT NOT NULL,
      action TEXT NOT NULL,
      largest TEXT NOT NULL,  -- JSON
      PRIMARY KEY (key_id, model, action)
    ) STRICT
    """,
)

CHECKPOINT_INTERVAL = 1.0  # seconds between checkpoints, which take as long as a transaction


class StoreError(Exception):
    """Base class of store errors."""


class StoreFailed(StoreError):
    """The store cannot be read or written; nothing has changed. The message gives the cause."""


class SqliteFile:
    """A database with a write-ahead log; every commit is on disk. Several stores may share it, from any
    thread.

    Raises StoreFailed if the file cannot be opened, is not a key store, or is of a newer gatekeeper.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.needs_checkpoint = False
        """Whether the log has changes that a `checkpoint` must move into the file."""
        self._last_checkpoint = monotonic()
        self.schema_before = 0
        """The schema version of the file before it was migrated; 0 for a new one."""
        with self._map_errors():
            # Created before SQLite opens it, so that the file and its log are private from the start.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            # Transactions are explicit, not those of the sqlite3 module; the lock serializes threads.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._map_errors():
                # A transaction needs one fsync, of the log, and does not wait for readers of the file.
                self._db.execute("PRAGMA journal_mode = WAL")
                # With a write-ahead log NORMAL would lose the last commits in a power failure.
                self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self.checkpoint()
        except StoreFailed:
            self._db.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _migrate(self) -> None:
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreFailed(
                    f"{self._path} has schema version {version}, this gatekeeper knows up to "
                    f"{len(MIGRATIONS)}: start the newer gatekeeper that wrote it"
                )
            self.schema_before = version
            for script in MIGRATIONS[version:]:
                # Not `executescript`, which would commit the open transaction first.
                for statement in script.split(";\n"):
                    db.execute(statement)
            # SQLite accepts no parameters in a PRAGMA. In the same transaction, so that a file cannot be half
            # migrated.
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def write_transaction(self) -> Generator[sqlite3.Connection]:
        """A transaction, followed by a checkpoint unless there was one a moment ago; in that case the next
        checkpoint includes it, at the latest that of `make_checkpoints`."""
        with self.transaction() as db:
            yield db
            self.needs_checkpoint = True
        if monotonic() - self._last_checkpoint >= CHECKPOINT_INTERVAL:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Moves the changes from the log into the file. SQLite itself does so every 1,000 pages, which may
        take months: a copy of the file without the log would be empty."""
        # The data is already on disk in the log. Passive: neither waits for readers nor blocks them.
        with self._lock, suppress(sqlite3.Error):
            # Returns whether it was blocked, the frames in the log, and how many of them are in the file.
            _, logged, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._last_checkpoint, self.needs_checkpoint = monotonic(), logged != moved

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._map_errors():
            # Takes the write lock at once: later it would fail if another process has written meanwhile.
            self._db.execute("BEGIN IMMEDIATE")
            # Commits, or rolls back on an error.
            with self._db:
                yield self._db

    @contextmanager
    def _map_errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"the key store {self._path} failed: {error}") from error


async def make_checkpoints(file: SqliteFile) -> None:
    """Makes checkpoints until cancelled; `close` makes the last one."""
    while True:
        await trio.sleep(CHECKPOINT_INTERVAL)
        if file.needs_checkpoint:
            await trio.to_thread.run_sync(file.checkpoint)
