"""A virtual key: what it may do (`KeyRecord`, as stored) and its account (`KeyState`, in memory). No I/O."""

from __future__ import annotations

import msgspec

from gatekeeper.keys.account import Account, AccountId
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.roles import Role
from gatekeeper.money import usd
from gatekeeper.times import iso


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
    role: Role | None = None
    """What it may do at the admin API; None: see its own data."""
    expires_at: int | None = None
    created_at: int
    updated_at: int

    @property
    def not_enforced(self) -> list[str]:
        """The limits that are stored but not enforced yet, by their names in the API."""
        limits = {
            "rpm_limit": self.rpm_limit is not None,
            "tpm_limit": self.tpm_limit is not None,
            "max_parallel_requests": self.max_parallel_requests is not None,
        }
        return [name for name, is_set in limits.items() if is_set]

    @property
    def display_name(self) -> str:
        """The alias, or without one the masked secret."""
        return self.key_alias or self.key_name


class KeyState(Account):
    """The account of one existing (not deleted) key."""

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
    record = state.record
    return {
        "token_id": record.token_id,
        "key_name": record.key_name,
        "key_alias": record.key_alias,
        "expires": _time(record.expires_at),
        "blocked": record.blocked,
        "models": list(record.models),
        "max_budget": _money(record.max_budget_pico),
        "soft_budget": _money(record.soft_budget_pico),
        "budget_duration": record.budget_duration,
        "budget_reset_at": _time(state.budget_reset_at),
        # Decimal strings with all their places: a JSON number would pass through a float.
        "spend": usd(state.spend_pico),
        "spend_estimated": usd(state.estimated_pico),
        "tpm_limit": record.tpm_limit,
        "rpm_limit": record.rpm_limit,
        "max_parallel_requests": record.max_parallel_requests,
        "tags": list(record.tags),
        "metadata": record.metadata,
        "user_id": record.user_id,
        "group": record.group,
        "allowed_routes": list(record.allowed_routes),
        "on_disconnect": record.on_disconnect.value if record.on_disconnect else on_disconnect,
        "allow_unpriced": record.allow_unpriced,
        "role": record.role,
        "not_enforced": record.not_enforced,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "last_used_at": _time(state.last_used_at),
    }


def _time(micros: int | None) -> str | None:
    return None if micros is None else iso(micros)


def _money(pico: int | None) -> str | None:
    return None if pico is None else usd(pico)
