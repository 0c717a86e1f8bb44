"""What counts against a key's budget where nobody knows the cost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.standin import Reply, StandIn
from rig.wire import connect, exchange, head, read, reset

MODEL = "/v1beta/models/gemini-2.5-flash"
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
PRICE = Decimal("0.00055")  # of that usage
GROUNDING = {"webSearchQueries": ["a", "b"], "groundingChunks": [{"web": {"uri": "x"}}]}
HEAD = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"

Script = Callable[[Reply], Awaitable[None]]


def answer(**members: object) -> Script:
    document = {"candidates": [], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", **members}
    return lambda reply: reply.json(json.dumps(document).encode())


async def broken(reply: Reply) -> None:
    await reply.raw(HEAD + b'{"candidates": [')
    await reply.stream.aclose()


async def standing(gateway: Running, secret: str, spent: bool = True) -> tuple[Decimal, Decimal]:
    """The key's spend, and the part of it that is estimates, as the API tells it; once it has spent any."""
    with trio.fail_after(3):
        while True:
            answer = await gateway.client.get(
                "/key/info", params={"key": secret}, headers={"Authorization": "Bearer master-of-the-tests"}
            )
            info = answer.json()["info"]
            if Decimal(info["spend"]) or not spent:
                return Decimal(info["spend"]), Decimal(info["spend_estimated"])
            await trio.sleep(0.01)


# A script, the least that it may cost, and its outcome
UNPRICED = {
    "a search of a model that has no price for them": (
        answer(candidates=[{"groundingMetadata": GROUNDING}], modelVersion="gemini-2.0-flash-lite"),
        Decimal("0.035"),
        "ok",
    ),
    "no usage": (answer(usageMetadata=None), Decimal("0.1"), "ok"),
    "a model that served and has no price": (answer(modelVersion="gemini-99"), PRICE, "ok"),
    "broken": (broken, Decimal("0.1"), "upstream_broken"),
}


@cases("budget", ["0.0005", "1"])
@cases(("script", "least", "outcome"), UNPRICED.values())
async def test_an_answer_without_a_cost_uses_the_budget_up_and_its_row_has_none(
    guarded: Running, google: StandIn, script: Script, least: Decimal, outcome: str, budget: str
) -> None:
    google.script = script
    secret = await guarded.key(max_budget=budget)
    line = f"POST /gemini{MODEL}:generateContent?key={secret}"
    await exchange(guarded.url, line, body=b"{}")
    spend, estimated = await standing(guarded, secret)
    assert spend == estimated >= min(least, Decimal(budget))
    assert spend <= Decimal(budget)
    if spend == Decimal(budget):
        assert (await exchange(guarded.url, line, body=b"{}")).status == 429
    first, *_ = await guarded.rows()
    assert (first["outcome"], first["cost_usd"]) == (outcome, None)
    told = Decimal(first["usage_note"].removeprefix("estimated for the budget: ").partition(" USD")[0])
    assert told == spend


@cases(("script", "status"), [(answer(usageMetadata=None), 200), (broken, 200)])
async def test_an_answer_without_usage_is_charged_no_more_than_its_request_allows(
    guarded: Running, google: StandIn, status: int, script: Script
) -> None:
    google.script = script
    secret = await guarded.key(max_budget="1")
    body = b'{"generationConfig": {"maxOutputTokens": 100}}'
    line = f"POST /gemini{MODEL}:generateContent?key={secret}"
    assert (await exchange(guarded.url, line, body=body)).status == status
    most = Decimal("0.00025") + len(body) * Decimal("0.0000003")
    assert await standing(guarded, secret) == (most, most)
    (row,) = await guarded.rows()
    assert row["usage_note"].endswith(" USD, the most that it can cost by its request")


@cases(("coding", "tokens"), [("gzip", "1,048,576"), ("identity", "2")])
async def test_what_a_zipped_request_holds_is_not_told_by_its_length(
    guarded: Running, google: StandIn, coding: str, tokens: str
) -> None:
    google.script = answer(usageMetadata=None)
    secret = await guarded.key(max_budget=5)
    line = f"POST /gemini{MODEL}:generateContent?key={secret}"
    body = gzip.compress(b"{}") if coding == "gzip" else b"{}"
    await exchange(guarded.url, line, body=body, headers=[f"Content-Encoding: {coding}"])
    assert f", {tokens} tokens of input" in (await guarded.row())["usage_note"]


async def test_embeddings_that_report_no_tokens_are_not_free(guarded: Running, google: StandIn) -> None:
    vectors = {"object": "list", "data": [{"embedding": [0.1]}], "model": "gemini-embedding-001"}
    used = {"prompt_tokens": 0, "total_tokens": 0}
    google.script = lambda reply: reply.json(json.dumps(vectors | {"usage": used}).encode())
    secret = await guarded.key(max_budget=1)
    body = b'{"model": "gemini-embedding-001", "input": "Hello"}'
    await exchange(guarded.url, f"POST /gemini/v1beta/openai/embeddings?key={secret}", body=body)
    row = await guarded.row()
    assert (row["cost_usd"], row["prompt_tokens"], json.loads(bytes(row["usage"]))) == (None, None, used)
    assert row["usage_note"].startswith("the reported usage has no tokens at all")
    assert (await standing(guarded, secret))[0] >= len(body) * Decimal("0.15") / 10**6


