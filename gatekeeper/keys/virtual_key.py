"""A virtual key: its stored record (`KeyRecord`), its account in memory (`KeyState`), and who shares its
resources (`Sharing`). No I/O.

Most keys have the same limits, group and tags as others, so equal values are interned (`intern_values`).
Otherwise 100,000 records would take three times the memory.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from operator import attrgetter
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec.structs import force_setattr

from gatekeeper.keys.account import Account, AccountId, limits_document
from gatekeeper.keys.limits import Limits, Share
from gatekeeper.times import iso

MAX_INTERNED = 100_000  # distinct values, about 10 MB; then interning starts again
# Fields whose values differ between keys.
_NOT_INTERNED = ("token_id", "secret_hash", "key_name", "key_alias", "previous")


class Role(StrEnum):
    """What a key may do at the admin API; a key without a role may only read its own data. From the widest to
    the narrowest: each role includes the next ones. The master key has `admin`."""

    ADMIN = "admin"
    """Everything, including roles and Google keys."""
    OPERATOR = "operator"
    """Changes keys without a role, groups and end users; reads everything."""
    VIEWER = "viewer"
    """Reads everything, changes nothing."""

    def includes(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        return _RANKS[self] <= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class PreviousSecret(msgspec.Struct, frozen=True):
    """The secret before the last rotation, which is valid until `expires_at`."""

    secret_hash: str
    key_name: str
    expires_at: int


class KeyRecord(Limits, frozen=True, kw_only=True, omit_defaults=True):
    """The stored record of a key. The secret is not stored: `secret_hash` is its SHA-256 in hex."""

    token_id: str
    secret_hash: str
    key_name: str
    key_alias: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, object] = msgspec.field(default_factory=dict[str, object])
    user_id: str | None = None
    group: str | None = None
    previous: PreviousSecret | None = None
    role: Role | None = None
    """What it may do at the admin API; None: read its own data."""
    expires_at: int | None = None
    created_at: int
    updated_at: int

    @property
    def display_name(self) -> str:
        """The alias, or the masked secret if there is none."""
        return self.key_alias or self.key_name


class KeyState(Account):
    """The account of one existing (not deleted) key."""

    previous_used_at: int | None = None
    """When its previous secret was last used since the start of the gateway."""
    record: KeyRecord  # pyright: ignore[reportIncompatibleVariableOverride]  a record is only replaced by a key's

    @property
    def id(self) -> AccountId:
        return AccountId("key", self.record.token_id)

    @property
    def title(self) -> str:
        return f"The key {self.record.display_name}"

    @property
    def metadata(self) -> dict[str, str]:
        return {"token_id": self.record.token_id}


def key_document(state: KeyState, on_disconnect: str | None = None) -> dict[str, object]:
    """The key as the API returns it, JSON-ready. `on_disconnect` is the default for a key without a value of
    its own. `spend` is that of the state's window: roll the window first (`KeyRegistry.find` and
    `KeyRegistry.list` do)."""
    record, previous = state.record, state.record.previous
    return {
        "token_id": record.token_id,
        "key_name": record.key_name,
        "previous_key_name": previous.key_name if previous else None,
        "previous_expires": iso(previous.expires_at) if previous else None,
        "previous_used_at": None if state.previous_used_at is None else iso(state.previous_used_at),
        "key_alias": record.key_alias,
        "expires": None if record.expires_at is None else iso(record.expires_at),
        **limits_document(state, on_disconnect),
        "tags": list(record.tags),
        "metadata": record.metadata,
        "user_id": record.user_id,
        "group": record.group,
        "share": record.share,
        "role": record.role,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "last_used_at": None if state.last_used_at is None else iso(state.last_used_at),
    }


class Sharing(NamedTuple):
    """`share` and `group` of a key."""

    share: str | None = None
    group: str | None = None

    def reaches(self, other: KeyRecord) -> bool:
        """Whether another key may access this key's resources."""
        if self.share == Share.GROUP:
            return self.group is not None and self.group == other.group
        return self.share == Share.ALL


def sharing_of(record: KeyRecord) -> Sharing:
    return Sharing(record.share, record.group)


def _is_interned(name: str, kind: Any) -> bool:
    # Booleans and enum members equal numbers or strings of another type, and are singletons anyway.
    kinds = [part for part in (kind, *get_args(kind)) if isinstance(part, type)]
    return name not in _NOT_INTERNED and not any(issubclass(part, bool | Enum) for part in kinds)


_INTERNED_FIELDS = tuple(
    field.name for field in msgspec.structs.fields(KeyRecord) if _is_interned(field.name, field.type)
)
_values_of = attrgetter(*_INTERNED_FIELDS)
_EMPTY: dict[str, Any] = {}
_interned: dict[object, Any] = {}


def intern_values(record: KeyRecord) -> KeyRecord:
    """The same record, with equal values replaced by those of earlier records. Records and their values must
    never be modified."""
    if len(_interned) > MAX_INTERNED:
        # Existing records keep their values; later ones are interned anew.
        _interned.clear()
    for name, value in zip(_INTERNED_FIELDS, _values_of(record), strict=True):
        if value is None or value is _EMPTY:
            continue
        if value.__class__ is not dict:
            # The record is frozen, but not shared yet, and the value is equal.
            force_setattr(record, name, _interned.setdefault(value, value))
        elif not value:
            force_setattr(record, name, _EMPTY)
    return record


def intern_time(micros: int) -> int:
    """Interns a time, because the windows of many keys start and end together."""
    return _interned.setdefault(micros, micros)
