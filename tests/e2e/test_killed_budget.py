"""Calls that Google runs while the gateway is killed count against their key's budget, once."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import trio
from rig.process import PATIENCE, Served, serving
from rig.standin import Reply, StandIn
from rig.wire import Answer, connect, exchange, head

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


MODEL = "gemini-2.5-flash"
OUTPUT = Decimal("0.0000025")  # a token of it
PRICE = Decimal("0.0003") + 100 * OUTPUT  # 1,000 tokens of input and 100 of output
# 4,000 bytes that Google counts as 1,000 tokens, and at most 100 tokens of output
ASKED = json.dumps(
    {
        "contents": [{"parts": [{"text": "word " * 800}]}],
        "generationConfig": {"maxOutputTokens": 100},
    }
).encode()
RESERVED = (len(ASKED) * Decimal("0.3")) / 10**6 + 100 * OUTPUT
CALLS, ANSWERED, HANGING = 100, 20, 10


def chunk(output: int, *, last: bool) -> bytes:
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": output, "totalTokenCount": 1000 + output}
    candidate = {"finishReason": "STOP"} if last else {}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}).encode()


class Google:
    """Answers so many calls, and lets the others hang: a stream after its first event."""

    def __init__(self, *, stream: bool) -> None:
        self.stream = stream
        self.answers = ANSWERED
        self.hanging = 0

    async def __call__(self, reply: Reply) -> None:
        self.answers -= 1
        whole = self.answers >= 0
        if self.stream:
            events = [b"data: %b\r\n\r\n" % chunk(n, last=n == 100) for n in (50, 100)]
            await reply.chunked(events if whole else events[:1], end=whole)
        elif whole:
            await reply.json(chunk(100, last=True))
        if not whole:
            self.hanging += 1
            await reply.hung_up()


async def ask(served: Served, secret: str, action: str, clients: int) -> Counter[int]:
    """The answers to so many calls at once, by status; 0 where there is none."""
    statuses: Counter[int] = Counter()

    async def client() -> None:
        answer = Answer(0, {}, b"", whole=False)
        try:
            line, headers = f"POST /gemini/v1beta/models/{MODEL}:{action}", [f"x-goog-api-key: {secret}"]
            answer = await exchange(served.url, line, body=ASKED, headers=headers)
        finally:
            statuses[answer.status if answer.whole else 0] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client)
    return statuses


async def spend(served: Served, secret: str) -> Decimal:
    return Decimal((await served.get("/key/info", key=secret))["info"]["spend"])


@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent?alt=sse"])
@pytest.mark.parametrize("is_locked", [False, True], ids=["", "locked"])
async def test_a_kill_costs_a_budget_what_was_reserved_and_no_more(
    folder: Path, google: StandIn, action: str, is_locked: bool
) -> None:
    budget, scripted = CALLS * PRICE, Google(stream="stream" in action)
    google.script = scripted
    flags = ("--upstream", google.url)
    with ExitStack() as stack:
        if is_locked:
            (folder / "data").mkdir(parents=True)
            stack.enter_context(duckdb.connect(str(folder / "data" / "gatekeeper.duckdb")))
        async with serving(folder, *flags, **SETTINGS) as served, trio.open_nursery() as nursery:
            secret = (await served.post("/key/generate", {"max_budget": str(budget)}))["key"]
            nursery.start_soon(ask, served, secret, action, ANSWERED + HANGING)
            with trio.fail_after(PATIENCE):
                while scripted.hanging < HANGING or await spend(served, secret) < ANSWERED * PRICE:
                    await trio.sleep(0.01)
            await served.kill()
        scripted.answers = CALLS
        async with serving(folder, *flags, **SETTINGS) as served:
            info = (await served.get("/key/info", key=secret))["info"]
            reserved = Decimal(info["spend_estimated"])
            # At least what the streams have told.
            assert HANGING * (PRICE - 50 * OUTPUT) <= reserved <= HANGING * RESERVED
            assert Decimal(info["spend"]) == ANSWERED * PRICE + reserved
            statuses = await ask(served, secret, action, CALLS)
            assert 90 * budget / 100 <= await spend(served, secret) <= budget
            assert statuses.keys() == {200, 429}
            assert await spend(served, secret) == (ANSWERED + statuses[200]) * PRICE + reserved