async def test_without_a_budget_nothing_is_estimated(guarded: Running, google: StandIn) -> None:
    google.script = answer(usageMetadata=None)
    secret = await guarded.key(soft_budget=1)
    await exchange(guarded.url, f"POST /gemini{MODEL}:generateContent?key={secret}", body=b"{}")
    row = await guarded.row()
    assert (row["cost_usd"], row["usage_note"]) == (None, None)
    assert await standing(guarded, secret, spent=False) == (0, 0)


@cases("action", ["generateContent", "streamGenerateContent?alt=sse"])
async def test_every_abandoned_call_counts(guarded: Running, google: StandIn, action: str) -> None:
    google.script = lambda reply: reply.hung_up()
    secret = await guarded.key(max_budget=1000)
    calls = 20
    async with trio.open_nursery() as nursery:

        async def abandoned() -> None:
            line = f"POST /gemini{MODEL}:{action}"
            async with await connect(guarded.url) as client:
                await client.send_all(head(line, ["Content-Length: 2", f"x-goog-api-key: {secret}"]) + b"{}")
                with trio.fail_after(5):
                    while len(google.asked) < calls:
                        await trio.sleep(0.005)
                reset(client)
                reset(client)

        for _ in range(calls):
            nursery.start_soon(abandoned)
    with trio.fail_after(5):
        while guarded.gateway.proxy.open_calls:
            await trio.sleep(0.01)
    rows = await guarded.rows()
    # What is expected: one token of input.
    assert {(row["outcome"], row["cost_usd"]) for row in rows} == {("client_disconnected", "0.000000300000")}
    # 65,536 tokens of output at 2.5 to 4.5 dollars a million, and two bytes of input
    spend, estimated = await standing(guarded, secret)
    assert spend == estimated >= calls * Decimal("0.16384")


@pytest.mark.parametrize(("seconds", "status"), [(0.3, 504), (60, 503)], ids=["silence", "a stop"])
async def test_a_call_that_the_gateway_gives_up_counts(
    google: StandIn, tmp_path: Path, seconds: float, status: int
) -> None:
    google.script = Reply.hung_up
    master = {"master_key": "master-of-the-tests"}
    async with running(tmp_path / "data", google.url, first_byte_timeout=seconds, **master) as gateway:
        secret = await gateway.key(max_budget="0.1")
        line = f"POST /gemini{MODEL}:generateContent?key={secret}"
        async with await connect(gateway.url) as client:
            await client.send_all(head(line, ["Content-Length: 2"]) + b"{}")
            with trio.fail_after(2):
                while not google.asked:
                    await trio.sleep(0.005)
            if status == 503:
                gateway.gateway.proxy.cut_all()
            assert (await read(client)).status == status
        row = await gateway.row()
        assert row["usage_note"].startswith("estimated for the budget: ")
        spend, estimated = await standing(gateway, secret)
        assert spend == estimated == Decimal("0.1")
        assert (await exchange(gateway.url, line, body=b"{}")).status == 429


async def test_a_silent_upstream_is_given_up_after_a_body_in_pieces_too(
    google: StandIn, tmp_path: Path
) -> None:
    """What such a body asks for is reserved once all of it is there: the upstream's time runs already."""
    google.script = Reply.hung_up
    master = {"master_key": "master-of-the-tests"}
    async with running(tmp_path / "data", google.url, first_byte_timeout=0.3, **master) as gateway:
        line = f"POST /gemini{MODEL}:generateContent?key={await gateway.key(max_budget=5)}"
        with trio.fail_after(5):
            answer = await exchange(gateway.url, line, chunks=[b"{", b"}"])
        assert (answer.status, answer.reason) == (504, "GATEKEEPER_UPSTREAM_TIMEOUT")


async def test_a_call_counts_whose_connection_ends_before_a_response(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: reply.stream.aclose()
    secret = await guarded.key(max_budget="0.1")
    line = f"POST /gemini{MODEL}:generateContent?key={secret}"
    assert (await exchange(guarded.url, line, body=b"{}")).status == 502
    row = await guarded.row()
    assert (row["outcome"], row["cost_usd"]) == ("upstream_unreachable", "0.000000000000")
    assert row["usage_note"].startswith("estimated for the budget: ")
    spend, estimated = await standing(guarded, secret)
    assert spend == estimated == Decimal("0.1")


async def test_a_request_that_never_went_to_google_costs_nothing(guarded: Running, google: StandIn) -> None:
    secret = await guarded.key(max_budget=1)
    line = f"POST /gemini{MODEL}:generateContent?key={secret}"
    async with await connect(guarded.url) as client:
        await client.send_all(head(line, ["Content-Length: 100"]) + b"{")
        with trio.fail_after(2):
            while not guarded.gateway.proxy.open_calls:
                await trio.sleep(0.005)
    row = await guarded.row()
    assert (row["outcome"], row["usage_note"]) == ("client_disconnected", None)
    assert not google.asked
    assert await standing(guarded, secret, spent=False) == (0, 0)
