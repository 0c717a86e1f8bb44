"""A change of a key: the state after it, and its entry in the audit log."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gatekeeper.keys.audit import Actor, Change, difference
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, key_document
from gatekeeper.keys.windows import initial_window_end

Edit = Callable[[KeyRecord], KeyRecord]


def change_of(action: str, state: KeyState, now: int, by: Actor | str, detail: dict[str, object]) -> Change:
    record = state.record
    return Change.of(action, now, by, detail, token_id=record.token_id, key_alias=record.key_alias)


def set_fields(state: KeyState) -> dict[str, object]:
    """The fields of a new key that differ from those of a key without wishes."""
    record = state.record
    plain = KeyRecord(
        token_id=record.token_id,
        secret_hash=record.secret_hash,
        key_name=record.key_name,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )
    return difference(key_document(KeyState(record=plain)), key_document(state))


def edited_state(state: KeyState, edit: Edit, now: int) -> KeyState:
    """The state after the edit, as a copy: it must not be visible before it is stored."""
    record = replace(edit(state.record), updated_at=now)
    end = state.budget_reset_at
    if record.budget_duration != state.record.budget_duration:
        end = initial_window_end(record.budget_duration, now, state.zone)
    return replace(state, record=record, budget_reset_at=end)
