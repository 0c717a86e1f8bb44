"""Rows of the analytics file are priced anew in one transaction, and what changes is written down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import msgspec
import pytest
from rig.analytics import Analytics

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.ledger.analytics import row_prices
from gatekeeper.ledger.analytics.database import Database
from gatekeeper.ledger.analytics.messages import FileUnusable
from gatekeeper.ledger.analytics.reprice import HAS_FAILED, Report, Run, reprice
from gatekeeper.ledger.analytics.uncharged_runs import Charge, charges, mark_run
from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import GIVEN_UP, PENDING_VIDEOS, SUM_DIFFERS, SUMS_INCOMPLETE
from gatekeeper.pricing.priced_call import has_failed
from gatekeeper.pricing.worst_case import worst_case
from gatekeeper.startup import load_catalogue
from gatekeeper.times import to_micros

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RUN = UUID("019a1b2c-0000-7000-8000-00000000aaaa")
USAGE = msgspec.Raw(b'{"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}')
HALF = msgspec.Raw(b'{"promptTokenCount": 500, "candidatesTokenCount": 50, "totalTokenCount": 550}')


def catalogue(price: str = "2", version: str = "new") -> Catalogue:
    found = Catalogue.parse(f"""
        version = "{version}"
        checked = "2026-11-24"
        currency = "USD"
        [[models]]
        ids = ["text"]
        source = "invented"
        prices = [
          {{ tier = "standard", to = "2026-11-01", input = "1", output = "10" }},
          {{ tier = "standard", from = "2026-11-01", input = "{price}", output = "20" }},
        ]
    """)
    # As the file names it: another version may be a hash of the content.
    return msgspec.structs.replace(found, version=version)


def test_sql_and_python_agree_on_what_has_failed() -> None:
    cases = [(outcome, status) for outcome in (*Outcome, None) for status in (None, 0, 200, 399, 400, 599)]
    rows = duckdb.execute(
        f"SELECT {HAS_FAILED} FROM (SELECT unnest(?) AS outcome, unnest(?) AS status)",
        [[outcome and outcome.value for outcome, _ in cases], [status for _, status in cases]],
    ).fetchall()
    assert [failed for (failed,) in rows] == [has_failed(*case) for case in cases]


def call(number: int, **known: Any) -> CallRecord:
    """A call that cost a dollar by an old catalogue, and 0.004 USD by the new one."""
    usual = {
        "id": f"019a1b2c-0000-7000-8000-{number:012x}",
        "started_at": to_micros(NOON) + number * 1_000_000,
        "duration_ms": 1500.0,
        "key_id": "k1",
        "method": "POST",
        "path": "/v1beta/models/text:generateContent",
        "action": "generateContent",
        "model": "text",
        "status": 200,
        "outcome": Outcome.OK,
        "usage": USAGE,
        "total_tokens": 1100,
        "cost_pico": 10**12,
        "price_version": "old",
    }
    return CallRecord(**usual | known)


class File:
    """An analytics file with these calls. Each run has an instance of its own; questions share one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._database: Database | None = None

    def close(self) -> None:
        if self._database:
            self._database.close()
        self._database = None

    def add(self, *calls: CallRecord) -> None:
        self.close()
        analytics = Analytics(self.folder)
        try:
            start = analytics.watermark() or Position(0, 0)
            analytics.add([(Position(1, start.offset + n), each) for n, each in enumerate(calls, 1)])
            analytics.flush()
        finally:
            analytics.release()

    def attached(self) -> Database:
        if self._database is None:
            self._database = Database(self.folder)
            self._database.attach()
        return self._database

    def reprice(
        self, prices: Catalogue | None = None, *, run: UUID = RUN, dry_run: bool = False, **to: Any
    ) -> Report:
        period = {"since": 0, "until": None} | to
        self.close()
        try:
            return reprice(
                self.attached(),
                Run(run, to_micros(NOON), catalogue=prices or catalogue(), **period),
                dry_run=dry_run,
            )
        finally:
            self.close()

    def rows(self, query: str = "SELECT cost_usd, price_version FROM calls ORDER BY id") -> list[Any]:
        return self.attached().con.execute(query).fetchall()

    def charges(self, *window_starts: int, run: UUID = RUN) -> set[Charge]:
        mark_run(self.folder, str(run))
        found = charges(self.attached().con, self.folder, window_starts)
        return set((found or {})[str(run)])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    file = File(tmp_path)
    yield file
    file.close()


NEW = (Decimal("0.004"), "new")
OLD = (Decimal(1), "old")


