"""`gatekeeper spend --reconcile`: a file and a gateway in, a table or a document out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.cli.reconcile import usd_text

OWN_PRICES = """
checked = "2026-11-28"
[[models]]
ids = ["gemini-9-ultra"]
source = "made up"
prices = [{ tier = "standard", input = "40", output = "80" }]
"""
EXPORTS = Path(__file__).parents[1] / "reconcile"
USAGE = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "thoughtsTokenCount": 81}
CALL = {
    "id": "019ab000-0000-7000-8000-000000000001",
    "started_at": "2026-11-24T20:00:00.000000Z",
    "model": "gemini-2.5-flash",
    "action": "generateContent",
    "outcome": "ok",
    "status": 200,
    "prompt_tokens": 1204,
    "usage": USAGE,
    "billed_units": None,
    "cost_usd": "0.001391200000",
}
UNPRICED = {
    **CALL,
    "id": "019ab000-0000-7000-8000-000000000002",
    "started_at": "2026-11-25T20:00:00.000000Z",
    "model": "gemini-3.8-flash",
    "usage": None,
    "cost_usd": None,
}


@pytest.fixture
def on(cli: Any, gateway: Any) -> Any:
    """Runs it against a gateway with two pages of calls."""
    gateway.answers = {
        "GET /calls": [
            {"calls": [CALL], "next_cursor": "next"},
            {"calls": [UNPRICED], "next_cursor": None},
        ]
    }
    return lambda *args: cli("spend", "--url", gateway.url, *args)


@pytest.mark.parametrize("export", ["console", "bigquery"])
def test_the_bill_is_compared_by_day_and_sku(on: Any, gateway: Any, export: str) -> None:
    ended = on("--reconcile", str(EXPORTS / f"{export}.csv"))
    assert ended.status == 0, ended.err
    titles, *lines = ended.out.splitlines()
    assert titles.split() == ["day", "(Pacific)", "theirs", "ours", "difference", "SKU"]
    assert [
        (line[:10], line[titles.index("ours") + 4 : titles.index("SKU")].strip()) for line in lines[:4]
    ] == [
        ("2026-11-24", "–"),
        ("2026-11-24", "–"),
        ("2026-11-25", "unknown SKU"),
        ("2026-11-25", "$0.042000"),
    ]
    assert "text non-thinking + Generate content output token count" in lines[0]
    assert lines[5].split() == ["$0.043391", "$0.001391", "$0.042000", "total", "of", "known", "SKUs"]
    # Of the lines without a SKU, none is wider than a terminal.
    assert max(map(len, lines[4:6])) <= 80
    assert lines[7].endswith("search query gemini 3 paid one: $0.042000 more on the bill")
    assert lines[8].split() == [
        *(UNPRICED["id"], "2026-11-25", "20:00:00Z", "gemini-3.8-flash", "?"),
        *["its", "cost", "is", "unknown", "here"],
    ]
    notes = ended.err.splitlines()
    assert "1 row of unknown SKUs, $0.500000 in all, have nothing to be compared with." in notes
    assert "1 call of unknown cost: gemini-3.8-flash (1)." in notes
    assert "Left out: the service Cloud Storage, $0.026000." in notes
    bounds = {"since": "2026-11-24T00:00:00-08:00", "until": "2026-11-26T00:00:00-08:00"}
    wanted = {"q": "-cost:<=0", **bounds, "limit": "1000"}
    assert [asked.query for asked in gateway.asked] == [wanted, {**wanted, "cursor": "next"}]


def test_the_document_has_exact_amounts(on: Any) -> None:
    found = on("--reconcile", str(EXPORTS / "bigquery.csv"), "--json", "--query", "tag:a").document
    assert (found["since"], found["until"], found["by_day"]) == ("2026-11-24", "2026-11-26", True)
    assert found["total"] == {
        "theirs_usd": "0.043391200000",
        "ours_usd": "0.001391200000",
        "difference_usd": "0.042000000000",
    }
    first = found["rows"][0]
    assert [sku["id"] for sku in first["skus"]] == ["6EDB-2409-6348", "911A-8880-A243"]
    assert {
        name: first[name] for name in ("family", "kind", "their_usage", "our_usage", "difference_usd")
    } == {
        "family": "gemini-2.5-flash",
        "kind": "output",
        "their_usage": "412",
        "our_usage": "412",
        "difference_usd": "0.000000000000",
    }
    unknown = found["rows"][2]
    assert (unknown["family"], unknown["ours_usd"], unknown["difference_usd"]) == (None, None, None)
    assert [call["id"] for call in found["explanations"][0]["calls"]] == [UNPRICED["id"]]
    assert "The ledger's calls are those of the filter tag:a." in found["notes"]
    assert "Credits and savings of -$0.000100 are not in these amounts." in found["notes"]


def test_where_no_call_stands_out_that_is_told(on: Any, tmp_path: Path, gateway: Any) -> None:
    gateway.answers = {"GET /calls": {"calls": [{**CALL, "cost_usd": "0.5"}], "next_cursor": None}}
    bill = tmp_path / "bill.csv"
    sku = "Generate content input token count gemini 2.5 flash short input text"
    rows = [f"{sku},2026-11-01,2026-11-30,7.25,{project}" for project in "ab"]
    bill.write_text("\n".join(["sku.description,usage_start_time,usage_end_time,cost,project.id", *rows]))
    ended = on("--reconcile", str(bill))
    assert "2026-11-01 … 2026-11-30  $14.500000  " in ended.out
    assert "  Generate content input" in ended.out
    assert "no call of that model and day stands out" in ended.out
    assert "2 projects: a, b" in ended.err
    assert "whole cents here" in ended.err
    assert "1 call had other prices than those in force here" in ended.err


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (None, 2, "bill.csv cannot be read: No such file"),
        (b"a,b\n1,2\n", 6, "line 1: 'a,b' is not the header of a billing export"),
        (b"sku.description,date,cost\nx,2026-11-24,\"1,5\"\n", 6, "line 2: `cost` is '1,5'"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_do_asks_nobody(
    on: Any, gateway: Any, tmp_path: Path, content: bytes | None, status: int, told: str
) -> None:
    bill = tmp_path / "bill.csv"
    if content is not None:
        bill.write_bytes(content)
    ended = on("--reconcile", str(bill))
    assert (ended.status, ended.out, gateway.asked) == (status, "", [])
    assert told in ended.err


@cases("option", ["--by=day", "--since=1h", "--until=1h", "--limit=5"])
def test_an_option_without_effect_is_refused(on: Any, option: str) -> None:
    ended = on("--reconcile", str(EXPORTS / "console.csv"), option)
    assert ended.status == 2
    assert f"{option.partition('=')[0]} has no effect with --reconcile" in ended.err


def test_a_ledger_that_cannot_be_read_whole_is_not_compared(on: Any, gateway: Any) -> None:
    gateway.answers = {
        "GET /calls": {"calls": [], "next_cursor": None, "partial": True, "partial_reason": "locked"}
    }
    ended = on("--reconcile", str(EXPORTS / "console.csv"))
    assert (ended.status, ended.out) == (6, "")
    assert "locked" in ended.err


def test_your_own_prices_count(on: Any, gateway: Any, tmp_path: Path) -> None:
    own = {"model": "gemini-9-ultra", "prompt_tokens": 12500, "cost_usd": "0.500000000000"}
    usage = {"promptTokenCount": 12500, "candidatesTokenCount": 0, "totalTokenCount": 12500}
    call = {**CALL, **own, "usage": usage, "started_at": "2026-11-25T20:00:00.000000Z"}
    gateway.answers = {"GET /calls": {"calls": [call], "next_cursor": None}}
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "prices.toml").write_text(OWN_PRICES)
    export = str(EXPORTS / "console.csv")
    rows = on("--reconcile", export, "--data", str(tmp_path / "own"), "--json").document["rows"]
    assert [row["difference_usd"] for row in rows if row["family"] == "gemini-9-ultra"] == ["0.000000000000"]


def test_sums_need_no_prices(on: Any) -> None:
    ended = on("--data", "folder")
    assert ended.status == 2
    assert "--data has no effect without --reconcile" in ended.err


@cases(
    ("pico", "shown"),
    [
        (0, "$0.000000"),
        (1_391_200_000, "$0.001391"),
        (-1_234_567_890_000_000, "-$1,234.567890"),
        (-500, "-$0.0000000005"),
        (10**6, "$0.000001"),
    ],
)
def test_no_difference_looks_like_none(pico: int, shown: str) -> None:
    assert usd_text(pico) == shown
