"""The free searches of a Google project: counted by the gateway, over restarts, and named in the cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rig.gateway import Running, running
from rig.standin import Reply, StandIn
from rig.wire import exchange

QUERIES = [f"query {number}" for number in range(2_000)]
TOKENS = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}


async def called(
    gateway: Running, google: StandIn, model: str, queries: int, status: int = 200
) -> dict[str, Any]:
    """The row of a call that has searched, each query twice and an empty one once."""
    grounding = {"webSearchQueries": ["", *QUERIES[:queries], *QUERIES[:queries]]}
    candidate = {"groundingMetadata": grounding, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": TOKENS, "modelVersion": model}
    google.script = lambda reply: reply.json(json.dumps(body).encode(), status=status)
    line = f"POST /gemini/v1beta/models/{model}:generateContent"
    answer = await exchange(gateway.url, line, body=b"{}")
    assert answer.status == status
    return (await gateway.client.get(f"/calls/{answer.headers['x-gatekeeper-call-id']}")).json()


async def test_the_month_s_free_queries_are_counted_over_a_restart(google: StandIn, tmp_path: Path) -> None:
    model, free = "gemini-3-flash-preview", {"grounding_search_query": 2000, "grounding_search_free": 2000}
    for _ in range(2):
        async with running(tmp_path, google.url) as gateway:
            call = await called(gateway, google, model, 2000)
            assert (call["cost_usd"], call["billed_units"]) == ("0.000800000000", free)
    async with running(tmp_path, google.url) as gateway:
        # 1,000 are left of 5,000: the other half costs $14 for a thousand.
        call = await called(gateway, google, model, 2000)
        assert (call["cost_usd"], call["billed_units"]["grounding_search_free"]) == ("14.000800000000", 1000)
        call = await called(gateway, google, model, 1)
        assert (call["cost_usd"], call["billed_units"]) == ("0.014800000000", {"grounding_search_query": 1})


async def test_those_of_an_interaction_in_the_background_are_counted_over_a_restart(
    google: StandIn, tmp_path: Path
) -> None:
    begun = {"id": "i1", "model": "gemini-3-flash-preview", "status": "in_progress"}
    counted = [{"type": "google_search", "count": 4000}]
    used = {"total_input_tokens": 1000, "total_output_tokens": 100, "total_tokens": 1100}
    ended = begun | {"status": "completed", "usage": used | {"grounding_tool_count": counted}}
    async with running(tmp_path, google.url) as gateway:
        for line, body in (("POST", begun), ("GET", ended)):
            google.script = partial(Reply.json, body=json.dumps(body).encode())
            path = "" if line == "POST" else "/i1"
            await exchange(gateway.url, f"{line} /gemini/v1beta/interactions{path}", body=b"{}")
        assert (await gateway.rows())[0]["cost_usd"] == "0.000800000000"
    async with running(tmp_path, google.url) as gateway:
        call = await called(gateway, google, "gemini-3-flash-preview", 2000)
        assert call["billed_units"] == {"grounding_search_query": 2000, "grounding_search_free": 1000}


BATCHES = {
    # Half of 0.25 dollars a million, of 1.50 for thoughts and text; 14 dollars for a thousand queries
    "by query": ("gemini-3.1-flash-lite", 3000, 4000, "28.000400000000"),
    # Half of 0.10 and 0.40 dollars a million; 35 dollars for a thousand requests
    "by request": ("gemini-2.5-flash-lite", 3, 1498, "0.000140000000"),
}


@pytest.mark.parametrize(("model", "queries", "used", "cost"), BATCHES.values(), ids=BATCHES.keys())
async def test_those_of_a_batch_are_free_too_and_counted_over_a_restart(
    google: StandIn, tmp_path: Path, model: str, queries: int, used: int, cost: str
) -> None:
    grounding = {"webSearchQueries": [f"query {number}" for number in range(queries)]}
    searched = {
        "candidates": [{"groundingMetadata": grounding}],
        "usageMetadata": TOKENS,
        "modelVersion": model,
    }
    plain = {"usageMetadata": TOKENS, "modelVersion": model}
    ended = {
        "name": "batches/b1",
        "metadata": {"state": "BATCH_STATE_SUCCEEDED", "batchStats": {"requestCount": "2"}},
        "done": True,
        "response": {"inlinedResponses": {"inlinedResponses": [{"response": searched}, {"response": plain}]}},
    }
    kind = "grounding_search_query"
    async with running(tmp_path, google.url) as gateway:
        searches = gateway.gateway.proxy.context.free_searches
        begun = {"name": "batches/b1", "metadata": {"state": "BATCH_STATE_PENDING"}}
        google.script = partial(Reply.json, body=json.dumps(begun).encode())
        await exchange(gateway.url, f"POST /gemini/v1beta/models/{model}:batchGenerateContent", body=b"{}")
        (row,) = await gateway.rows()
        searches.take(row["upstream_key"], model, kind, used, datetime.now(UTC).date())
        google.script = partial(Reply.json, body=json.dumps(ended).encode())
        for _ in range(2):
            await exchange(gateway.url, "GET /gemini/v1beta/batches/b1")
        call = (await gateway.client.get(f"/calls/{row['id']}")).json()
        free = call["billed_units"]["grounding_search_free"]
        assert searches.used == {next(iter(searches.used)): used + free}
    assert "searches are within Google's free allowance" in call["usage_note"]
    assert (call["cost_usd"], Decimal(call["cost"]["cost_usd"])) == (cost, Decimal(cost))
    async with running(tmp_path, google.url) as gateway:
        assert list(gateway.gateway.proxy.context.free_searches.used.values()) == [free]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro"])
async def test_a_request_that_searched_counts_once(gateway: Running, google: StandIn, model: str) -> None:
    call = await called(gateway, google, model, 3)
    assert call["billed_units"] == {"grounding_search_query": 3, "grounding_search_free": 1}


async def test_the_explanation_names_what_was_free(gateway: Running, google: StandIn) -> None:
    call = await called(gateway, google, "gemini-3.8-flash", 2)
    assert "2 of 2 searches are within Google's free allowance" in call["cost"]["notes"]


async def test_what_was_not_answered_takes_nothing(gateway: Running, google: StandIn) -> None:
    call = await called(gateway, google, "gemini-3.8-flash", 2, status=500)
    assert call["cost_usd"] == "0.000000000000"
    assert gateway.gateway.proxy.context.free_searches.used == {}


async def test_a_result_that_breaks_off_takes_nothing(google: StandIn, tmp_path: Path) -> None:
    model, file, version = "gemini-3.1-flash-lite", "files/batch-b1", "/gemini/v1beta"
    grounding = {"webSearchQueries": QUERIES}
    searched = {"candidates": [{"groundingMetadata": grounding}], "usageMetadata": TOKENS}
    line = json.dumps({"key": "k", "response": searched | {"modelVersion": model}}).encode() + b"\n"
    state = {"state": "BATCH_STATE_SUCCEEDED", "batchStats": {"requestCount": "1"}}
    batch = {"name": "batches/b1", "metadata": state, "done": True, "response": {"responsesFile": file}}

    async def cut(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(line) + 1) + line)
        await reply.stream.aclose()

    async with running(tmp_path, google.url) as gateway:
        google.script = partial(Reply.json, body=json.dumps(batch).encode())
        await exchange(gateway.url, f"POST {version}/models/{model}:batchGenerateContent", body=b"{}")
        await exchange(gateway.url, f"GET {version}/batches/b1")
        # 5,000 queries a month are free: two and a half of these.
        for _ in range(3):
            google.script = cut
            assert not (await exchange(gateway.url, f"GET {version}/{file}:download?alt=media")).whole
        google.script = partial(Reply.json, body=line)
        assert (await exchange(gateway.url, f"GET {version}/{file}:download?alt=media")).whole
        # Half of 0.25 and 1.50 dollars a million
        assert (await gateway.rows())[0]["cost_usd"] == "0.000200000000"
