"""Changes of the Google keys while the gateway runs. Added keys are stored with their secret in the keys'
SQLite file, which only its owner may read; in plain text, because the secret is sent to Google. Changes of a
key from the settings last until the next start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import NamedTuple

import msgspec
import trio

from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.audit import Actor, Change, insert_change
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.sqlite_file import SqliteFile


class StoredGoogleKey(NamedTuple):
    key: GoogleKey
    draining: bool = False


class SqliteGoogleKeyStore:
    """A table of the keys' SQLite file, which the caller closes. Methods block, may be called from any
    thread, raise StoreFailed, and commit a change together with its entry in the audit log."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def all(self) -> list[StoredGoogleKey]:
        with self._file.transaction() as db:
            rows = db.execute("SELECT record, draining FROM google_keys ORDER BY rowid").fetchall()
        return [
            StoredGoogleKey(msgspec.json.decode(record, type=GoogleKey), bool(draining))
            for record, draining in rows
        ]

    def put(self, stored: StoredGoogleKey, change: Change) -> None:
        """Adds a key, or sets the one with its label."""
        record = msgspec.json.encode(asdict(stored.key)).decode()
        with self._file.write_transaction() as db:
            db.execute(
                # Not INSERT OR REPLACE, which would give the row a new rowid and so change the order of the
                # pool.
                "INSERT INTO google_keys (label, record, draining) VALUES (?, ?, ?) "
                "ON CONFLICT (label) DO UPDATE SET record = excluded.record, draining = excluded.draining",
                (stored.key.label, record, int(stored.draining)),
            )
            insert_change(db, change)

    def remove(self, label: str, change: Change) -> None:
        with self._file.write_transaction() as db:
            db.execute("DELETE FROM google_keys WHERE label = ?", (label,))
            insert_change(db, change)

    def note(self, change: Change) -> None:
        """Logs a change of a key from the settings, which is not stored."""
        with self._file.write_transaction() as db:
            insert_change(db, change)


class GoogleKeyConflict(Exception):
    """A change that conflicts with the current state. `field` is the field that causes it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class GoogleKeyNotFound(LookupError):
    def __init__(self, label: str, labels: Iterable[str]) -> None:
        super().__init__(f"no Google key has the label {label[:64]!r}; there are {', '.join(labels)}")


class GoogleKeyChanges:
    """Changes the pool of one gateway, one change at a time; `by` is who makes it at `now`. Methods raise
    GoogleKeyNotFound, GoogleKeyConflict and StoreFailed."""

    def __init__(self, pool: GoogleKeys, store: SqliteGoogleKeyStore) -> None:
        self.pool = pool
        self._store = store
        self._stored: set[str] = set()
        self._lock = trio.Lock()
        self.on_change: Callable[[], None] = lambda: None

    async def load(self) -> list[str]:
        """Adds the stored keys to the pool; returns the labels of those that were not added, because a key in
        the settings has the same label or secret."""
        passed: list[str] = []
        for key, draining in await trio.to_thread.run_sync(self._store.all):
            if self.pool.find(key.label) or key.secret in self.pool.secrets:
                passed.append(key.label)
            else:
                self.pool.add(key, draining=draining)
                self._stored.add(key.label)
        return passed

    def is_stored(self, label: str) -> bool:
        """Whether the key was added here; otherwise it is in the settings."""
        return label in self._stored

    async def add(self, key: GoogleKey, *, now: int, by: Actor) -> None:
        async with self._lock:
            if self.pool.find(key.label):
                raise GoogleKeyConflict("label", f"there is a Google key with the label {key.label!r}")
            if any(pooled.key.secret == key.secret for pooled in self.pool):
                raise GoogleKeyConflict("key", "another label has this Google key")
            change = Change.of("google_key.add", now, by, without_secret(key), target=key.label)
            # Before it is in the pool: the next start must know the project of resources that are created
            # with it.
            await trio.to_thread.run_sync(self._store.put, StoredGoogleKey(key), change)
            self._stored.add(key.label)
            self.pool.add(key)
            self.on_change()

    async def drain(self, label: str, *, now: int, by: Actor) -> None:
        """Drains a key: it gets no new calls, except those that only its project can serve."""
        async with self._lock:
            self._require_another(label, "drain")
            await self._set_draining(label, "drain", now, by, draining=True)
            if pooled := self.pool.find(label):
                pooled.draining = True

    async def resume(self, label: str, *, now: int, by: Actor) -> None:
        """Resumes a key: it gets calls again, and earlier errors from Google are forgotten."""
        async with self._lock:
            await self._set_draining(label, "resume", now, by, draining=False)
            self.pool.resume(label)

    async def remove(self, label: str, *, now: int, by: Actor) -> None:
        """No more calls are made with it; those that run go on."""
        async with self._lock:
            self._require_another(label, "remove")
            change = Change.of(
                "google_key.remove", now, by, without_secret(self._require(label)), target=label
            )
            if self.is_stored(label):
                await trio.to_thread.run_sync(self._store.remove, label, change)
                self._stored.discard(label)
            else:
                await trio.to_thread.run_sync(self._store.note, change)
            # Last: if the store fails, the key is still used, as it would be after the next start.
            self.pool.remove(label)

    async def _set_draining(self, label: str, action: str, now: int, by: Actor, *, draining: bool) -> None:
        key, pooled = self._require(label), self.pool.find(label)
        before = pooled is not None and pooled.draining
        detail: dict[str, object] = {"draining": {"from": before, "to": draining}}
        change = Change.of(f"google_key.{action}", now, by, detail, target=label)
        if self.is_stored(label):
            await trio.to_thread.run_sync(self._store.put, StoredGoogleKey(key, draining), change)
        else:
            await trio.to_thread.run_sync(self._store.note, change)

    def _require(self, label: str) -> GoogleKey:
        if pooled := self.pool.find(label):
            return pooled.key
        raise GoogleKeyNotFound(label, (each.key.label for each in self.pool))

    def _require_another(self, label: str, what: str) -> None:
        self._require(label)
        if not any(each.key.label != label and not each.draining for each in self.pool):
            raise GoogleKeyConflict(
                "label", f"no other Google key takes calls: add one before you {what} this"
            )


def without_secret(key: GoogleKey) -> dict[str, object]:
    """The key without its secret."""
    return {
        "project": key.project,
        "weight": key.weight,
        "models": list(key.models),
        "rpm": key.rpm,
        "tpm": key.tpm,
    }
