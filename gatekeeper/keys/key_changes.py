"""Changes of a key: the resulting record and state, and the entry in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.audit import Actor, Change
from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.secrets import hash_secret, key_name
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, PreviousSecret, key_document
from gatekeeper.keys.windows import initial_window_end
from gatekeeper.money import usd

Edit = Callable[[KeyRecord], KeyRecord]


def change_of(action: str, state: KeyState, now: int, by: Actor | str, detail: dict[str, object]) -> Change:
    record = state.record
    return Change.of(action, now, by, detail, token_id=record.token_id, key_alias=record.key_alias)


_PLAIN = key_document(
    KeyState(record=KeyRecord(token_id="", secret_hash="", key_name="", created_at=0, updated_at=0))
)
_OF_EACH = frozenset({"token_id", "key_name", "created_at", "updated_at"})


def set_fields(state: KeyState) -> dict[str, object]:
    """The fields of a new key that differ from the defaults."""
    return {
        name: {"from": _PLAIN[name], "to": value}
        for name, value in key_document(state).items()
        if value != _PLAIN[name] and name not in _OF_EACH
    }


def updating(fields: KeyFields) -> Edit:
    return lambda record: replace(record, **fields.changes)


def blocking(now: int) -> Edit:
    """An edit that blocks a key; a blocked one keeps its `blocked_at`."""
    return lambda record: replace(record, blocked_at=record.blocked_at or now)


def unblocked(record: KeyRecord) -> KeyRecord:
    return replace(record, blocked_at=None)


def without_previous(record: KeyRecord) -> KeyRecord:
    """Revokes the previous secret."""
    return replace(record, previous=None)


def rotated(record: KeyRecord, secret: str, grace_until: int | None) -> KeyRecord:
    """The record with a new secret; its current secret becomes the previous one if there is a grace
    period."""
    previous = grace_until and PreviousSecret(record.secret_hash, record.key_name, grace_until)
    return replace(
        record, secret_hash=hash_secret(secret), key_name=key_name(secret), previous=previous or None
    )


def edited_state(state: KeyState, edit: Edit, now: int) -> KeyState:
    """The state after the edit, as a copy, because it must not be visible before it is stored."""
    # Strictly increasing, whatever the clock says: `updated_at` serves as the version of the record.
    record = replace(edit(state.record), updated_at=max(now, state.record.updated_at + 1))
    end = state.budget_reset_at
    if record.budget_duration != state.record.budget_duration:
        end = initial_window_end(record.budget_duration, now, state.zone)
    return replace(state, record=record, budget_reset_at=end)


def repricing(
    run_id: str, spends: Mapping[AccountId, int], deltas: Mapping[AccountId, SpendDelta], now: int
) -> Change:
    """The audit entry of a change of spend by repricing."""
    detail: dict[str, object] = {
        _name(account): {"from": usd(before), "to": usd(before + deltas[account].spend_pico)}
        for account, before in spends.items()
    }
    return Change.of("prices.reprice", now, "gateway", detail, target=run_id)


def _name(account: AccountId) -> str:
    """A key's id, or `group team-a`, `user ann`, `gateway`; followed by the glob of a model account."""
    kind, name, model = account
    return " ".join(filter(None, ("" if kind == "key" else kind, name, model)))
