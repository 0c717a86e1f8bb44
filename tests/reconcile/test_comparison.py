"""Google's bill beside the ledger."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.money import PICO
from gatekeeper.pricing.sku import families_of
from gatekeeper.reconcile.billing_export import BilledUsage, BillingExport, read_export
from gatekeeper.reconcile.comparison import Compared, compare, explain, period_of
from gatekeeper.reconcile.ledger_charges import LedgerCharges, LedgerRow, Reason
from gatekeeper.startup import load_catalogue

PACIFIC = ZoneInfo("America/Los_Angeles")
CATALOGUE = load_catalogue()
FAMILIES = families_of(name for model in CATALOGUE.models() for name in model.ids)
FIRST, SECOND = date(2026, 11, 24), date(2026, 11, 25)
NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)  # in Pacific time
MODEL = "gemini-2.5-flash"
INPUT = "Generate content input token count gemini 2.5 flash short input text"
OUTPUT = "Generate content output token count gemini 2.5 flash short input text"
ABSENT = "not on the bill: gemini-2.5-flash output text standard short"
CACHED = "Generate content cached input token count gemini 2.5 flash input"


def call(usage: Any = None, at: datetime = NOON, **fields: Any) -> LedgerRow:
    """1,000 tokens in at $0.30 and 100 out at $2.50 for a million."""
    known: dict[str, Any] = {
        "id": "i",
        "started_at": at.isoformat(),
        "model": MODEL,
        "action": "generateContent",
        "outcome": "ok",
        "status": 200,
        "usage": usage or {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
        "prompt_tokens": 1000,
        "cost_usd": "0.000550000000",
    }
    return msgspec.json.decode(json.dumps(known | fields), type=LedgerRow)


def billed(sku: str, cost: str, day: date = FIRST, until: date | None = None, amount: int = 0) -> BilledUsage:
    return BilledUsage(day, until or day, sku, "id", Decimal(amount), "count", int(Decimal(cost) * PICO), 0)


def ledger_of(*rows: LedgerRow) -> LedgerCharges:
    ledger = LedgerCharges(CATALOGUE, PACIFIC)
    for row in rows:
        ledger.add(row)
    return ledger


def compared(bill: list[BilledUsage], *rows: LedgerRow) -> list[Compared]:
    return compare(BillingExport(rows=bill), ledger_of(*rows), FAMILIES)


def shown(rows: list[Compared]) -> list[tuple[int, str, int, int | None]]:
    """Day, label, and micro-dollars of the bill and of the ledger."""
    return [
        (each.day.day, each.label, each.theirs_pico // 10**6, each.ours and each.ours.pico // 10**6)
        for each in rows
    ]


def test_what_agrees_has_no_difference() -> None:
    rows = compared([billed(INPUT, "0.0003"), billed(OUTPUT, "0.00025")], call())
    assert shown(rows) == [(24, INPUT, 300, 300), (24, OUTPUT, 250, 250)]
    assert [(each.difference_pico, each.ours and each.ours.quantity) for each in rows] == [
        (0, 1000),
        (0, 100),
    ]


def test_both_fixtures_are_compared_alike() -> None:
    usage = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "thoughtsTokenCount": 81}
    row = call(usage, cost_usd="0.001391200000")
    files = (Path(__file__).with_name(f"{name}.csv").read_bytes() for name in ("console", "bigquery"))
    tables = [compare(read_export(file, PACIFIC), ledger_of(row), FAMILIES) for file in files]
    assert shown(tables[0]) == shown(tables[1])
    assert [(each.label.count(" + "), each.difference_pico) for each in tables[0]] == [
        # The SKUs with thoughts and without are one charge.
        (1, 0),
        (0, 0),
        (0, None),
        (0, 42 * 10**9),
    ]


CASES = {
    # (bill, calls, rows)
    "not in the ledger": ([billed(INPUT, "1")], [], [(24, INPUT, 10**6, 0)]),
    "not on the bill": (
        [billed(INPUT, "0.0003")],
        [call()],
        [(24, INPUT, 300, 300), (24, ABSENT, 0, 250)],
    ),
    "another day": (
        [billed(INPUT, "0.0003"), billed(INPUT, "0.0003", SECOND), billed(OUTPUT, "0.00025", SECOND)],
        [call(at=NOON + timedelta(hours=11, minutes=59)), call(at=NOON + timedelta(hours=12))],
        [(24, INPUT, 300, 300), (24, ABSENT, 0, 250), (25, INPUT, 300, 300), (25, OUTPUT, 250, 250)],
    ),
    "outside": ([billed(INPUT, "0.0003")], [call(at=NOON + timedelta(days=1))], [(24, INPUT, 300, 0)]),
    "an unknown SKU": ([billed("Veo Generation", "1")], [], [(24, "Veo Generation", 10**6, None)]),
    "a whole month": (
        [billed(INPUT, "0.0006", date(2026, 11, 1), date(2026, 11, 30))],
        [call(), call(at=NOON - timedelta(days=9))],
        [(1, INPUT, 600, 600), (1, ABSENT, 0, 500)],
    ),
    "another tier": (
        [billed(INPUT, "0.0003"), billed(f"{INPUT} batch", "0.00015")],
        [call(service_tier="batch", cost_usd="0.000275000000")],
        [
            (24, INPUT, 300, 0),
            (24, f"{INPUT} batch", 150, 150),
            (24, "not on the bill: gemini-2.5-flash output text batch short", 0, 125),
        ],
    ),
    "costs nothing": ([billed(INPUT, "1")], [call(status=429, cost_usd="0")], [(24, INPUT, 10**6, 0)]),
    "unknown here": ([billed(INPUT, "1")], [call(cost_usd=None)], [(24, INPUT, 10**6, 0)]),
    "a negotiated price": (
        [billed(INPUT, "0.00015"), billed(OUTPUT, "0.000125")],
        [call(cost_usd="0.000275000000")],
        [(24, INPUT, 150, 150), (24, OUTPUT, 125, 125)],
    ),
    "a model that is not in this catalogue": (
        [billed(INPUT, "0.0003")],
        [call(model="gemini-9", cost_usd="0.5")],
        [(24, INPUT, 300, 0), (24, "not on the bill: gemini-9 components unknown", 0, 500_000)],
    ),
}  # fmt: skip


def sums(*parts: tuple[str, int, int]) -> list[dict[str, Any]]:
    """The usage of a batch: model, tokens of all prompts and of the largest, without output."""
    return [
        {
            "responses": 3,
            "model": model,
            "largestPromptTokenCount": largest,
            "promptTokenCount": prompts,
            "candidatesTokenCount": 0,
            "totalTokenCount": prompts,
        }
        for model, prompts, largest in parts
    ]


@cases("action", ["batchGenerateContent", "openai.batches"])
def test_a_batch_is_billed_by_the_prompts_and_models_of_its_responses(action: str) -> None:
    usage = sums(
        ("gemini-2.5-pro", 400_000, 150_000), ("gemini-2.5-pro", 300_000, 300_000), (MODEL, 1000, 1000)
    )
    row = call(usage, action=action, model=None, prompt_tokens=701_000, cost_usd="0.625150000000")
    assert shown(compared([billed(INPUT, "0.0003")], row)) == [
        (24, INPUT, 300, 0),
        (24, "not on the bill: gemini-2.5-flash input text batch short", 0, 150),
        (24, "not on the bill: gemini-2.5-pro input text batch long", 0, 375_000),
        (24, "not on the bill: gemini-2.5-pro input text batch short", 0, 250_000),
    ]


def test_a_batch_of_several_models_may_explain_the_difference_of_each() -> None:
    usage = sums(("gemini-2.5-pro", 4000, 1500), (MODEL, 1000, 1000))
    row = call(usage, action="openai.batches", model=None, cost_usd="0.002650000000")
    bill = BillingExport(rows=[billed(f"{INPUT} batch", "0.0003")])
    ledger = ledger_of(row)
    found = explain(compare(bill, ledger, FAMILIES), ledger, period_of(bill))
    assert [(each.compared.charge and each.compared.charge.family, len(each.calls)) for each in found] == [
        ("gemini-2.5-pro", 1),
        (MODEL, 1),
    ]
    assert {suspect.reason for each in found for suspect in each.calls} == {Reason.BATCH}


@cases(("bill", "calls", "rows"), CASES.values())
def test_the_bill_beside_the_ledger(bill: list[BilledUsage], calls: list[LedgerRow], rows: list[Any]) -> None:
    assert shown(compared(bill, *calls)) == rows


def test_a_sku_without_a_tier_holds_for_those_that_have_none_of_their_own() -> None:
    usage = {"promptTokenCount": 1000, "cachedContentTokenCount": 1000, "candidatesTokenCount": 0}
    usage["totalTokenCount"] = 1000
    standard, flex, batch = (
        call(usage, service_tier=tier, cost_usd="0.000030000000") for tier in ("standard", "flex", "batch")
    )
    rows = compared([billed(CACHED, "0.00006"), billed(f"{CACHED} flex", "0.00003")], standard, flex, batch)
    assert [(each.label, each.difference_pico) for each in rows] == [(CACHED, 0), (f"{CACHED} flex", 0)]


def test_calls_of_another_price_are_counted_and_nothing_is_lost() -> None:
    ledger = ledger_of(call(cost_usd="0.000000000001"), call(cost_usd="0.100000000001"), call())
    assert ledger.otherwise_priced == 2
    assert sum(amount.pico for amount in ledger.sums.values()) == 1 + 100_000_000_001 + 550_000_000


@given(costs=st.lists(st.integers(0, 10**13), max_size=5))
def test_the_sums_are_those_of_the_ledger(costs: list[int]) -> None:
    rows = [call(cost_usd=f"{Decimal(cost) / PICO:.12f}") for cost in costs]
    assert sum(amount.pico for amount in ledger_of(*rows).sums.values()) == sum(costs)


LATE = NOON + timedelta(hours=11, minutes=55)  # five minutes before midnight


@cases(
    ("fields", "reason"),
    [
        ({"cost_usd": None}, Reason.UNPRICED),
        ({"outcome": "client_disconnected"}, Reason.ENDED_EARLY),
        ({"action": "batchGenerateContent"}, Reason.BATCH),
        ({"usage_note": "odd"}, Reason.NOTE),
        ({"at": LATE}, Reason.MIDNIGHT),
        ({"duration_ms": 12 * 3600 * 1000.0}, Reason.MIDNIGHT),
    ],
)
def test_a_difference_names_the_calls_that_may_explain_it(fields: dict[str, Any], reason: Reason) -> None:
    bill = [billed(INPUT, "1"), billed("Generate content input token count gemini 3.8 flash text", "0")]
    ledger = ledger_of(
        call(**fields), call(id="usual"), call(id="other", model="gemini-3.8-flash", cost_usd=None)
    )
    export = BillingExport(rows=bill)
    explained = explain(compare(export, ledger, FAMILIES), ledger, period_of(export))
    assert [(suspect.id, suspect.reason) for suspect in explained[0].calls] == [("i", reason)]


def test_the_likeliest_come_first_each_once_and_few() -> None:
    rows = [call(id=f"n{n}", usage_note="odd") for n in range(9)]
    ledger = ledger_of(*rows, call(id="u", cost_usd=None, usage_note="odd", outcome="cut"))
    export = BillingExport(rows=[billed(INPUT, "1")])
    explained = explain(compare(export, ledger, FAMILIES), ledger, period_of(export))
    assert [suspect.id for suspect in explained[0].calls] == ["u", "n0", "n1", "n2", "n3"]
    # A call without a cost does not explain what the ledger has too much of.
    assert [suspect.id for suspect in explained[1].calls] == ["n0", "n1", "n2", "n3", "n4"]


def test_searches_are_explained_by_the_calls_of_their_generation() -> None:
    export = BillingExport(rows=[billed("Generate content search query gemini 3 paid one", "1")])
    ledger = ledger_of(call(id="s", model="gemini-3.8-flash", cost_usd=None), call(id="t", cost_usd=None))
    explained = explain(compare(export, ledger, FAMILIES), ledger, period_of(export))
    assert [suspect.id for suspect in explained[0].calls] == ["s"]


def test_what_agrees_is_not_explained() -> None:
    export = BillingExport(rows=[billed(INPUT, "0.0003"), billed(OUTPUT, "0.0002500009"), billed("?", "1")])
    ledger = ledger_of(call(usage_note="odd"))
    assert explain(compare(export, ledger, FAMILIES), ledger, period_of(export)) == []
