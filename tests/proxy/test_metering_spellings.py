"""Spellings of a metered call on the wire: each is refused with nothing upstream, or it is metered."""

from __future__ import annotations

import json

import trio
from rig.gateway import Running
from rig.spellings import METERED, Spelling, spellings
from rig.standin import Reply, StandIn
from rig.wire import Answer, connect, head, read

PATH = METERED[0]
USAGE = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1535}
COST = "0.001188700000"  # 1,204 tokens in at $0.30 and 331 out at $2.50 for a million
REASONS = {400: "GATEKEEPER_BAD_REQUEST", 404: "GATEKEEPER_NOT_FOUND"}
TALKERS = 4


async def answer_with_usage(reply: Reply) -> None:
    await reply.json(json.dumps({"modelVersion": "gemini-2.5-flash", "usageMetadata": USAGE}).encode())


def on_the_wire(spelling: Spelling) -> bytes:
    host_and_length = ["Content-Length: 2", *spelling.headers]
    return head(f"POST /gemini{spelling.target}", host_and_length) + b"{}"


async def test_every_spelling_is_refused_with_nothing_upstream_or_metered_to_the_last_digit(
    gateway: Running, google: StandIn
) -> None:
    google.script = answer_with_usage
    waiting = list(spellings(PATH))
    count = len(waiting)
    answers: dict[str, tuple[Spelling, Answer]] = {}

    async def talk() -> None:
        async with await connect(gateway.url) as stream:
            while waiting:
                spelling = waiting.pop()
                await stream.send_all(on_the_wire(spelling))
                answer = await read(stream)
                answers[answer.headers["x-gatekeeper-call-id"]] = spelling, answer

    async with trio.open_nursery() as nursery:
        for _ in range(TALKERS):
            nursery.start_soon(talk)
    assert len(answers) == count >= 200
    passed = [answer for _, answer in answers.values() if answer.status == 200]
    assert len(google.asked) == len(passed)
    with trio.fail_after(5):
        while len(rows := await gateway.rows()) < count:
            await trio.sleep(0.01)
    for row in rows:
        spelling, answer = answers[row["id"]]
        if answer.status == 200:
            assert row["cost_usd"] == COST, spelling
        else:
            assert row["reason"] == answer.reason == REASONS[answer.status], spelling
            assert (row["outcome"], row["cost_usd"]) == ("refused", "0.000000000000"), spelling
