"""What a store of keys does, and what it keeps beside them: who changed which key, when, from what to what.

Methods block (call them from a worker thread) and may be called from any thread. Each is one transaction: it
happens as a whole, durably, or it raises and nothing has changed.

The stored spend of a key stands for the journal up to the watermark. Both grow in the same transaction, so
that whoever counts the journal from the watermark on has counted each call once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from gatekeeper.keys.virtual_key import Charge, KeyRecord, KeyState, Window
from gatekeeper.ledger.call import Position
from gatekeeper.times import iso


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


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one key. `by` is who asked for it; `detail` says what changed, as the API shows it."""

    at: int
    by: str
    action: str
    token_id: str
    key_alias: str | None
    detail: dict[str, object] = {}

    @classmethod
    def of(
        cls, action: str, record: KeyRecord, at: int, by: str, detail: dict[str, object] | None = None
    ) -> Change:
        return cls(
            at=at,
            by=by,
            action=action,
            token_id=record.token_id,
            key_alias=record.key_alias,
            detail=detail or {},
        )


class AuditEntry(msgspec.Struct, frozen=True):
    """A change in the trail; `id` grows."""

    id: int
    change: Change


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

    def trail(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """The last changes, newest first, those with an id below `before`."""
        ...

    def close(self) -> None: ...


def audit_document(entry: AuditEntry) -> dict[str, object]:
    """The entry as the API shows it, JSON-ready."""
    change = entry.change
    return {
        "id": entry.id,
        "at": iso(change.at),
        "by": change.by,
        "action": change.action,
        "token_id": change.token_id,
        "key_alias": change.key_alias,
        "detail": change.detail,
    }


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """The fields of two key documents that differ, each as `{"from": …, "to": …}`; none that only
    follows from others."""
    return {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        # `not_enforced` follows from other fields.
        if before[name] != value and name != "not_enforced"
    }
