"""The owners of resources in a table of the keys' SQLite file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatekeeper.keys.owners import Changes, Owner
from gatekeeper.keys.sqlite_file import SqliteFile


class SqliteOwnerStore:
    """Shares the file with its owner, which closes it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def latest(self, limit: int) -> dict[str, Owner]:
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT name, key_id, user_id, google_key, made_at FROM owners "
                "ORDER BY made_at DESC, name DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return {name: Owner(*others) for name, *others in reversed(rows)}

    def find(self, names: Sequence[str]) -> dict[str, Owner]:
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT name, key_id, user_id, google_key, made_at FROM owners "
                # One parameter for any number of names: SQLite takes 32,766 at most.
                "WHERE name IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(names).decode(),),
            ).fetchall()
        return {name: Owner(*others) for name, *others in rows}

    def put(self, changes: Changes, files_before: int) -> None:
        gone = [(name,) for name, owner in changes.items() if owner is None]
        made = [
            (name, owner.key_id, owner.user_id, owner.google_key, owner.made_at)
            for name, owner in changes.items()
            if owner is not None
        ]
        with self._file.transaction() as db:
            db.executemany("DELETE FROM owners WHERE name = ?", gone)
            db.executemany(
                "INSERT OR REPLACE INTO owners (name, key_id, user_id, google_key, made_at) "
                "VALUES (?, ?, ?, ?, ?)",
                made,
            )
            # "0" follows "/".
            db.execute(
                # INDEXED BY makes it an error where the index cannot be used: each store would read all names
                # then.
                "DELETE FROM owners INDEXED BY owners_of_files "
                "WHERE name >= 'files/' AND name < 'files0' AND made_at < ?",
                (files_before,),
            )
