"""A virtual key: what it may do (`KeyRecord`, as stored) and how it stands (`KeyState`, in memory).

Times are integers of microseconds since 1970 (UTC), money is an integer of pico-dollars. An empty tuple of
`models` or `allowed_routes` and a limit of None set no limit.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from gatekeeper.money import usd
from gatekeeper.times import iso


class OnDisconnect(StrEnum):
    """What becomes of a call whose client has gone."""

    CANCEL = "cancel"
    FINISH = "finish"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a key on disk. The secret is not: `secret_hash` is its SHA-256 in hex."""

    token_id: str
    secret_hash: str
    key_name: str
    key_alias: str | None = None
    models: tuple[str, ...] = ()
    max_budget_pico: int | None = None
    soft_budget_pico: int | None = None
    budget_duration: str | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    user_id: str | None = None
    allowed_routes: tuple[str, ...] = ()
    group: str | None = None
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    expires_at: int | None = None
    blocked_at: int | None = None
    created_at: int
    updated_at: int

    @property
    def blocked(self) -> bool:
        return self.blocked_at is not None

    @property
    def not_enforced(self) -> list[str]:
        """The limits that are set and do nothing yet, by the API's names."""
        limits = {
            "rpm_limit": self.rpm_limit is not None,
            "tpm_limit": self.tpm_limit is not None,
            "max_parallel_requests": self.max_parallel_requests is not None,
            "on_disconnect": self.on_disconnect is OnDisconnect.FINISH,
        }
        return [name for name, is_set in limits.items() if is_set]

    @property
    def title(self) -> str:
        """What people call the key: its alias, else the masked secret."""
        return self.key_alias or self.key_name


class Window(NamedTuple):
    """The time whose calls count against a budget: from `start` (0: since ever) until `end` (None: for
    good), when it starts anew."""

    start: int = 0
    end: int | None = None


class KeyState(msgspec.Struct, kw_only=True, eq=False):
    """One living key. There is one object per key from its making to its deletion, whatever changes.
    `estimated_pico` is the part of its spend that is upper estimates of calls whose cost nobody knows."""

    record: KeyRecord
    spend_pico: int = 0
    estimated_pico: int = 0
    window_start: int = 0
    budget_reset_at: int | None = None
    last_used_at: int | None = None

    @property
    def window(self) -> Window:
        return Window(self.window_start, self.budget_reset_at)


def key_document(state: KeyState) -> dict[str, object]:
    """The key as the API shows it, JSON-ready. `spend` is that of the window the state is in: whoever
    reads first brings the state up to date (`Registry.find` and `Registry.list` do)."""
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
        "on_disconnect": record.on_disconnect.value,
        "not_enforced": record.not_enforced,
        "created_at": iso(record.created_at),
        "last_used_at": _time(state.last_used_at),
    }


def _time(micros: int | None) -> str | None:
    return None if micros is None else iso(micros)


def _money(pico: int | None) -> str | None:
    return None if pico is None else usd(pico)
