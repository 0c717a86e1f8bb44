"""A call that Google runs while the gateway is killed counts against its key's budget, once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import trio
from rig.process import PATIENCE, serving
from rig.standin import StandIn
from rig.wire import connect, head

SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": "master-of-the-tests"}
LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
BUDGET = Decimal("0.1")  # less than 65,536 tokens at 2.5 dollars a million cost


async def test_an_interrupted_call_counts_against_the_budget_once(folder: Path, google: StandIn) -> None:
    google.script = lambda reply: reply.hung_up()
    flags = ("--upstream", google.url)
    async with serving(folder, *flags, **SETTINGS) as served:
        secret = (await served.post("/key/generate", {"max_budget": str(BUDGET)}))["key"]
        async with await connect(served.url) as client:
            await client.send_all(head(LINE, ["Content-Length: 2", f"x-goog-api-key: {secret}"]) + b"{}")
            with trio.fail_after(PATIENCE):
                while not google.asked:
                    await trio.sleep(0.005)
            await served.kill()
    async with serving(folder, *flags, **SETTINGS) as served:
        (call,) = (await served.get("/calls"))["calls"]
        assert (call["outcome"], call["cost_usd"]) == ("interrupted", None)
        info = (await served.get("/key/info", key=secret))["info"]
        assert info["spend"] == info["spend_estimated"]
        charged = call["usage_note"].removeprefix("estimated for the budget: ").partition(" USD")[0]
        assert Decimal(info["spend"]) == Decimal(charged) == BUDGET
        answer = await served.client.post(LINE.split()[1], headers={"x-goog-api-key": secret}, content=b"{}")
        assert answer.status_code == 429
