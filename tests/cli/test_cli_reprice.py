"""`gatekeeper prices reprice` as a person meets it: what it prints, and how it ends."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from rig.analytics import Analytics
from rig.cases import cases

from gatekeeper.ledger.analytics import row_prices
from gatekeeper.ledger.analytics.uncharged_runs import MARK
from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.settings import OwnPrices
from gatekeeper.startup import load_catalogue

NOON = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z
USAGE = msgspec.Raw(b'{"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}')
ID = "019a1b2c-0000-7000-8000-00000000000"
ARGUMENTS = ("prices", "reprice", "--since", "2026-11-24")


def call(number: int, model: str, cost_pico: int | None, **known: Any) -> CallRecord:
    usual = {"status": 200, "outcome": Outcome.OK, "usage": USAGE, "price_version": "old"} | known
    return CallRecord(
        id=f"{ID}{number}", started_at=NOON, method="POST", path="/v1beta/models/m:generateContent",
        action="generateContent", model=model, cost_pico=cost_pico, **usual,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two calls at a wrong cost, one whose price was not known, and a refused one; nobody has the file."""
    folder = tmp_path_factory.mktemp("written")
    analytics = Analytics(folder)
    calls = [
        call(1, "gemini-2.5-flash", 10**12),
        call(2, "gemini-2.5-flash", None, price_version=None),
        call(3, "gemini-9-ultra", 10**12),
        call(4, "gemini-2.5-flash", 0, outcome=Outcome.REFUSED, status=429, usage=None, price_version=None),
    ]
    analytics.add([(Position(1, number), each) for number, each in enumerate(calls, 1)])
    analytics.flush()
    analytics.release()
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """These calls for a test alone."""
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture
def lending(gateway: Any, folder: Path) -> Any:
    """A gateway that lends the file."""
    file = str(folder / "gatekeeper.duckdb")
    gateway.answers = {
        "GET /prices": {"version": "2026-11-24-0", "checked": "2026-11-24", "own_file": None},
        "POST /sql/lend": {"file": file, "seconds": 60},
        "POST /sql/return": {"returned": True},
    }
    return gateway


def costs(folder: Path) -> list[Any]:
    with duckdb.connect(str(folder / "gatekeeper.duckdb")) as file:
        return [
            cost
            for (cost,) in file.execute("SELECT CAST(cost_usd AS VARCHAR) FROM calls ORDER BY id").fetchall()
        ]


def test_what_has_changed_is_printed(on: Any, lending: Any, folder: Path) -> None:
    ended = on(*ARGUMENTS)
    assert ended.status == 0
    assert (
        ended.out
        == f"""\
prices of {load_catalogue().version}: 3 of 4 calls changed (1 newly priced, 1 now unknown, 1 left alone)

model             calls  changed           before            after       difference
gemini-9-ultra        1        1  $1.000000000000          unknown  -1.000000000000
gemini-2.5-flash      2        2  $1.000000000000  $0.001100000000  -0.998900000000

largest changes                       model                      before            after       difference
{ID}3  gemini-9-ultra    $1.000000000000          unknown  -1.000000000000
{ID}1  gemini-2.5-flash  $1.000000000000  $0.000550000000  -0.999450000000
{ID}2  gemini-2.5-flash          unknown  $0.000550000000  +0.000550000000
"""
    )
    assert "The cost of 1 call is unknown: gemini-9-ultra" in ended.err
    assert costs(folder) == ["0.000550000000", "0.000550000000", None, "0.000000000000"]
    assert [asked.path for asked in lending.asked] == ["/prices", "/sql/lend", "/sql/return"]
    # For the gateway, which charges the keys.
    assert len(list(folder.glob(f"{MARK}*"))) == 1


@pytest.mark.usefixtures("lending")
def test_a_dry_run_says_what_would_change(on: Any, folder: Path) -> None:
    before = costs(folder)
    assert "3 of 4 calls would change" in on(*ARGUMENTS, "--dry-run").out
    assert "0 of 0 calls changed\n" in on("prices", "reprice", "--since", "2026-11-25").out
    assert "0 of 0 calls changed\n" in on(*ARGUMENTS, "--until", "2026-11-24T12:00:00Z").out
    assert costs(folder) == before
    assert list(folder.glob(f"{MARK}*")) == []


def test_the_own_prices_are_those_of_the_gateway(on: Any, lending: Any, folder: Path) -> None:
    """Wherever it has them; those of this machine's data folder do not count."""
    own = folder.parent / "mine.toml"
    own.write_text(
        "[[models]]\nids = ['gemini-9-ultra']\nprices = [{ tier = 'standard', input_text = '1' }]\n"
    )
    (folder / "prices.toml").write_text(own.read_text().replace("'1'", "'2'"))
    lending.answers["GET /prices"]["own_file"] = str(own)
    ended = on(*ARGUMENTS, "--dry-run", "--json")
    assert ended.document["price_version"] == load_catalogue(OwnPrices(own)).version


def test_the_document(on: Any, lending: Any) -> None:
    document = on(*ARGUMENTS, "--json").document
    assert (document["since"], document["until"], document["dry_run"]) == (
        "2026-11-24T00:00:00Z",
        None,
        False,
    )
    assert (document["looked_at"], document["left_alone"], document["changed"]) == (4, 1, 3)
    assert document["models"][1] == {
        "model": "gemini-2.5-flash",
        "calls": 2,
        "changed": 2,
        "old_usd": "1.000000000000",
        "new_usd": "0.001100000000",
        "difference_usd": "-0.998900000000",
    }
    assert document["price_version"] == load_catalogue().version


@pytest.mark.usefixtures("lending")
def test_a_fault_is_told_and_is_a_fault_of_ours(on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(row_prices, "row_quote", faulty)
    ended = on(*ARGUMENTS)
    assert ended.status == 1
    assert "kept 2 calls from being priced: gemini-2.5-flash: ZeroDivisionError('a fault')" in ended.err


def test_without_a_gateway_and_calls_there_is_nothing_to_do(cli: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended = cli(*ARGUMENTS, "--url", url, "--data", "elsewhere")
    assert (ended.status, "check --data" in ended.err) == (3, True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("lending")
@cases(
    ("arguments", "status", "said"),
    [
        (("--since", "tomorrow"), 2, "--since"),
        (("--since", "1d", "--until", "then"), 2, "--until"),
        (("--since", "1h", "--until", "2h"), 2, "--until 2h is not after --since 1h"),
        (("--since", "2026-11-24", "--until", "2026-11-24"), 2, "--until 2026-11-24 is not after"),
        ((), 2, "--since"),
    ],
)
def test_a_wrong_time_is_named(on: Any, arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = on("prices", "reprice", *arguments)
    assert (ended.status, said in ended.err) == (status, True)


def test_a_file_on_another_machine_is_told(on: Any, lending: Any) -> None:
    lending.answers["POST /sql/lend"] = {"file": "/nowhere/gatekeeper.duckdb", "seconds": 60}
    ended = on(*ARGUMENTS)
    assert (ended.status, "not on this machine" in ended.err) == (6, True)
    assert lending.asked[-1].path == "/sql/return"
