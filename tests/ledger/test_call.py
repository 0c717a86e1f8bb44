"""A call as a row, as a line and as a document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.ledger.call import COLUMNS, CallRecord, Outcome, call_document
from gatekeeper.times import iso

# The contract's table, in its order, and one column more.
CONTRACT = """
    id UUID, started_at TIMESTAMPTZ, duration_ms DOUBLE, first_byte_ms DOUBLE, gateway_ms DOUBLE,
    key_id VARCHAR, key_alias VARCHAR, user_id VARCHAR, tags VARCHAR[], method VARCHAR, path VARCHAR,
    action VARCHAR, model VARCHAR, model_version VARCHAR, stream BOOLEAN, status SMALLINT, outcome VARCHAR,
    reason VARCHAR, prompt_tokens BIGINT, cached_tokens BIGINT, output_tokens BIGINT, thoughts_tokens BIGINT,
    tool_tokens BIGINT, total_tokens BIGINT, usage JSON, service_tier VARCHAR, cost_usd DECIMAL(18|12),
    price_version VARCHAR, finish_reason VARCHAR, request_bytes BIGINT, response_bytes BIGINT,
    upstream_key VARCHAR, user_agent VARCHAR, trace_id VARCHAR,
    resource VARCHAR, error_message VARCHAR, block_reason VARCHAR, usage_note VARCHAR, continues UUID,
    billed_units JSON
"""


def test_the_columns_are_the_contracts() -> None:
    table = [tuple(column.replace("|", ",").split()) for column in CONTRACT.split(",")]
    assert list(COLUMNS.items()) == table


def test_every_column_is_a_field_of_a_call() -> None:
    fields = {"cost_usd" if name == "cost_pico" else name for name in CallRecord.__struct_fields__}
    in_journal_only = {"charged_pico", "continuations", "pending", "made", "group"}
    assert fields == {*COLUMNS, *in_journal_only}


def test_the_outcomes_are_the_contracts() -> None:
    assert [outcome.value for outcome in Outcome] == [
        "ok",
        "refused",
        "upstream_error",
        "upstream_unreachable",
        "upstream_broken",
        "client_disconnected",
        "cut",
        "interrupted",
    ]


def call(**fields: object) -> CallRecord:
    return CallRecord(**{"id": "1", "started_at": 0, "method": "GET", "path": "/v1beta/models", **fields})  # pyright: ignore[reportArgumentType]


@cases(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_790_000_000_000_001, "2026-09-21T14:13:20.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_shown_in_utc_to_the_microsecond(micros: int, text: str) -> None:
    assert iso(micros) == text


@given(st.integers(0, 4 * 10**15))
def test_a_time_that_is_shown_can_be_read_back(micros: int) -> None:
    assert (datetime.fromisoformat(iso(micros)) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    ) == micros


def test_a_call_in_flight_shows_what_is_not_known_as_null() -> None:
    shown = call_document(call(tags=["a"], stream=True))
    known = {name: value for name, value in shown.items() if value is not None}
    assert known == {
        "id": "1",
        "started_at": "1970-01-01T00:00:00.000000Z",
        "tags": ["a"],
        "method": "GET",
        "path": "/v1beta/models",
        "stream": True,
        "request_bytes": 0,
        "response_bytes": 0,
    }
    assert list(shown) == list(COLUMNS)


@cases(("pico", "usd"), [(None, None), (0, "0.000000000000"), (107_500_000, "0.000107500000")])
def test_money_is_an_exact_decimal_and_unknown_is_null(pico: int | None, usd: str | None) -> None:
    assert call_document(call(cost_pico=pico))["cost_usd"] == usd


def test_the_usage_is_shown_as_it_was_received() -> None:
    raw = b'{"promptTokenCount":  1,\n "x": 1.50}'
    body = msgspec.json.encode(call_document(call(usage=msgspec.Raw(raw), outcome=Outcome.OK)))
    assert raw in body
    assert json.loads(body)["outcome"] == "ok"


TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=10)
COUNT = st.none() | st.integers(0, 2**53)
FIELDS = {
    **dict.fromkeys(
        ["key_id", "key_alias", "user_id", "model", "reason", "finish_reason", "user_agent"], TEXT
    ),
    **dict.fromkeys(["status", "prompt_tokens", "cached_tokens", "total_tokens", "duration_ms"], COUNT),
    "tags": st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3),
    "outcome": st.none() | st.sampled_from([outcome.value for outcome in Outcome]),
    "stream": st.booleans(),
}


@given(st.fixed_dictionaries(FIELDS))
def test_whatever_a_call_holds_its_document_says_it(fields: dict[str, object]) -> None:
    shown = json.loads(msgspec.json.encode(call_document(call(**fields))))
    assert list(shown) == list(COLUMNS)
    assert {name: shown[name] for name in fields} == fields
