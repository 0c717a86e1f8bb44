"""The audit log: who changed what, when, from which address, with the old and new values. It is append-only
and contains no secrets.

A change of a key, a group or an end user is committed in the same transaction as its entry.
"""

from __future__ import annotations

import sqlite3

import msgspec
import trio

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.keys.virtual_key import Role
from gatekeeper.times import iso

LAST_ID = 2**63 - 1
_ACCOUNT_ACTIONS = ("create", "update", "block", "unblock", "delete", "import")
ACTIONS = (
    *_ACCOUNT_ACTIONS,
    "regenerate",
    "end_grace",
    *(f"{kind}.{action}" for kind in ("group", "user") for action in _ACCOUNT_ACTIONS),
    *(f"google_key.{action}" for action in ("add", "drain", "resume", "remove")),
    "prices.reload",
    "prices.reprice",
    "file.lend",
    "file.return",
)
"""The kinds of changes; those without a dot are changes of keys."""


class Actor(msgspec.Struct, frozen=True):
    """Who requests a change. `by` is a `token_id`, `master`, `open` (in open mode) or `gateway` (a change by
    the gateway itself); `alias` is that of the key, `address` the client's, `role` the role that was used."""

    by: str
    alias: str | None = None
    role: Role | None = None
    address: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change. `token_id` and `key_alias` identify a changed key, `target` is the name of anything else.
    `detail` has the changed fields as the API returns them: `{"from": …, "to": …}` for each."""

    at: int
    by: str
    by_alias: str | None = None
    role: Role | None = None
    address: str | None = None
    action: str
    token_id: str | None = None
    key_alias: str | None = None
    target: str | None = None
    detail: dict[str, object] = {}

    @classmethod
    def of(
        cls,
        action: str,
        at: int,
        actor: Actor | str,
        detail: dict[str, object],
        *,
        token_id: str | None = None,
        key_alias: str | None = None,
        target: str | None = None,
    ) -> Change:
        """Creates a change. A string as `actor` stands for the gateway itself."""
        who = actor if isinstance(actor, Actor) else Actor(actor)
        return cls(
            at=at,
            by=who.by,
            by_alias=who.alias,
            role=who.role,
            address=who.address,
            action=action,
            token_id=token_id,
            key_alias=key_alias,
            target=target,
            detail=detail,
        )


class AuditEntry(msgspec.Struct, frozen=True):
    """An entry of the audit log; ids increase."""

    id: int
    change: Change


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects changes that match all conditions, and any of several names. `keys` are ids or aliases (at the
    time) of changed keys, or the names of other targets; `by` are ids or aliases. `since` (inclusive) and
    `until` (exclusive) are microseconds since 1970."""

    actions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    before: int | None = None
    """Only entries with an id below this."""


def insert_change(db: sqlite3.Connection, change: Change) -> None:
    """Inserts the entry, within the transaction of the change itself."""
    db.execute(
        "INSERT INTO audit (at, token_id, change) VALUES (?, ?, ?)",
        (change.at, change.token_id or "", msgspec.json.encode(change).decode()),
    )


class SqliteAuditStore:
    """A table of the keys' SQLite file, which the caller closes; triggers reject every UPDATE and DELETE.
    Methods block, may be called from any thread, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def append(self, change: Change) -> None:
        """Returns when the entry is on disk."""
        with self._file.write_transaction() as db:
            insert_change(db, change)

    def find(self, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
        """The latest changes, newest first."""
        conditions, values = _conditions(wanted)
        with self._file.transaction() as db:
            rows = db.execute(
                f"SELECT id, change FROM audit WHERE {conditions} ORDER BY id DESC LIMIT ?",  # noqa: S608  columns only
                (*values, limit),
            ).fetchall()
        return [AuditEntry(row_id, msgspec.json.decode(change, type=Change)) for row_id, change in rows]


def _conditions(wanted: AuditFilter) -> tuple[str, list[object]]:
    bounds = (
        # Always included, so that there is a WHERE clause to add others to.
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


class AuditLog:
    """The log of one gateway: reads it, and appends changes that are not made in the key store."""

    def __init__(self, store: SqliteAuditStore) -> None:
        self._store = store

    async def append(self, change: Change) -> None:
        """Returns when the entry is on disk. Raises StoreFailed."""
        await trio.to_thread.run_sync(self._store.append, change)

    async def find(self, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
        """The latest changes, newest first. Raises StoreFailed."""
        return await trio.to_thread.run_sync(self._store.find, wanted, limit)


def audit_document(entry: AuditEntry) -> dict[str, object]:
    """The entry as the API returns it, JSON-ready."""
    change = entry.change
    return {
        "id": entry.id,
        "at": iso(change.at),
        "by": change.by,
        "by_alias": change.by_alias,
        "role": change.role,
        "address": change.address,
        "action": change.action,
        "token_id": change.token_id,
        "key_alias": change.key_alias,
        "target": change.target,
        "detail": change.detail,
    }


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """The fields that differ between two documents, each as `{"from": …, "to": …}`."""
    return {
        name: {"from": before.get(name), "to": value}
        for name, value in after.items()
        if before.get(name) != value and name != "updated_at"  # which changes with each
    }
