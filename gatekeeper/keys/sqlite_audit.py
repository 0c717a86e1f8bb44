"""The audit log in a table of the keys' SQLite file, whose triggers refuse every update and deletion."""

from __future__ import annotations

import sqlite3

import msgspec

from gatekeeper.keys.audit import AuditEntry, AuditFilter, Change
from gatekeeper.keys.sqlite_file import SqliteFile

LAST_ID = 2**63 - 1


def insert_change(db: sqlite3.Connection, change: Change) -> None:
    """Within the transaction of the change itself."""
    db.execute(
        "INSERT INTO audit (at, token_id, change) VALUES (?, ?, ?)",
        (change.at, change.token_id or "", msgspec.json.encode(change).decode()),
    )


class SqliteAuditStore:
    """Shares the file with its owner, which closes it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def append(self, change: Change) -> None:
        with self._file.write_transaction() as db:
            insert_change(db, change)

    def find(self, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
        conditions, values = _conditions(wanted)
        with self._file.transaction() as db:
            rows = db.execute(
                f"SELECT id, change FROM audit WHERE {conditions} ORDER BY id DESC LIMIT ?",  # noqa: S608  columns only
                (*values, limit),
            ).fetchall()
        return [AuditEntry(row_id, msgspec.json.decode(change, type=Change)) for row_id, change in rows]


def _conditions(wanted: AuditFilter) -> tuple[str, list[object]]:
    bounds = (
        # Always there, so that there is a WHERE that others can be added to.
        ("id < ?", LAST_ID if wanted.before is None else wanted.before),
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
    )
    known = [(text, value) for text, value in bounds if value is not None]
    texts = [text for text, _ in known]
    values: list[object] = [value for _, value in known]
    for columns, names in (
        (("json_extract(change, '$.action')",), wanted.actions),
        (
            ("token_id", "json_extract(change, '$.key_alias')", "json_extract(change, '$.target')"),
            wanted.keys,
        ),
        (("json_extract(change, '$.by')", "json_extract(change, '$.by_alias')"), wanted.by),
    ):
        if names:
            marks = ", ".join("?" * len(names))
            texts.append("(" + " OR ".join(f"{column} IN ({marks})" for column in columns) + ")")
            values.extend(names * len(columns))
    return " AND ".join(texts), values
