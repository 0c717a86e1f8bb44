"""A row alone says what its call cost, and why it cost nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.priced_call import NO_MODEL, UNREADABLE_UNITS, PricedColumns, free_reason, row_quote

CATALOGUE = Catalogue.parse("""
version = "2026-10-01"
checked = "2026-11-24"
currency = "USD"

[[models]]
ids = ["text"]
source = "invented"
prices = [
  { tier = "standard", to = "2026-11-01", input = "1", output = "10" },
  { tier = "standard", from = "2026-11-01", input = "2", output = "20" },
  { tier = "batch", input = "0.5", output = "5" },
]
""")

USAGE = b'{"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}'
ROW = PricedColumns(
    model="text",
    model_version=None,
    service_tier=None,
    action="generateContent",
    usage=USAGE,
    billed_units=None,
    started_at=datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC),
)

BATCH = b"""[
  {"responses": 2, "model": "text", "promptTokenCount": 2000, "totalTokenCount": 2000},
  {"responses": 1, "model": "text", "promptTokenCount": 1000, "totalTokenCount": 1000}
]"""

COSTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "the prices of its day": ({}, 2_000_000_000),
    "a day later": ({"started_at": datetime(2026, 11, 1, tzinfo=UTC)}, 4_000_000_000),
    "its tier": ({"service_tier": "batch"}, 1_000_000_000),
    "the model that served": ({"model": "other", "model_version": "text"}, 2_000_000_000),
    "only the model that served": ({"model": None, "model_version": "text"}, 2_000_000_000),
    "no usage": ({"usage": None}, None),
    "a usage that is none": ({"usage": b"["}, None),
    "a search without a price": ({"billed_units": b'{"grounding_search_query": 2}'}, None),
    "units of nothing": ({"billed_units": b"{}"}, 2_000_000_000),
    "a batch": ({"usage": BATCH, "action": "batchGenerateContent"}, 1_500_000_000),
    "a usage that only names responses": ({"usage": USAGE[:-1] + b', "responses": 2}'}, 2_000_000_000),
    "an action that is free": ({"action": "countTokens"}, 0),
    "no action": ({"action": None}, None),
}


@cases(("change", "cost"), COSTS.values(), ids=COSTS.keys())
def test_the_cost_of_a_row(change: dict[str, Any], cost: int | None) -> None:
    found = row_quote(CATALOGUE, ROW._replace(**change))
    assert found.cost_pico == cost
    assert found.price_version == CATALOGUE.version
    # What is unknown says why.
    assert cost is not None or found.notes


@cases("raw", [b"{", b'{"image_each": "3"}', b"[]", b"[" * 100_000, b"\xff"])
def test_units_that_cannot_be_read_leave_the_cost_unknown(raw: bytes) -> None:
    found = row_quote(CATALOGUE, ROW._replace(billed_units=raw))
    assert (found.cost_pico, found.notes) == (None, (UNREADABLE_UNITS,))


def test_a_row_without_a_model_has_no_price() -> None:
    found = row_quote(CATALOGUE, ROW._replace(model=None))
    assert (found.model, found.notes) == ("", (NO_MODEL,))


@given(usage=st.binary(), units=st.binary(), model=st.text(), tier=st.text(), action=st.text())
def test_no_row_raises(usage: bytes, units: bytes, model: str, tier: str, action: str) -> None:
    row = ROW._replace(usage=usage, billed_units=units, model=model, service_tier=tier, action=action)
    assert row_quote(CATALOGUE, row).price_version == CATALOGUE.version


@cases(
    ("outcome", "status", "action", "why"),
    [
        ("refused", 200, "generateContent", "the gateway refused the call, so Google did not get it"),
        ("upstream_unreachable", 502, "generateContent", "Google could not be reached"),
        ("upstream_error", 400, "generateContent", "responses of 400 cost nothing"),
        ("upstream_error", 429, "generateContent", "responses of 429 cost nothing"),
        ("ok", 200, "countTokens", "calls of countTokens cost nothing"),
        ("ok", 200, "files.upload", "calls of files.upload cost nothing"),
        ("ok", 399, "generateContent", None),
        ("client_disconnected", None, "generateContent", None),
        ("ok", 200, None, None),
    ],
)
def test_why_a_call_costs_nothing(
    outcome: str, status: int | None, action: str | None, why: str | None
) -> None:
    assert free_reason(outcome, status, action) == why
