"""A virtual key: what it may do (`KeyRecord`, as stored) and its account (`KeyState`, in memory). No I/O."""

from __future__ import annotations

import msgspec

from gatekeeper.keys.account import Account, AccountId
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.limits_document import limits_document
from gatekeeper.keys.roles import Role
from gatekeeper.times import iso


class PreviousSecret(msgspec.Struct, frozen=True):
    """The secret before the last rotation, which is valid until `expires_at`."""

    secret_hash: str
    key_name: str
    expires_at: int


class KeyRecord(Limits, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a key. The secret is not: `secret_hash` is its SHA-256 in hex."""

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
    """What it may do at the admin API; None: see its own data."""
    expires_at: int | None = None
    created_at: int
    updated_at: int

    @property
    def display_name(self) -> str:
        """The alias, or without one the masked secret."""
        return self.key_alias or self.key_name


class KeyState(Account):
    """The account of one existing (not deleted) key."""

    previous_used_at: int | None = None
    """When its previous secret was last used, since this gateway has started."""
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
    """The key as the API returns it, JSON-ready. `on_disconnect` is shown for a key that has none of its own.
    `spend` is that of the state's window: roll the window first
    (`KeyRegistry.find` and `KeyRegistry.list` do)."""
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
