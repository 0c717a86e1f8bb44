"""A key as the API shows it."""

from __future__ import annotations

import msgspec

from gatekeeper.keys.limits import OnDisconnect
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, PreviousSecret, Role, key_document


def bare(**fields) -> KeyRecord:
    return KeyRecord(token_id="key_1", secret_hash="5ec4e7", key_name="sk-...wxyz", **fields)


def test_a_key_without_anything_set():
    assert key_document(KeyState(record=bare(created_at=0, updated_at=0))) == {
        "token_id": "key_1",
        "key_name": "sk-...wxyz",
        "previous_key_name": None,
        "previous_expires": None,
        "previous_used_at": None,
        "key_alias": None,
        "expires": None,
        "blocked": False,
        "models": [],
        "max_budget": None,
        "soft_budget": None,
        "budget_duration": None,
        "budget_reset_at": None,
        "spend": "0.000000000000",
        "spend_estimated": "0.000000000000",
        "tpm_limit": None,
        "rpm_limit": None,
        "model_max_budget": {},
        "model_rpm_limit": {},
        "model_tpm_limit": {},
        "max_parallel_requests": None,
        "tags": [],
        "metadata": {},
        "user_id": None,
        "group": None,
        "allowed_routes": [],
        "on_disconnect": None,
        "allow_unpriced": False,
        "share": None,
        "searches": None,
        "store": None,
        "max_output_tokens": None,
        "service_tiers": [],
        "allowed_ips": [],
        "role": None,
        "created_at": "1970-01-01T00:00:00.000000Z",
        "updated_at": "1970-01-01T00:00:00.000000Z",
        "last_used_at": None,
    }


def test_a_key_with_everything_set():
    record = bare(
        key_alias="team-a",
        models=("gemini-2.5*",),
        max_budget_pico=10**24,
        soft_budget_pico=1,
        budget_duration="30d",
        tpm_limit=1,
        rpm_limit=2,
        model_max_budget_pico={"gemma*": 10**12},
        model_rpm_limit={"gemma*": 4},
        model_tpm_limit={"*": 5},
        max_parallel_requests=3,
        tags=("a", "b"),
        metadata={"team": [1]},
        user_id="u",
        allowed_routes=("files.*",),
        group="g",
        on_disconnect=OnDisconnect.FINISH,
        allow_unpriced=True,
        share="group",
        max_searches=0,
        only_unstored=True,
        max_output_tokens=8192,
        service_tiers=("flex",),
        allowed_ips=("10.0.0.0/8",),
        role=Role.VIEWER,
        previous=PreviousSecret("hash", "sk-...abcd", 7_000_000),
        expires_at=1_790_000_000_000_000,
        blocked_at=1,
        created_at=1_700_000_000_000_001,
        updated_at=2,
    )
    state = KeyState(
        record=record,
        spend_pico=107_500_000,
        estimated_pico=7_500_000,
        budget_reset_at=1_000_000,
        last_used_at=2_000_000,
        previous_used_at=3_000_000,
    )

    assert key_document(state) == {
        "token_id": "key_1",
        "key_name": "sk-...wxyz",
        "previous_key_name": "sk-...abcd",
        "previous_expires": "1970-01-01T00:00:07.000000Z",
        "previous_used_at": "1970-01-01T00:00:03.000000Z",
        "key_alias": "team-a",
        "expires": "2026-09-21T14:13:20.000000Z",
        "blocked": True,
        "models": ["gemini-2.5*"],
        "max_budget": "1000000000000.000000000000",
        "soft_budget": "0.000000000001",
        "budget_duration": "30d",
        "budget_reset_at": "1970-01-01T00:00:01.000000Z",
        "spend": "0.000107500000",
        "spend_estimated": "0.000007500000",
        "tpm_limit": 1,
        "rpm_limit": 2,
        "model_max_budget": {"gemma*": "1.000000000000"},
        "model_rpm_limit": {"gemma*": 4},
        "model_tpm_limit": {"*": 5},
        "max_parallel_requests": 3,
        "tags": ["a", "b"],
        "metadata": {"team": [1]},
        "user_id": "u",
        "group": "g",
        "allowed_routes": ["files.*"],
        "on_disconnect": "finish",
        "allow_unpriced": True,
        "share": "group",
        "searches": False,
        "store": False,
        "max_output_tokens": 8192,
        "service_tiers": ["flex"],
        "allowed_ips": ["10.0.0.0/8"],
        "role": "viewer",
        "created_at": "2023-11-14T22:13:20.000001Z",
        "updated_at": "1970-01-01T00:00:00.000002Z",
        "last_used_at": "1970-01-01T00:00:02.000000Z",
    }


def test_neither_the_secret_nor_its_digest_is_shown():
    assert b"5ec4e7" not in msgspec.json.encode(
        key_document(KeyState(record=bare(created_at=0, updated_at=0)))
    )
