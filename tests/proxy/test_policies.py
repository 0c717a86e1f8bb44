"""Policies over HTTP: what a key or its group rules out never reaches Google, on every route."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rig.cases import cases
from rig.gateway import Running, running
from rig.live import LiveStandIn, ended, live_standing_in, session
from rig.standin import Reply, StandIn
from rig.wire import connect, exchange, head, read
from websockets.trio.server import ServerConnection

from gatekeeper.gemini.json_request import MAX_KEPT
from gatekeeper.proxy.relay import MAX_BUFFERED_BODY

MODEL = "/v1beta/models/gemini-2.5-flash"
GENERATE, STREAM, BATCH = (
    f"{MODEL}:{action}"
    for action in ("generateContent", "streamGenerateContent?alt=sse", "batchGenerateContent")
)
INTERACTION, CHAT = "/v1/interactions", "/v1alpha/openai/chat/completions"
M = {"model": "gemini-2.5-flash"}


def inlined(*requests: Any) -> dict[str, Any]:
    return {"batch": {"inputConfig": {"requests": {"requests": [{"request": each} for each in requests]}}}}


def config(**members: object) -> dict[str, Any]:
    return {"generationConfig": members}


TEXTS = (GENERATE, STREAM, INTERACTION, CHAT)
UNSTORED, OUTPUT, OUT = {"store": False}, {"max_output_tokens": 100}, "max_output_tokens"
CASES: list[tuple[dict[str, Any], str, dict[str, Any], str | None]] = [
    # (limits, path, body, the policy that refuses it)
    *(
        ({"searches": False}, path, {**M, "tools": [{tool: {}}]}, "searches")
        for path in TEXTS
        for tool in ("googleSearch", "google_search_retrieval", "googleMaps")
    ),
    ({"searches": False}, INTERACTION, {**M, "tools": [{"type": "google_search"}]}, "searches"),
    ({"searches": False}, INTERACTION, {"agent": "deep-research", "input": "x"}, "searches"),
    ({"searches": False}, CHAT, {**M, "web_search_options": {}}, "searches"),
    ({"searches": False}, BATCH, inlined({}, {"tools": [{"googleSearch": {}}]}), "searches"),
    ({"searches": False}, "/v1beta/cachedContents", {**M, "tools": [{"googleSearch": {}}]}, "searches"),
    ({"searches": False}, GENERATE, {"tools": [{"codeExecution": {}}]}, None),
    ({"searches": 2}, GENERATE, {"tools": [{"googleSearch": {}}]}, None),
    *((UNSTORED, path, {**M, "store": store}, "store") for path in TEXTS for store in (True, None)),
    *((UNSTORED, path, {**M, "store": False}, None) for path in TEXTS),
    (UNSTORED, BATCH, inlined(UNSTORED, {}), "store"),
    (UNSTORED, BATCH, inlined({"store": False}), None),
    (UNSTORED, "/v1beta/cachedContents", M, "store"),
    (OUTPUT, GENERATE, {}, "max_output_tokens"),
    (OUTPUT, GENERATE, config(maxOutputTokens=101), "max_output_tokens"),
    (OUTPUT, GENERATE, config(maxOutputTokens=100), None),
    (OUTPUT, STREAM, {"generation_config": {"max_output_tokens": 100}}, None),
    (OUTPUT, INTERACTION, {**M, "generation_config": {"max_output_tokens": 101}}, OUT),
    (OUTPUT, INTERACTION, {**M, "generation_config": {"max_output_tokens": 9}}, None),
    (OUTPUT, CHAT, {**M, "max_tokens": 9, "max_completion_tokens": 999}, OUT),
    (OUTPUT, CHAT, {**M, "max_tokens": 9}, None),
    (OUTPUT, BATCH, inlined(config(maxOutputTokens=9), {}), "max_output_tokens"),
    (OUTPUT, BATCH, {"batch": {"inputConfig": {"fileName": "files/x"}}}, OUT),
    ({"service_tiers": ["standard"]}, GENERATE, {"serviceTier": "flex"}, "service_tiers"),
    ({"service_tiers": ["standard"]}, GENERATE, {}, None),
    ({"service_tiers": ["standard"]}, BATCH, inlined({}), "service_tiers"),
    ({"service_tiers": ["flex"]}, INTERACTION, M, "service_tiers"),
    ({"service_tiers": ["flex"]}, CHAT, {**M, "service_tier": "flex"}, None),
    ({"allowed_ips": ["10.0.0.0/8"]}, GENERATE, {}, "allowed_ips"),
    ({"allowed_ips": ["10.0.0.0/8"]}, f"{MODEL}:countTokens", {}, "allowed_ips"),
    ({"allowed_ips": ["127.0.0.0/8", "::1"]}, GENERATE, {}, None),
    *(({"store": False, "searches": False, "max_output_tokens": 1, "service_tiers": ["flex"]}, path, {}, None)
      for path in (f"{MODEL}:countTokens", "/upload/v1beta/files", "/v1beta/files",
                   "/v1beta/fileSearchStores")),
]  # fmt: skip


async def key_with(gateway: Running, limits: dict[str, Any], *, of_group: bool) -> str:
    """A key with these limits, or of a group that has them."""
    if not of_group:
        return await gateway.key(**limits)
    names = ("searches", "store", "max_output_tokens", "service_tiers", "allowed_ips")
    body = {"group": "g", **dict.fromkeys(names), **limits}
    path = "/group/update" if gateway.gateway.registry.accounts.find("group", "g") else "/group/generate"
    answer = await gateway.client.post(
        path, json=body, headers={"Authorization": "Bearer master-of-the-tests"}
    )
    assert answer.status_code == 200, answer.text
    return await gateway.key(group="g")


@cases(
    ("sent", "of_group"),
    [("buffered", False), ("buffered", True), ("large", False), ("chunked", True), ("gzip", False)],
)
async def test_what_a_policy_rules_out_does_not_go_up(
    guarded: Running, google: StandIn, sent: str, of_group: bool
) -> None:
    google.script = lambda reply: reply.json(b"{}")
    limited, secret = None, ""
    for limits, path, named, policy in CASES[:: 1 if sent == "buffered" else 3]:
        if path.startswith("/upload") and sent != "buffered":
            continue
        if limits != limited:
            limited, secret = limits, await key_with(guarded, limits, of_group=of_group)
        filling = (
            {"contents": [{"parts": [{"text": "x" * 2 * MAX_BUFFERED_BODY}]}]} if sent == "large" else {}
        )
        body, headers = json.dumps(named | filling).encode(), [f"x-goog-api-key: {secret}"]
        if sent == "large" and path.startswith(BATCH):
            continue  # beside its requests a batch has no contents
        if sent == "gzip":
            body, headers = gzip.compress(body), [*headers, "Content-Encoding: gzip"]
        given: dict[str, Any] = (
            {"chunks": [body[:9], body[9:]]} if sent == "chunked" and body[9:] else {"body": body}
        )
        before = len(google.asked)
        answer = await exchange(guarded.url, f"POST /gemini{path}", headers=headers, **given)
        assert (limits, path, named, answer.status) == (limits, path, named, 403 if policy else 200)
        assert len(google.asked) - before == (0 if policy else 1)
        if policy:
            [detail] = json.loads(answer.body)["error"]["details"]
            assert (detail["reason"], detail["metadata"]["policy"]) == ("GATEKEEPER_POLICY", policy)
            title = "The group g" if of_group else "The key sk-..."
            assert json.loads(answer.body)["error"]["message"].startswith(title)
        else:
            assert google.asked[-1].body == body


@cases(
    "body",
    [
        b"",
        b"no JSON",
        b'{"store": false',
        b'{"requests": [' + b'{"serviceTier": "%01000d"},' % 0 * (MAX_KEPT // 1000) + b'{}], "store": false}',
    ],
)
async def test_a_body_that_is_not_seen_to_its_end_does_not_go_up(
    guarded: Running, google: StandIn, body: bytes
) -> None:
    secret = await guarded.key(store=False)
    answer = await exchange(
        guarded.url, f"POST /gemini{GENERATE}", body=body, headers=[f"x-goog-api-key: {secret}"]
    )
    assert (answer.status, answer.reason, google.asked) == (403, "GATEKEEPER_POLICY", [])
    row = await guarded.row()
    assert (row["outcome"], row["reason"], row["cost_usd"]) == (
        "refused",
        "GATEKEEPER_POLICY",
        "0.000000000000",
    )


async def test_the_address_is_the_clients_also_behind_a_proxy(google: StandIn, tmp_path: Path) -> None:
    flags = {"master_key": "master-of-the-tests", "trusted_proxies": "127.0.0.1"}
    async with running(tmp_path / "data", google.url, **flags) as gateway:
        secret = await gateway.key(
            allowed_ips=["203.0.113.0/24", "2001:db8::/32"], key_alias="ci", role="viewer"
        )
        for told, status in [("203.0.113.9", 200), ("2001:db8::9", 200), ("198.51.100.1", 403), ("", 403)]:
            headers = [f"x-goog-api-key: {secret}", *([f"X-Forwarded-For: {told}"] if told else [])]
            for line in (f"POST /gemini{GENERATE}", "GET /gemini/v1beta/models"):
                assert (await exchange(gateway.url, line, headers=headers)).status == status
            own = {"Authorization": f"Bearer {secret}", "X-Forwarded-For": told}
            assert (
                await gateway.client.get("/key/info", params={"key": "ci"}, headers=own)
            ).status_code == status
    assert len(google.asked) == 4


# Searches of a running response


def chunk(*queries: str) -> bytes:
    candidate = {"groundingMetadata": {"webSearchQueries": list(queries)}} if queries else {}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
    document = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}
    return json.dumps(document).encode()


@cases("form", ["sse", "array"])
@cases(("limit", "cut"), [(2, True), (3, False), (True, False)])
async def test_a_stream_is_cut_at_the_event_that_shows_too_many_searches(
    guarded: Running, google: StandIn, form: str, limit: int, cut: bool
) -> None:
    events = [chunk("a"), chunk("a", "b"), chunk("c"), chunk()]

    async def stream(reply: Reply) -> None:
        if form == "sse":
            await reply.chunked([b"data: " + event + b"\r\n\r\n" for event in events], end=not cut)
        else:
            pieces = [b"[" + events[0], *(b",\r\n" + event for event in events[1:]), b"]"]
            await reply.chunked(pieces, "application/json", end=not cut)
        if cut:
            await reply.hung_up()

    google.script = stream
    secret = await guarded.key(searches=limit)
    path = STREAM if form == "sse" else STREAM.partition("?")[0]
    body = json.dumps({"tools": [{"googleSearch": {}}]}).encode()
    answer = await exchange(
        guarded.url, f"POST /gemini{path}", body=body, headers=[f"x-goog-api-key: {secret}"]
    )
    row = await guarded.row()
    assert (row["outcome"], row["reason"]) == (("cut", "GATEKEEPER_POLICY") if cut else ("ok", None))
    assert answer.whole is not cut
    if cut:
        last = (
            answer.body.rpartition(b"data: ")[2]
            if form == "sse"
            else answer.body[answer.body.rfind(b'{"error"') :]
        )
        error = json.loads(last.strip().removesuffix(b"]"))["error"]
        assert (error["code"], error["details"][0]["metadata"]["searches"]) == (403, "3")
        # What it has used up to there is charged.
        assert row["cost_usd"] is not None


@cases("sent", ["buffered", "large"])
async def test_a_stream_of_an_interaction_is_cut_by_its_steps(
    guarded: Running, google: StandIn, sent: str
) -> None:
    step = {"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}
    event = json.dumps({"event_type": "step.start", "step": step}).encode()

    async def stream(reply: Reply) -> None:
        await reply.chunked([b"event: step.start\ndata: " + event + b"\n\n"], end=False)
        await reply.hung_up()

    google.script = stream
    secret = await guarded.key(searches=1)
    long = "x" * 2 * MAX_BUFFERED_BODY if sent == "large" else "x"
    asked = {**M, "input": long, "stream": True, "tools": [{"type": "google_search"}]}
    line = f"POST /gemini{INTERACTION}"
    headers = [f"x-goog-api-key: {secret}"]
    answer = await exchange(guarded.url, line, body=json.dumps(asked).encode(), headers=headers)
    assert (answer.whole, answer.reason) == (False, "GATEKEEPER_POLICY")
    assert (await guarded.row())["outcome"] == "cut"


@cases("coding", ["br", "identity", "gzip"])
async def test_a_large_body_is_refused_as_soon_as_it_cannot_be_seen(
    guarded: Running, google: StandIn, coding: str
) -> None:
    secret = await guarded.key(store=False)
    async with await connect(guarded.url) as client:
        fields = ["Content-Length: 9000000", f"Content-Encoding: {coding}", f"x-goog-api-key: {secret}"]
        await client.send_all(head(f"POST /gemini{GENERATE}", fields) + b"no JSON, nor compressed" * 1000)
        answer = await read(client)
    assert (answer.status, answer.reason, google.asked) == (403, "GATEKEEPER_POLICY", [])


SEARCHED = {"id": "i1", "status": "completed", "model": "gemini-2.5-flash"} | {
    "steps": [{"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}],
    "usage": {"total_input_tokens": 1000, "total_output_tokens": 100, "total_tokens": 1100},
}
WHOLE = b"event: interaction.completed\ndata: " + json.dumps({"interaction": SEARCHED}).encode() + b"\n\n"


async def test_a_stream_that_comes_in_one_piece_cannot_be_cut(guarded: Running, google: StandIn) -> None:
    async def stream(reply: Reply) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
        await reply.raw(head % len(WHOLE) + WHOLE)

    google.script = stream
    secret = await guarded.key(searches=1)
    asked = {**M, "input": "x", "stream": True, "tools": [{"type": "google_search"}]}
    line, headers = f"POST /gemini{INTERACTION}", [f"x-goog-api-key: {secret}"]
    answer = await exchange(guarded.url, line, body=json.dumps(asked).encode(), headers=headers)
    assert (answer.whole, answer.body) == (True, WHOLE)
    row = await guarded.row()
    assert (row["outcome"], row["finish_reason"]) == ("ok", "completed")


async def test_an_interaction_that_is_read_as_a_stream_is_not_cut_and_is_charged(
    guarded: Running, google: StandIn
) -> None:
    """Its searches are those of the call that made it."""
    secret = await guarded.key(searches=1)
    headers = [f"x-goog-api-key: {secret}"]
    begun = json.dumps({"id": "i1", "status": "in_progress", "model": "gemini-2.5-flash"}).encode()
    google.script = lambda reply: reply.json(begun)
    asked = json.dumps({**M, "input": "x", "background": True}).encode()
    await exchange(guarded.url, f"POST /gemini{INTERACTION}", body=asked, headers=headers)
    google.script = lambda reply: reply.chunked([WHOLE])
    answer = await exchange(guarded.url, f"GET /gemini{INTERACTION}/i1?stream=true", headers=headers)
    assert (answer.whole, answer.body) == (True, WHOLE)
    first, read = await guarded.rows()
    assert (read["outcome"], first["finish_reason"]) == ("ok", "completed")
    assert first["cost_usd"] is not None


async def test_an_answer_that_comes_as_a_whole_has_been_made(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(chunk("a", "b"))
    secret = await guarded.key(searches=1)
    body = json.dumps({"tools": [{"googleSearch": {}}]}).encode()
    line = f"POST /gemini{GENERATE}"
    answer = await exchange(guarded.url, line, body=body, headers=[f"x-goog-api-key: {secret}"])
    assert (answer.status, answer.body) == (200, chunk("a", "b"))


# Live


@pytest.fixture
async def live_google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def live(live_google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "live", live_google.url, master_key="master-of-the-tests") as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("limits", "asked", "policy"),
    [
        ({"searches": False}, {"tools": [{"googleSearch": {}}]}, True),
        ({"searches": False}, {"tools": [{"functionDeclarations": []}]}, False),
        (UNSTORED, {}, True),
        ({"max_output_tokens": 9}, config(maxOutputTokens=10), True),
        ({"max_output_tokens": 9}, config(maxOutputTokens=9), False),
        ({"service_tiers": ["flex"]}, {}, True),
    ],
)
async def test_the_setup_of_a_live_session_keeps_to_policies(
    live: Running, live_google: LiveStandIn, limits: dict[str, Any], asked: dict[str, Any], policy: bool
) -> None:
    setup = json.dumps({"setup": {"model": "models/gemini-2.5-flash-live", **asked}})
    async with session(live, key=await live.key(**limits)) as client:
        await client.send(setup)
        if not policy:
            assert await client.recv() == setup
            return
        code, reason = await ended(client)
        assert (code, (reason or "").startswith("GATEKEEPER_POLICY: ")) == (1008, True)
    assert live_google.received == []


async def test_a_live_session_comes_from_an_allowed_address(live: Running, live_google: LiveStandIn) -> None:
    async with session(live, key=await live.key(allowed_ips=["10.0.0.0/8"])) as client:
        code, reason = await ended(client)
        assert (code, (reason or "").startswith("GATEKEEPER_POLICY: ")) == (1008, True)
    assert not live_google.requests


async def test_a_live_session_is_cut_when_it_shows_too_many_searches(
    live: Running, live_google: LiveStandIn
) -> None:
    async def searches(connection: ServerConnection) -> None:
        async for message in connection:
            queries = json.loads(message).get("queries", [])
            await connection.send(
                json.dumps({"serverContent": {"groundingMetadata": {"webSearchQueries": queries}}})
            )

    live_google.script = searches
    setup = {"setup": {"model": "models/gemini-2.5-flash-live", "tools": [{"googleSearch": {}}]}}
    async with session(live, key=await live.key(searches=2)) as client:
        for sent in (setup, {"queries": ["a", "b"]}, {"queries": ["b", "c"]}):
            await client.send(json.dumps(sent))
            await client.recv()
        code, reason = await ended(client)
        assert (code, (reason or "").startswith("GATEKEEPER_POLICY: ")) == (1008, True)
    assert (await live.row())["outcome"] == "cut"


async def test_a_large_body_that_is_refused_costs_its_budget_nothing(
    guarded: Running, google: StandIn
) -> None:
    secret = await guarded.key(store=False, max_budget=1, key_alias="poor")
    body = json.dumps({"contents": [{"parts": [{"text": "x" * 2 * MAX_BUFFERED_BODY}]}]}).encode()
    line = f"POST /gemini{GENERATE}"
    answer = await exchange(guarded.url, line, body=body, headers=[f"x-goog-api-key: {secret}"])
    assert (answer.status, answer.reason, google.asked) == (403, "GATEKEEPER_POLICY", [])
    row = await guarded.row()
    assert (row["outcome"], row["cost_usd"], row["usage_note"]) == ("refused", "0.000000000000", None)
    state = guarded.gateway.registry.find("poor", 0)
    assert state is not None
    assert (state.spend_pico, state.reserved_pico) == (0, 0)
