"""Budgets that are changed while calls run, or wait for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

from gatekeeper.keys import budgets

MODEL = "gemini-2.5-flash"
PATH = f"/gemini/v1beta/models/{MODEL}"
MASTER = {"Authorization": "Bearer master-of-the-tests"}
ENOUGH = [{"max_budget": None}, {"max_budget": 100}]


def document(output: int) -> bytes:
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": output, "totalTokenCount": 1000 + output}
    return json.dumps({"candidates": [], "usageMetadata": usage, "modelVersion": MODEL}).encode()


async def change(gateway: Running, secret: str, **fields: Any) -> None:
    answer = await gateway.client.post("/key/update", json={"key": secret, **fields}, headers=MASTER)
    assert answer.status_code == 200


def reserved(gateway: Running, secret: str) -> int:
    state = gateway.gateway.registry.find(secret, 0)
    assert state is not None
    return state.reserved_pico


@cases("fields", ENOUGH)
async def test_a_stream_goes_on_where_its_budget_is_raised_or_taken_away(
    guarded: Running, google: StandIn, fields: dict[str, Any]
) -> None:
    secret = await guarded.key(max_budget="0.01")

    async def script(reply: Reply) -> None:
        await change(guarded, secret, **fields)
        await reply.chunked([b"data: %b\r\n\r\n" % document(output) for output in (10, 4000, 8000)])

    google.script = script
    line = f"POST {PATH}:streamGenerateContent?alt=sse&key={secret}"
    assert (await exchange(guarded.url, line, body=b"{}")).whole
    row = await guarded.row()
    assert (row["outcome"], row["cost_usd"]) == ("ok", "0.020300000000")
    assert reserved(guarded, secret) == 0


@pytest.mark.parametrize("fields", ENOUGH)
async def test_a_call_that_waits_goes_on_where_its_budget_is_raised_or_taken_away(
    guarded: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr(budgets, "LOOK_INTERVAL", 0.01)
    secret = await guarded.key(max_budget="0.01")
    both = trio.Event()
    answers: list[Answer] = []

    async def script(reply: Reply) -> None:
        if len(google.asked) == 2:
            both.set()
        await both.wait()
        await reply.json(document(10))

    async def call() -> None:
        line = f"POST {PATH}:generateContent?key={secret}"
        answers.append(await exchange(guarded.url, line, body=b"{}"))

    google.script = script
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            nursery.start_soon(call)
            # Nothing is known of such calls: the first has all of the budget, and the second waits for it.
            while not guarded.gateway.proxy.context.budgets._queues:
                await trio.sleep(0.001)
            await change(guarded, secret, **fields)
    assert [answer.status for answer in answers] == [200, 200]
    assert reserved(guarded, secret) == 0


# The change of the models' budget, the tokens of the stream, and its outcome.
MODELS = [
    ({"model_max_budget": {"*-flash": "0.001"}}, 2000, "cut"),
    ({"model_max_budget": {"*-flash": 100}}, 8000, "ok"),
    ({"model_max_budget": {"*-pro": 100}}, 8000, "ok"),
    ({"model_max_budget": None}, 8000, "ok"),
]


@pytest.mark.parametrize("of", ["key", "group"])
@pytest.mark.parametrize(("fields", "output", "outcome"), MODELS)
async def test_a_running_stream_has_what_its_models_budget_is_now(
    guarded: Running, google: StandIn, fields: dict[str, Any], output: int, outcome: str, of: str
) -> None:
    limits = {"model_max_budget": {"*-flash": "0.01"}}
    made = await guarded.client.post("/group/generate", json={"group": "g", **limits}, headers=MASTER)
    assert made.status_code == 200
    secret = await guarded.key(**({"group": "g"} if of == "group" else limits))

    async def script(reply: Reply) -> None:
        named = {"group": "g"} if of == "group" else {"key": secret}
        answer = await guarded.client.post(f"/{of}/update", json={**named, **fields}, headers=MASTER)
        assert answer.status_code == 200
        await reply.chunked([b"data: %b\r\n\r\n" % document(count) for count in (10, output // 2, output)])

    google.script = script
    line = f"POST {PATH}:streamGenerateContent?alt=sse&key={secret}"
    await exchange(guarded.url, line, body=b"{}")
    assert (await guarded.row())["outcome"] == outcome
