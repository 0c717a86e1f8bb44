"""`gatekeeper prices reprice` beside a running gateway, and in the folder of one that was killed."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import trio
from rig.process import PATIENCE, Served, command, serving
from rig.standin import StandIn
from rig.wire import exchange

MASTER = "of-the-tests"
GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
ANSWER = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}}'
COST = Decimal("0.000003")
WRONG = Decimal("0.000001")


async def reprice(folder: Path, *arguments: str) -> Any:
    words = ["prices", "reprice", "--since", "2020-01-01", "--json", *arguments]
    done = await command(folder, *words, GATEKEEPER_MASTER_KEY=MASTER)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    # These differ from run to run.
    return {name: value for name, value in document.items() if name not in ("run_id", "dry_run")}


def misprice(data: Path) -> None:
    """As if the first three rows had been priced by a catalogue that was wrong."""
    with duckdb.connect(str(data / "gatekeeper.duckdb")) as file:
        file.execute(f"""
            UPDATE calls SET cost_usd = {WRONG}, price_version = 'old'
            WHERE id IN (SELECT id FROM calls ORDER BY id LIMIT 3)
        """)


async def call(served: Served, secret: str, count: int) -> None:
    for _ in range(count):
        await exchange(served.url, GENERATE, body=b"{}", headers=[f"x-goog-api-key: {secret}"])


async def spent(served: Served) -> Decimal:
    return Decimal((await served.get("/key/info", key="mine"))["info"]["spend"])


async def test_calls_are_repriced_with_a_gateway_and_without_one(folder: Path, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    flags, settings = (
        ("--upstream", google.url),
        {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": MASTER},
    )
    more = COST - WRONG
    async with serving(folder, *flags, **settings) as served:
        secret = (await served.post("/key/generate", {"key_alias": "mine"}))["key"]
        await call(served, secret, 3)
        await served.post("/sql/lend", {"seconds": 60})
        misprice(served.data)
        await served.post("/sql/return", {})
        tried = await reprice(folder, "--url", served.url, "--dry-run")
        assert (tried["changed"], await spent(served)) == (3, 3 * COST)
        assert await reprice(folder, "--url", served.url) == tried
        assert await spent(served) == 3 * COST + 3 * more
        assert (await served.get("/spend", by="none"))["total"]["cost_usd"] == "0.000009000000"
        assert (await reprice(folder, "--url", served.url))["changed"] == 0
        # In the journal, but hardly in the file yet, when the gateway is killed.
        await call(served, secret, 2)
        with trio.fail_after(PATIENCE):
            while len((await served.get("/calls"))["calls"]) < 5:
                await trio.sleep(0.01)
        await served.kill()
    misprice(served.data)
    nowhere = ("--url", served.url, "--data", str(served.data))
    found = await reprice(folder, *nowhere)
    assert (found["looked_at"], found["changed"]) == (5, 3)
    async with serving(folder, *flags, **settings) as served:
        assert await spent(served) == 5 * COST + 6 * more
        elsewhere = ("--url", "http://127.0.0.1:9", "--data", str(served.data))
        refused = await command(folder, "prices", "reprice", "--since", "1d", *elsewhere)
        assert (refused.returncode, b"give its --url" in refused.stderr) == (6, True)


OWN_PRICES = """
[[models]]
ids = ["gemini-9-ultra"]
source = "our contract"
prices = [{ tier = "standard", input = "2", output = "3" }]
"""


async def test_a_price_that_becomes_known_takes_the_place_of_the_estimate(
    folder: Path, google: StandIn
) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    settings = {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": MASTER}
    async with serving(folder, "--upstream", google.url, **settings) as served:
        fields = {"key_alias": "mine", "max_budget": 100, "allow_unpriced": True}
        secret = (await served.post("/key/generate", fields))["key"]
        asked = GENERATE.replace("gemini-2.5-flash", "gemini-9-ultra")
        answer = await exchange(served.url, asked, body=b"{}", headers=[f"x-goog-api-key: {secret}"])
        path = f"/calls/{answer.headers['x-gatekeeper-call-id']}"
        before = await served.get(path)
        assert (before["cost_usd"], await spent(served) > 0) == (None, True)
        (served.data / "prices.toml").write_text(OWN_PRICES)
        found = await reprice(folder, "--url", served.url)
        assert (found["newly_priced"], found["changed"]) == (1, 1)
        assert await spent(served) == Decimal("0.00002")
        after = await served.get(path)
        assert (after["cost_usd"], after["price_version"]) == ("0.000020000000", found["price_version"])
        key = (await served.get("/key/info", key="mine"))["info"]
        assert Decimal(key["spend_estimated"]) == 0