def test_a_row_gets_the_cost_of_its_usage_by_the_prices_of_its_day(file: File) -> None:
    october = to_micros(datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
    file.add(call(1), call(2, started_at=october), call(3, usage=HALF), call(4, model_version="unheard-of"))
    report = file.reprice()
    assert file.rows() == [NEW, (Decimal("0.002"), "new"), (Decimal("0.002"), "new"), (None, None)]
    assert (report.looked_at, report.changed, report.newly_priced, report.now_unknown) == (4, 4, 0, 1)
    assert [each.reason for each in report.unknown] == ["unheard-of is not in the price catalogue of new"]


def test_the_old_figures_stay_and_a_second_run_changes_nothing(file: File) -> None:
    file.add(call(1), call(2, cost_pico=None, price_version=None))
    first, second = file.reprice(), file.reprice(run=UUID(int=1))
    assert (first.changed, first.newly_priced, second.changed, second.looked_at) == (2, 1, 0, 2)
    adjusted = """
        SELECT CAST(run_id AS VARCHAR), epoch_us(adjusted_at), CAST(call_id AS VARCHAR), old_cost_usd,
               old_price_version, new_cost_usd, new_price_version FROM adjustments ORDER BY call_id
    """
    assert file.rows(adjusted) == [
        (str(RUN), to_micros(NOON), call(1).id, *OLD, *NEW),
        (str(RUN), to_micros(NOON), call(2).id, None, None, *NEW),
    ]


def test_a_row_that_keeps_its_cost_keeps_the_version_that_gave_it(file: File) -> None:
    file.add(call(1, cost_pico=4_000_000_000))
    assert file.reprice().changed == 0
    assert file.rows() == [(Decimal("0.004"), "old")]


LEFT_ALONE: dict[str, dict[str, Any]] = {
    "refused": {"outcome": Outcome.REFUSED, "status": 403, "cost_pico": 0, "price_version": None},
    "not reached": {"outcome": Outcome.UPSTREAM_UNREACHABLE, "status": 502, "cost_pico": 0},
    "failed": {"outcome": Outcome.UPSTREAM_ERROR, "status": 429, "cost_pico": 0},
    "free": {"action": "countTokens", "cost_pico": 0, "price_version": None},
    "interrupted": {"outcome": Outcome.INTERRUPTED, "usage": None, "total_tokens": None, "cost_pico": None},
    "no usage": {"outcome": Outcome.CLIENT_DISCONNECTED, "usage": None, "total_tokens": None},
    "usage that was not kept": {"usage": None, "billed_units": {"image_each": 1}},
    "pending videos": {
        "usage": None,
        "total_tokens": None,
        "billed_units": {"output_video_second_720p": 8},
        "usage_note": PENDING_VIDEOS,
        "cost_pico": None,
    },
    "given up": {"usage_note": f"{GIVEN_UP} nobody asked", "cost_pico": None},
    "sums that are not all": {"usage_note": f"3 responses; {SUMS_INCOMPLETE}", "cost_pico": None},
    "a sum of other prices": {"usage_note": SUM_DIFFERS},
    "estimated": {"outcome": Outcome.CLIENT_DISCONNECTED, "usage_note": "output was estimated"},
}


def test_what_has_no_price_by_its_usage_is_left_alone(file: File) -> None:
    file.add(*(call(number, **known) for number, known in enumerate(LEFT_ALONE.values(), 1)))
    before = file.rows("SELECT * EXCLUDE (started_at) FROM calls ORDER BY id")
    report = file.reprice()
    after = file.rows("SELECT * EXCLUDE (started_at) FROM calls ORDER BY id")
    changed = {name: row for name, row, old in zip(LEFT_ALONE, after, before, strict=True) if row != old}
    assert changed == {}
    assert (report.looked_at, report.left_alone, report.changed) == (len(LEFT_ALONE), len(LEFT_ALONE), 0)


BILLED_BESIDE_TOKENS: dict[str, tuple[str, str, dict[str, int | None], str | None]] = {
    "storage": ("gemini-2.5-flash", "cache.storage", {"cache_storage_token_second": 3_600_000_000}, "1"),
    "a video": ("veo-3.1-generate-preview", "predictLongRunning", {"output_video_second_720p": 8}, "3.2"),
    "no video": ("veo-3.1-generate-preview", "predictLongRunning", {"output_video_second_720p": 0}, "0"),
    "pictures": ("imagen-4.0-generate-001", "predict", {"image_each": 3}, "0.12"),
    "so many pictures": ("imagen-4.0-generate-001", "predict", {"image_each": None}, None),
}


def test_what_is_billed_beside_tokens_is_priced_by_its_units(file: File) -> None:
    file.add(
        *(
            call(
                number, model=model, action=action, billed_units=units, usage=None, total_tokens=None,
                status=None, cost_pico=7,
            )
            for number, (model, action, units, _) in enumerate(BILLED_BESIDE_TOKENS.values(), 1)
        )
    )  # fmt: skip
    assert file.reprice(load_catalogue()).changed == len(BILLED_BESIDE_TOKENS)
    found = dict(zip(BILLED_BESIDE_TOKENS, file.rows("SELECT cost_usd FROM calls ORDER BY id"), strict=True))
    assert found == {name: (cost and Decimal(cost),) for name, (*_, cost) in BILLED_BESIDE_TOKENS.items()}


def test_only_calls_of_the_period_are_looked_at(file: File) -> None:
    file.add(*(call(number) for number in range(1, 5)))
    at = [call(number).started_at for number in range(5)]
    assert file.reprice(since=at[2], until=at[4]).looked_at == 2
    assert file.rows() == [OLD, NEW, NEW, OLD]


def test_a_dry_run_reports_the_same_and_changes_nothing(file: File) -> None:
    file.add(call(1), call(2))
    assert file.reprice(dry_run=True) == file.reprice(dry_run=True)
    assert file.rows() == [OLD, OLD]
    assert file.rows("FROM adjustments") == []
    assert file.reprice().changed == 2


def test_the_report_has_sums_by_model_and_the_largest_changes(file: File) -> None:
    file.add(call(1), call(2, cost_pico=None, price_version=None), call(3, cost_pico=4_000_000_000))
    report = file.reprice()
    (model,) = report.models
    assert (model.model, model.calls, model.changed) == ("text", 3, 2)
    assert (model.old_usd, model.new_usd, model.difference_usd) == (
        "1.004000000000", "0.012000000000", "-0.992000000000",
    )  # fmt: skip
    assert [(each.id, each.old_usd, each.difference_usd) for each in report.largest] == [
        (call(1).id, "1.000000000000", "-0.996000000000"),
        (call(2).id, None, "0.004000000000"),
    ]


def test_a_row_whose_pricing_raises_is_unchanged_and_reported(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = row_prices.row_quote

    def faulty(prices: Catalogue, row: Any) -> Any:
        if row.usage == bytes(HALF):
            raise ZeroDivisionError("a fault")
        return real(prices, row)

    monkeypatch.setattr(row_prices, "row_quote", faulty)
    file.add(call(1, usage=HALF), call(2))
    report = file.reprice()
    assert [(each.reason, each.calls) for each in report.faults] == [
        ("text: ZeroDivisionError('a fault')", 1)
    ]
    assert (report.changed, report.left_alone) == (1, 0)
    assert file.rows() == [OLD, NEW]


def test_very_many_are_priced_in_several_processes(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_prices, "PARALLEL_FROM", 2)
    monkeypatch.setattr("gatekeeper.ledger.analytics.reprice.BATCH", 1)
    file.add(
        *(call(number, usage=USAGE if number % 2 else HALF) for number in range(6)), call(6, model="new")
    )
    assert [cost for cost, _ in file.rows()] == [Decimal(1)] * 7
    report = file.reprice()
    assert (report.changed, report.unknown[0].calls) == (7, 1)
    assert [cost for cost, _ in file.rows()] == [*[Decimal("0.002"), Decimal("0.004")] * 3, None]


def test_a_cost_beyond_the_column_is_unknown(file: File) -> None:
    huge = msgspec.Raw(b'{"promptTokenCount": 9007199254740991, "totalTokenCount": 9007199254740991}')
    file.add(call(1, usage=huge))
    assert file.reprice().now_unknown == 1
    assert file.rows() == [(None, None)]


def test_a_run_that_fails_before_its_end_has_changed_nothing(file: File) -> None:
    file.add(call(1))

    def full() -> None:
        raise OSError("disk full")

    with pytest.raises(FileUnusable):
        reprice(file.attached(), Run(RUN, 0, 0, None, catalogue()), dry_run=False, before_commit=full)
    file.close()
    assert file.rows() == [OLD]
    assert file.rows("FROM adjustments") == []


# What is charged


def test_the_differences_are_told_by_key_end_user_and_window(file: File) -> None:
    file.add(call(1), call(2), call(3, key_id="k2"), call(4, key_id=None), call(5, user_id="ann"))
    file.reprice()
    less = -996_000_000_000
    # A call counts in the window in which it ended, 1.5 s after its start.
    first, second, third, _, fifth = (call(number).started_at + 1_500_000 for number in range(1, 6))
    of_others = {
        Charge("k2", None, "text", third, less, 0),
        Charge("k1", "ann", "text", fifth, less, 0),
    }
    together = {Charge("k1", None, "text", first, 2 * less, 0), *of_others}
    apart = {Charge("k1", None, "text", ended, less, 0) for ended in (first, second)} | of_others
    assert file.charges() == file.charges(0) == file.charges(first) == together
    assert file.charges(0, second) == file.charges(first + 1) == apart
    assert file.charges(second + 1) == together


def test_a_cost_takes_the_place_of_the_estimate_that_the_budget_was_charged(file: File) -> None:
    guess = worst_case(
        catalogue(), model="text", model_version=None, usage=Usage(prompt=7), at=NOON, tier="standard",
        action="generateContent", request_bytes=None,
    )  # fmt: skip
    file.add(call(1, cost_pico=None, price_version=None, usage_note=f"the first; {guess.note}"))

    def charged(run: UUID = RUN) -> tuple[int, int]:
        (charge,) = file.charges(0, run=run)
        return charge.pico, charge.estimated_pico

    file.reprice()
    cost = 4_000_000_000
    assert charged() == (cost - guess.pico, -guess.pico)
    # A price that is taken away again: the estimate counts again.
    unknown, again = UUID(int=1), UUID(int=2)
    file.reprice(msgspec.structs.replace(catalogue(), exact={}), run=unknown)
    assert charged(unknown) == (guess.pico - cost, guess.pico)
    file.reprice(run=again)
    assert charged(again) == (cost - guess.pico, -guess.pico)
