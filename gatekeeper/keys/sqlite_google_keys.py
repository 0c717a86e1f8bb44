"""Google keys that were added over HTTP, in a table of the keys' SQLite file: in plain text, because they are
sent to Google. The file is readable by its owner only."""

from __future__ import annotations

from dataclasses import asdict

import msgspec

from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.audit import Change
from gatekeeper.keys.google_key_changes import StoredGoogleKey
from gatekeeper.keys.sqlite_audit import insert_change
from gatekeeper.keys.sqlite_file import SqliteFile


class SqliteGoogleKeyStore:
    """Shares the file with its owner, which closes it."""

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
        record = msgspec.json.encode(asdict(stored.key)).decode()
        with self._file.write_transaction() as db:
            db.execute(
                # Not INSERT OR REPLACE, which would give the row a new rowid, and so the key another place in
                # the pool.
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
        with self._file.write_transaction() as db:
            insert_change(db, change)
