"""`gatekeeper doctor` looks for calls without a price."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

MASTER = "master-of-the-tests"
MODELS = [
    {"model": "gemini-9-ultra", "calls": 30},
    {"model": None, "calls": 4},
    {"model": "gemini-2.5-flash", "calls": 2},
    {"model": "gemini-x", "calls": 1},
]
REMEDY = "add the prices to prices.toml"


def spend(*models: dict[str, object]) -> dict[str, object]:
    calls = sum(int(str(row["calls"])) for row in models)
    return {"rows": [], "total": {"calls": 99, "unpriced_calls": calls}, "unpriced_models": list(models)}


def unpriced(ended: Any) -> list[tuple[str, str | None]]:
    checks = ended.document["checks"]
    return [(each["detail"], each["remedy"]) for each in checks if each["check"] == "unpriced"]


@pytest.fixture
def running(cli: Any, gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Runs it where the gateway of these settings answers this to /spend."""
    monkeypatch.setenv("GATEKEEPER_MASTER_KEY", MASTER)
    (tmp_path / "data-sandbox").mkdir()

    def run(answer: Any) -> Any:
        gateway.answers = {
            "GET /": {"version": "1"},
            "GET /readyz": {"ready": True},
            "GET /settings": {"time": datetime.now(UTC).isoformat(), "settings": {}},
            "GET /prices": {"version": "1", "checked": str(datetime.now(UTC).date())},
            "GET /spend": answer,
        }
        with (tmp_path / "data-sandbox" / "gatekeeper.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return cli("doctor", "--sandbox", "--port", gateway.url.rpartition(":")[2], "--json")

    return run


def test_models_without_a_price_are_a_finding_with_a_remedy(running: Any, gateway: Any) -> None:
    ended = running(spend(*MODELS))
    (missing, remedy), (known, none) = unpriced(ended)
    assert missing == "no price for gemini-9-ultra, gemini-x (31 calls in 30 days)"
    assert remedy.startswith(REMEDY)
    assert known.startswith(
        "6 calls in 30 days with no known cost, of models that have a price (no model, ge"
    )
    assert (none, ended.status) == (None, 7)
    asked = [(each.query, each.headers["authorization"]) for each in gateway.asked if each.path == "/spend"]
    assert asked == [({"by": "none", "since": "30d"}, f"Bearer {MASTER}")]


@pytest.mark.parametrize(
    ("answer", "told", "status"),
    [
        (spend(), "no call of the last 30 days lacks a price", 0),
        (spend(MODELS[2]), "2 calls in 30 days with no known cost, of models", 0),
        ((401, {"title": "no"}), "calls without a price could not be looked for", 0),
        (
            spend(*({"model": f"m{n}", "calls": 1} for n in range(12))),
            "no price for m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, … (12 calls",
            7,
        ),
    ],
    ids=["none", "known", "another key", "many"],
)
def test_what_is_told_of_a_running_gateway(running: Any, answer: Any, told: str, status: int) -> None:
    ended = running(answer)
    assert unpriced(ended)[0][0].startswith(told)
    assert ended.status == status


def test_a_gateway_that_tells_nothing_is_not_asked_for_calls(cli: Any, gateway: Any) -> None:
    gateway.answers = {"GET /": {}, "GET /readyz": {"ready": True}, "GET /settings": (401, {"title": "no"})}
    ended = cli("doctor", "--url", gateway.url, "--json")
    assert (ended.status, unpriced(ended)) == (0, [])
    assert [asked.path for asked in gateway.asked] == ["/readyz", "/", "/settings"]


def test_without_a_gateway_the_file_is_read(cli: Any, gateway: Any, tmp_path: Path) -> None:
    (tmp_path / "data-sandbox").mkdir()
    columns = "model VARCHAR, model_version VARCHAR, cost_usd DECIMAL(18,12), started_at TIMESTAMPTZ"
    with duckdb.connect(str(tmp_path / "data-sandbox" / "gatekeeper.duckdb")) as con:
        con.execute(f"CREATE TABLE calls ({columns})")
        con.execute(
            "INSERT INTO calls VALUES ('a', 'gemini-9', NULL, now()), ('gemini-9', NULL, NULL, now()), "
            "('b', NULL, 1, now()), ('old', NULL, NULL, now() - INTERVAL 40 DAY)"
        )
    free = gateway.url.rpartition(":")[2]
    gateway.answers = {"GET /readyz": (404, {})}
    ended = cli("doctor", "--sandbox", "--port", free, "--json")
    assert unpriced(ended)[0][0] == "no price for gemini-9 (2 calls in 30 days)"
