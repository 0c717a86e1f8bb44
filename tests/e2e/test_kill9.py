"""Whatever moment the gateway is killed at: every call is one row, once, and every key's spend is right.

The whole acceptance run: GATEKEEPER_KILLS=10x50 pytest tests/e2e/test_kill9.py (rounds x callers).
"""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

from rig.process import Served, rows_in_file, serving
from rig.standin import StandIn
from rig.storm import ALIASES, SETTINGS, spend_of, storm

ROUNDS, CALLERS = map(int, os.environ.get("GATEKEEPER_KILLS", "2x20").split("x"))
COLUMNS = "CAST(id AS VARCHAR) AS id, CAST(user_id AS INT) AS number, key_alias, outcome, status, cost_usd"


async def test_kills_lose_and_double_nothing(folder: Path, google: StandIn) -> None:
    found = await storm(folder, google, rounds=ROUNDS, calls=CALLERS, seed=ROUNDS)
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        spends = {alias: await spend(served, alias) for alias in ALIASES}
        total = (await served.get("/spend", by="none"))["total"]
        assert await served.stop() == 0
    found.read_journal(served.data)
    rows = rows_in_file(served.data, COLUMNS)
    outcomes = Counter(row["outcome"] for row in rows)
    print(f"{len(rows)} calls in {ROUNDS} rounds: {dict(outcomes)}")  # noqa: T201  for whoever runs it by hand

    assert sorted(row["id"] for row in rows) == sorted(found.seen | found.begun | found.ended)
    assert found.begun <= found.ended
    assert found.reached_upstream <= {row["number"] for row in rows}
    assert {row["id"]: row["cost_usd"] for row in rows} == {
        row["id"]: found.charges[row["number"]] if row["outcome"] == "ok" else None for row in rows
    }
    assert outcomes.keys() == {"ok", "interrupted"}
    assert spends == {alias: spend_of(rows, alias) for alias in ALIASES}
    assert (total["calls"], total["errors"]) == (len(rows), outcomes["interrupted"])


async def spend(served: Served, alias: str) -> Decimal:
    return Decimal((await served.get("/key/info", key=alias))["info"]["spend"])
