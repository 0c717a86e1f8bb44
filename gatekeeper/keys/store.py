"""Where keys are kept. `KeyStore` is all that the rest knows; SQL is in this file and in `schema` only.

Methods block (call them from a worker thread) and may be called from any thread. Each is one transaction: it
happens as a whole, durably, or it raises and nothing has changed.

The stored spend of a key stands for the journal up to the watermark. Both grow in the same transaction, so
that whoever counts the journal from the watermark on has counted each call once.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from gatekeeper.keys.audit import Change, Entry
from gatekeeper.keys.budget import Charge
from gatekeeper.keys.record import KeyRecord, KeyState, Window
from gatekeeper.keys.schema import MIGRATIONS


class StoreError(Exception):
    """Root of what a store says no with."""


class AliasTaken(StoreError):
    """Another living key has this alias."""

    def __init__(self, alias: str) -> None:
        super().__init__(f"the alias {alias!r} belongs to another key: choose another, or rename that key")
        self.alias = alias


class SecretTaken(StoreError):
    """Another living key has this secret."""

    def __init__(self) -> None:
        super().__init__("this secret belongs to another key: choose another, or leave `key` out to get one")


class StoreFailed(StoreError):
    """The store cannot be read or written; nothing has changed. The message says what was found."""


class Position(NamedTuple):
    """A place in the journal: everything before `offset` (bytes) in `segment`, and in the segments before."""

    segment: int = 0
    offset: int = 0


class Loaded(NamedTuple):
    """All living keys, with their spend up to the journal's `watermark`."""

    states: list[KeyState]
    watermark: Position


class KeyStore(Protocol):
    """What any store of keys does. What writes raises StoreFailed if it cannot be done."""

    def load(self) -> Loaded:
        """Every living key and the watermark; `Position(0, 0)` if nothing has been charged yet."""
        ...

    def retired(self) -> set[str]:
        """The digests of secrets that were a key's once and are no living key's."""
        ...

    def insert(self, record: KeyRecord, window: Window, change: Change) -> None:
        """A new key that has spent nothing. Raises AliasTaken or SecretTaken."""
        ...

    def update(self, record: KeyRecord, window: Window, change: Change) -> None:
        """The key as it is from now on. What it spent before `window` began no longer counts.
        Raises AliasTaken or SecretTaken."""
        ...

    def delete(self, token_id: str, change: Change) -> None:
        """Forgets the key; `change` stays in the trail."""
        ...

    def charge(self, charges: Mapping[str, Charge], segment: int, offset: int) -> None:
        """Adds what the journal holds up to this watermark since the last one; nothing if this was the last
        one. One before it is of a journal begun anew. Keys that are gone are passed over."""
        ...

    def trail(self, limit: int, before: int | None = None) -> list[Entry]:
        """The last changes, newest first, those with an id below `before`."""
        ...

    def close(self) -> None: ...


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
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._failing():
                self._db.execute("PRAGMA journal_mode = WAL")
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
            if _watermark(db) == (segment, offset):
                return
            for token_id, charge in charges.items():
                _grow(db, token_id, charge)
            db.execute('UPDATE watermark SET segment = ?, "offset" = ?', (segment, offset))

    def trail(self, limit: int, before: int | None = None) -> list[Entry]:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, change FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
                (2**63 - 1 if before is None else before, limit),
            ).fetchall()
        return [Entry(row_id, msgspec.json.decode(change, type=Change)) for row_id, change in rows]

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
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:  # commits, or rolls back what an error left
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
