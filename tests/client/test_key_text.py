"""All that a key may be given can be given on the command line, and is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from gatekeeper.cli.key_fields import KEY_FIELDS
from gatekeeper.client.key_text import key_details
from gatekeeper.client.key_types import Key
from gatekeeper.keys.fields import FIELDS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BASE: dict[str, Any] = {"token_id": "019a", "spend": "0.01", "max_budget": "100"}
# By the field's name: what is answered of a key that has it.
ANSWERED: dict[str, dict[str, Any]] = {
    "key_alias": {"key_alias": "checkout"},
    "duration": {"expires": "2026-12-24T12:00:00Z"},
    "models": {"models": ["gemini-2.5*"]},
    "max_budget": {"max_budget": "7"},
    "soft_budget": {"soft_budget": "5"},
    "model_max_budget": {"model_max_budget": {"*-pro": "2"}},
    "budget_duration": {"budget_duration": "30d"},
    "tpm_limit": {"tpm_limit": 1000},
    "rpm_limit": {"rpm_limit": 60},
    "model_rpm_limit": {"model_rpm_limit": {"*-pro": 6}},
    "model_tpm_limit": {"model_tpm_limit": {"*-pro": 600}},
    "max_parallel_requests": {"max_parallel_requests": 4},
    "tags": {"tags": ["web"]},
    "metadata": {"metadata": {"cost_center": "12"}},
    "user_id": {"user_id": "ada"},
    "allowed_routes": {"allowed_routes": ["generateContent"]},
    "blocked": {"blocked": True},
    "key": {"key_name": "...abcd"},
    "group": {"group": "search"},
    "on_disconnect": {"on_disconnect": "finish"},
    "share": {"share": "group"},
    "allow_unpriced": {"allow_unpriced": True},
    "searches": {"searches": 0},
    "store": {"store": False},
    "max_output_tokens": {"max_output_tokens": 8192},
    "service_tiers": {"service_tiers": ["standard"]},
    "allowed_ips": {"allowed_ips": ["10.0.0.0/8"]},
    "role": {"role": "viewer"},
}
# Given in another way: `keys block`, and `keys create --secret`.
NO_OPTIONS = {"blocked", "key"}


def shown(**fields: Any) -> dict[str, str | None]:
    return dict(key_details(msgspec.convert(BASE | fields, Key, strict=False), NOW))


def test_each_field_of_a_key_is_shown() -> None:
    for name in FIELDS:
        assert shown(**ANSWERED[name]) != shown(), name


def test_each_field_of_a_key_is_an_option() -> None:
    assert {field.name for field in KEY_FIELDS} == FIELDS.keys() - NO_OPTIONS
