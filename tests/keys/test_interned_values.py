"""Equal values of many keys are one object, and stay what they are."""

from __future__ import annotations

import msgspec
from rig.cases import cases

from gatekeeper.keys import virtual_key
from gatekeeper.keys.limits import OnDisconnect
from gatekeeper.keys.virtual_key import KeyRecord, intern_values


def record(number: int, **fields: object) -> KeyRecord:
    """As it is read from the store: nothing in it is anybody else's."""
    made = KeyRecord(
        token_id=f"key_{number}",
        secret_hash=str(number),
        key_name="sk-...wxyz",
        created_at=number,
        updated_at=number,
        **fields,
    )
    return msgspec.json.decode(msgspec.json.encode(made), type=KeyRecord)


LIMITS = {"models": ("gemini-2.5*",), "group": "shop", "max_budget_pico": 10**13, "metadata": {"team": "a"}}


def test_equal_values_are_one_object() -> None:
    first, second = intern_values(record(10**15, **LIMITS)), intern_values(record(10**15 + 1, **LIMITS))
    for name in ("models", "group", "max_budget_pico", "model_max_budget_pico"):
        assert getattr(first, name) is getattr(second, name)
    assert first.updated_at is first.created_at


@cases(
    "fields",
    [
        {"max_budget_pico": 0, "rpm_limit": 1, "allow_unpriced": True},
        {"user_id": "cancel", "on_disconnect": OnDisconnect.CANCEL},
        {"on_disconnect": OnDisconnect.FINISH, "group": "finish"},
        LIMITS,
    ],
)
def test_a_record_is_the_same_as_before(fields) -> None:
    for number in range(2):
        shared = intern_values(record(number, **fields))
        assert shared == record(number, **fields)
        assert msgspec.json.encode(shared) == msgspec.json.encode(record(number, **fields))
        assert type(shared.on_disconnect) is type(fields.get("on_disconnect"))
        assert type(shared.max_budget_pico) is type(fields.get("max_budget_pico"))


def test_values_without_end_are_not_kept_without_end(monkeypatch) -> None:
    monkeypatch.setattr(virtual_key, "MAX_INTERNED", 10)
    for number in range(100):
        intern_values(record(number, user_id=f"user-{number}"))
    assert len(virtual_key._interned) < 20
