"""Exports of Google's bill: what is read of them, and what is said of a file that is none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.money import usd
from gatekeeper.reconcile.billing_export import BilledUsage, BillingExport, read_export
from gatekeeper.reconcile.billing_row import ExportError

PACIFIC = ZoneInfo("America/Los_Angeles")
HERE = Path(__file__).parent
CONSOLE, BIGQUERY = ((HERE / f"{name}.csv").read_bytes() for name in ("console", "bigquery"))
FIRST, SECOND = date(2026, 11, 24), date(2026, 11, 25)
REPORT = (
    b"Date,Service description,Service ID,SKU description,SKU ID,Usage amount,Usage unit,List cost ($),"
    b"Negotiated savings ($),Savings programs ($),Other savings ($),Unrounded subtotal ($),Subtotal ($)\n"
    b'2026-11-24,Gemini API,AEFD-7695-64FA,A sku,1-2-3,"1,260,580",count,8.00,-0.10,-0.05,-0.15,7.7,7.70\n'
    b",,,,,,,,,,Subtotal,7.7,7.70\n"
)


def read(data: bytes) -> BillingExport:
    return read_export(data, PACIFIC)


def sums(export: BillingExport) -> dict[tuple[date, str], str]:
    found: dict[tuple[date, str], int] = {}
    for row in export.rows:
        found[row.day, row.sku_id] = found.get((row.day, row.sku_id), 0) + row.cost_pico
    return {key: usd(pico) for key, pico in found.items()}


@cases("data", [CONSOLE, BIGQUERY], ids=["console", "bigquery"])
def test_both_forms_say_the_same(data: bytes) -> None:
    export = read(data)
    assert sums(export) == {
        (FIRST, "981A-C057-0BF9"): "0.000361200000",
        (FIRST, "6EDB-2409-6348"): "0.000827500000",
        (FIRST, "911A-8880-A243"): "0.000202500000",
        (SECOND, "0000-0000-0001"): "0.042000000000",
        (SECOND, "0000-0000-0002"): "0.500000000000",
    }
    assert {row.day == row.end for row in export.rows} == {True}
    assert sum(row.amount or 0 for row in export.rows) == 1204 + 331 + 81 + 3 + 12000
    assert export.other_services == {"Cloud Storage": 26 * 10**9}
    assert list(export.other_types.values()) == [10**11]
    assert list(export.projects) == ["made-up"]


def test_credits_are_beside_the_cost() -> None:
    assert sum(row.credits_pico for row in read(BIGQUERY).rows) == -(10**8)
    assert read(REPORT).rows == [
        BilledUsage(FIRST, FIRST, "A sku", "1-2-3", Decimal(1260580), "count", 79 * 10**11, -2 * 10**11)
    ]


def test_a_row_of_a_month_has_its_last_day() -> None:
    table = CONSOLE.replace(b"2026-11-24,2026-11-25", b"2026-11-01,2026-11-30")
    assert [row.end for row in read(table).rows if row.end != row.day] == [date(2026, 11, 30)]


SMALL = b"sku_description,usage_start_date,cost\nA,2026-11-24,1\n"


@cases(
    "data",
    [
        SMALL,
        b"\xef\xbb\xbf" + SMALL,
        SMALL.decode().encode("utf-16"),
        SMALL.replace(b",", b";"),
        SMALL.replace(b",", b"\t").replace(b"\n", b"\r\n"),
        SMALL.replace(b"cost", b"Cost (USD)").replace(b",1\n", b",$1.00\n"),
        SMALL.replace(b"2026-11-24", b"2026-11-24T20:00:00+00:00"),
        SMALL.replace(b"sku_description", b'"SKU  Description"'),
    ],
)
def test_a_file_may_be_written_in_several_ways(data: bytes) -> None:
    (row,) = read(data).rows
    assert row == BilledUsage(FIRST, FIRST, "A", "", None, "", 10**12, 0)


def test_windows_1252_is_read_and_told() -> None:
    export = read(SMALL.replace(b"A,", b"Caf\xe9,"))
    assert (export.rows[0].sku, export.notes[0]) == (
        "Café",
        "The file is not UTF-8: it was read as Windows-1252.",
    )


@cases(
    ("text", "pico"),
    [
        ("1234.56", 1_234_560_000_000_000),
        ('"1,234.56"', 1_234_560_000_000_000),
        (".5", 500_000_000_000),
        ("-1", -(10**12)),
        ("(1.5)", -1_500_000_000_000),
        ("1.5E-5", 15_000_000),
        ("0.00030000000000000003", 300_000_000),
    ],
)
def test_amounts(text: str, pico: int) -> None:
    assert read(SMALL.replace(b",1\n", f",{text}\n".encode())).rows[0].cost_pico == pico


def changed(old: bytes, new: bytes) -> Callable[[], bytes]:
    assert old in SMALL
    return lambda: SMALL.replace(old, new)


FAULTS = {
    "empty": (lambda: b"", "line 1: '' is not the header"),
    "another table": (lambda: b"a,b\n1,2\n", "`SKU description` (console) or `sku.description` (BigQuery)"),
    "no column": (
        changed(b"cost", b"price"),
        "has no column `unrounded cost` or `unrounded subtotal`",
    ),
    "no day": (changed(b"usage_start_date", b"when"), "has no column `usage start time`"),
    "no rows": (changed(b"A,2026-11-24,1\n", b""), "it has no usage of the Gemini API: choose other days"),
    "another service": (
        lambda: CONSOLE.replace(b"Gemini API,AEFD-7695-64FA", b"Cloud Run,152E-C115-5142"),
        "only of Cloud Run",
    ),
    "euros": (changed(b"cost", "cost (€)".encode()), "line 1: the currency is €, and the ledger is in USD"),
    "euros in a row": (lambda: BIGQUERY.replace(b",USD,", b",EUR,"), "line 2: the currency is EUR"),
    "euros above": (lambda: CONSOLE.replace(b"Currency,USD", b"Currency,EUR"), "line 3: the currency is EUR"),
    "decimal comma": (changed(b",1\n", b',"0,02"\n'), "line 2: `cost` is '0,02'; allowed is a number with a"),
    "no number": (changed(b",1\n", b",n/a\n"), "line 2: `cost` is 'n/a'"),
    "no amount": (changed(b",1\n", b",\n"), "line 2: `cost` is ''"),
    "huge": (changed(b",1\n", b",1e99\n"), "line 2: `cost` is"),
    "another date": (changed(b"2026-11-24", b"11/24/2026"), "line 2: `usage start date` is '11/24/2026'"),
    "another time": (changed(b"2026-11-24", b"0001-01-01T00:00:00Z"), "line 2: `usage start date` is"),
    "the last day": (changed(b"2026-11-24", b"9999-12-31"), "line 2: `usage start date` is '9999-12-31'"),
    "the last time": (changed(b"2026-11-24", b"9999-12-31T23:59:59Z"), "line 2: `usage start date` is"),
    "credits": (lambda: BIGQUERY.replace(b"[]", b"[no]"), "line 3: `credits` is '[no]'; allowed is a number"),
    "a spreadsheet": (lambda: b"PK\x03\x04rest", "this is a spreadsheet, an archive or Parquet"),
    "binary": (lambda: SMALL + b"\0", "this is no text"),
    "quotes": (changed(b"A,2026", b'"A"x,2026'), "line 2: this is not CSV"),
}


@cases(("data", "told"), FAULTS.values())
def test_a_file_that_does_not_do_is_told_where_and_why(data: Callable[[], bytes], told: str) -> None:
    with pytest.raises(ExportError) as caught:
        read(data())
    assert told in str(caught.value)


@given(
    data=st.binary(max_size=60)
    | st.tuples(st.integers(0, len(SMALL)), st.binary(max_size=8)).map(
        lambda cut: SMALL[: cut[0]] + cut[1] + SMALL[cut[0] :]
    )
)
def test_no_file_is_a_fault_of_the_program(data: bytes) -> None:
    with contextlib.suppress(ExportError):
        read(data)
