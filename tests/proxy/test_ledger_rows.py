"""What is written of a call that goes well, and of one that is refused by its key."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter, time_ns

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.logs import capture_logs
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.spend import AccountCharge

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
USAGE = {
    "promptTokenCount": 1042,
    "candidatesTokenCount": 318,
    "totalTokenCount": 1360,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1042}],
}
UNMETERED = [
    "/v1beta/openai/chat/completions",
    "/v1beta/interactions",
    "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
    "/v1beta/models/gemini-2.5-flash:invented",
    "/v1beta/cachedContents",
    "/v9/inventions",
]
UNPRICED = [
    "/v1beta/models/veo-3.1:predictLongRunning",
    "/v1beta/models/imagen-9:predict",
    "/v1beta/models/gemini-9-ultra:generateContent",
    "/v1beta/tunedModels/mine:generateContent",
    "/v1beta/models/gemini-2.5-flash:embedContent",
    "/v1beta/models/gemini-embedding-001:streamGenerateContent",
]
FREE = ["/v1beta/models/gemini-9-ultra:countTokens", "/v1beta/files:register"]
ANSWER = json.dumps(
    {
        "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-2.5-flash",
    },
    indent=2,
).encode()


async def test_a_whole_row(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    answer = await exchange(
        gateway.url,
        f"POST /gemini{GENERATE}?key=anything",
        body=b'{"contents": []}',
        headers=["User-Agent: test/1", "tags: a,b", "x-gatekeeper-user: u"],
    )
    assert answer.body == ANSWER
    row = await gateway.row()
    times = {name: row.pop(name) for name in ("started_at", "duration_ms", "first_byte_ms", "gateway_ms")}
    assert 0 <= times["gateway_ms"] <= times["first_byte_ms"] <= times["duration_ms"]
    usage = row.pop("usage")
    assert (usage if isinstance(usage, dict) else json.loads(bytes(usage))) == USAGE
    assert row == {
        "id": answer.headers["x-gatekeeper-call-id"],
        "key_id": "open",
        "key_alias": None,
        "user_id": "u",
        "tags": ["a", "b"],
        "method": "POST",
        "path": GENERATE,
        "action": "generateContent",
        "model": "gemini-2.5-flash",
        "model_version": "gemini-2.5-flash",
        "stream": False,
        "status": 200,
        "outcome": "ok",
        "reason": None,
        "prompt_tokens": 1042,
        "cached_tokens": None,
        "output_tokens": 318,
        "thoughts_tokens": 0,
        "tool_tokens": 0,
        "total_tokens": 1360,
        "service_tier": None,
        "cost_usd": "0.001107600000",
        "price_version": row["price_version"],
        "finish_reason": "STOP",
        "request_bytes": 16,
        "response_bytes": len(ANSWER),
        "upstream_key": "#1",
        "user_agent": "test/1",
        "trace_id": None,
        "resource": None,
        "error_message": None,
        "block_reason": None,
        "usage_note": None,
        "continues": None,
        "billed_units": None,
    }
    assert row["price_version"]


async def test_a_gzipped_answer_passes_zipped_and_is_metered(gateway: Running, google: StandIn) -> None:
    import gzip

    zipped = gzip.compress(ANSWER)
    google.script = lambda reply: reply.json(zipped, headers=("Content-Encoding: gzip",))
    answer = await exchange(
        gateway.url, f"POST /gemini{GENERATE}?key=k", body=b"{}", headers=["Accept-Encoding: gzip"]
    )
    assert answer.body == zipped
    assert (await gateway.row())["prompt_tokens"] == 1042


async def test_answers_that_do_not_tell_their_format_are_metered(gateway: Running, google: StandIn) -> None:
    """A server that leaves Content-Type out, or names none in particular, has charged all the same."""
    bodies = (ANSWER, b"[" + ANSWER + b"]", b"data: " + ANSWER.replace(b"\n", b"") + b"\r\n\r\n")
    for body in bodies:
        for told in (b"", b"Content-Type: application/octet-stream\r\n"):

            async def answer(reply: Reply, body: bytes = body, told: bytes = told) -> None:
                await reply.raw(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (told, len(body)) + body)

            google.script = answer
            passed = await exchange(gateway.url, f"POST /gemini{GENERATE}?key=k", body=b"{}")
            assert passed.body == body
    rows = await gateway.rows()
    assert [(row["total_tokens"], row["cost_usd"]) for row in rows] == [(1360, "0.001107600000")] * 6


@cases(("model", "cost"), [("gemini-2.5-flash", "0.001107600000"), ("gemini-9-ultra", None), ("a/b", None)])
async def test_an_unknown_model_costs_null(
    gateway: Running, google: StandIn, model: str, cost: str | None
) -> None:
    answer = ANSWER.replace(b'"gemini-2.5-flash"', json.dumps(model).encode())
    google.script = lambda reply: reply.json(answer)
    await exchange(gateway.url, f"POST /gemini/v1beta/models/{model}:generateContent?key=k", body=b"{}")
    assert (await gateway.row())["cost_usd"] == cost


@cases(
    ("line", "action", "resource"),
    [
        ("POST /gemini/v1beta/models/gemini-2.5-flash:countTokens", "countTokens", None),
        ("GET /gemini/v1beta/models", "models.list", None),
        ("DELETE /gemini/v1beta/files/1", "files.delete", "files/1"),
        ("GET /gemini/v1beta/openai/files/files%2F1", "openai.files.get", "files/1"),
        ("POST /gemini/v1beta/interactions/i/cancel", "interactions.cancel", "interactions/i"),
    ],
)
async def test_what_costs_nothing_costs_0(
    gateway: Running, google: StandIn, line: str, action: str, resource: str | None
) -> None:
    google.script = lambda reply: reply.json(b'{"totalTokens": 7}')
    await exchange(gateway.url, f"{line}?key=k", body=b"{}")
    row = await gateway.row()
    assert (row["action"], row["resource"]) == (action, resource)
    assert (row["cost_usd"], row["outcome"]) == ("0.000000000000", "ok")


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ({"headers": ["x-goog-api-key: {secret}"]}, 200),
        ({"query": "?key={secret}"}, 200),
        ({"headers": ["Authorization: Bearer {secret}"]}, 200),
        ({"headers": ["x-goog-api-key: wrong-one-comes-first"], "query": "?key={secret}"}, 401),
        ({}, 401),
    ],
)
async def test_credentials(
    guarded: Running, google: StandIn, spelling: dict[str, object], expected: int
) -> None:
    secret = await guarded.key(key_alias="app", user_id="owner", tags=["team"])
    headers = [str(line).format(secret=secret) for line in spelling.get("headers", [])]  # type: ignore[attr-defined]
    query = str(spelling.get("query", "")).format(secret=secret)
    answer = await exchange(
        guarded.url, f"POST /gemini{GENERATE}{query}", body=b"{}", headers=[*headers, "tags: x,team"]
    )
    assert answer.status == expected
    row = await guarded.row()
    if expected == 200:
        assert (row["key_alias"], row["user_id"], row["tags"]) == ("app", "owner", ["team", "x"])
    else:
        assert (row["key_id"], row["outcome"], row["cost_usd"]) == (None, "refused", "0.000000000000")


@cases(
    ("fields", "line", "status", "reason"),
    [
        ({"blocked": True}, GENERATE, 403, "GATEKEEPER_KEY_BLOCKED"),
        ({"duration": "1s"}, GENERATE, 403, "GATEKEEPER_KEY_EXPIRED"),
        ({"models": ["gemini-2.5-pro*"]}, GENERATE, 403, "GATEKEEPER_MODEL_NOT_ALLOWED"),
        ({"models": ["gemini-*"]}, "/v1beta/interactions", 403, "GATEKEEPER_MODEL_NOT_ALLOWED"),
        ({"allowed_routes": ["countTokens"]}, GENERATE, 403, "GATEKEEPER_ROUTE_NOT_ALLOWED"),
        ({"max_budget": 0}, GENERATE, 429, "GATEKEEPER_BUDGET_EXCEEDED"),
        ({"models": ["gemini-2.5-*"], "max_budget": 1}, GENERATE, 200, None),
        ({"max_budget": 1}, "/v1beta/models/imagen-4.0-generate-001:predict", 200, None),
        *[({"max_budget": 1}, path, 403, "GATEKEEPER_ROUTE_NOT_ALLOWED") for path in UNMETERED],
        *[({"max_budget": 1}, path, 403, "GATEKEEPER_MODEL_UNPRICED") for path in UNPRICED],
        *[({}, path, 200, None) for path in UNMETERED[:2] + UNPRICED[:2]],
        *[({"max_budget": 0}, path, 200, None) for path in FREE],
    ],
)
async def test_a_key_is_held_to_its_limits(
    guarded: Running, google: StandIn, fields: dict[str, object], line: str, status: int, reason: str | None
) -> None:
    secret = await guarded.key(**fields)  # made at the epoch, so that a second later lies in the past
    answer = await exchange(guarded.url, f"POST /gemini{line}?key={secret}", body=b"{}")
    assert answer.status == status
    row = await guarded.row()
    assert (row["status"], row["reason"]) == (status, reason)
    assert len(google.asked) == (status == 200)


@pytest.mark.parametrize("end", ["delete", "regenerate"])
@pytest.mark.parametrize("mode", ["open", "guarded"])
async def test_a_secret_that_was_withdrawn_is_refused_in_open_mode_too(
    google: StandIn, tmp_path: Path, end: str, mode: str
) -> None:
    flags = {"master_key": "master-of-the-tests"} if mode == "guarded" else {}
    headers = {"Authorization": "Bearer master-of-the-tests"}
    secrets: list[str] = []
    for _ in range(2):  # the second gateway reads it from the disk
        async with running(tmp_path / "data", google.url, **flags) as gateway:
            if not secrets:
                secrets.append(await gateway.key(key_alias="app"))
                await gateway.client.post(f"/key/{end}", json={"key": "app"}, headers=headers)
            answer = await exchange(gateway.url, f"POST /gemini{GENERATE}?key={secrets[0]}", body=b"{}")
            assert (answer.status, answer.reason) == (401, "GATEKEEPER_KEY_UNKNOWN")
            assert "deleted, or given a new secret" in answer.body.decode()
    assert not google.asked


@pytest.mark.parametrize("admin", [False, True])
async def test_wrong_credentials_are_slowed_and_logged_and_right_ones_are_not(
    guarded: Running, google: StandIn, admin: bool
) -> None:
    guarded.gateway.proxy.context.auth_failures.delay = 0.4
    secret = "master-of-the-tests" if admin else await guarded.key()
    path = "/key/list" if admin else f"/gemini{GENERATE}"

    async def call(secret: str) -> tuple[int, float]:
        headers = {"Authorization": f"Bearer {secret}"}
        began = perf_counter()
        answer = await guarded.client.request("GET" if admin else "POST", path, headers=headers)
        return answer.status_code, perf_counter() - began

    with capture_logs() as logged:
        assert [(await call(f"wrong-{number}"))[0] for number in range(10)] == [401] * 10
        status, seconds = await call("wrong")
    assert status == 401
    assert seconds >= 0.4
    (line,) = [line for line in logged if line["event"] == "authentication_failed"]
    assert (line["address"], line["count"]) == ("127.0.0.1", 1)
    assert "wrong" not in json.dumps(logged)
    statuses: list[int] = []

    async def note(secret: str) -> None:
        statuses.append((await call(secret))[0])

    async with trio.open_nursery() as nursery:  # a right one does not wait with a wrong one
        nursery.start_soon(note, "wrong")
        nursery.start_soon(note, secret)
    assert statuses == [200, 401]


async def test_spend_uses_a_budget_up(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    secret = await guarded.key(max_budget="0.002")
    statuses = [
        (await exchange(guarded.url, f"POST /gemini{GENERATE}?key={secret}", body=b"{}")).status
        for _ in range(4)
    ]
    # What is left after the first call is less than that has cost.
    assert statuses == [200, 429, 429, 429]


@cases(
    ("budget", "duration", "told", "headers"),
    [
        (1, "20s", True, {"retry-after"}),
        (1, "90s", True, {"x-should-retry"}),
        (1, "30d", True, {"x-should-retry"}),
        (1, None, False, {"x-should-retry"}),
        (0, "20s", False, {"x-should-retry"}),
    ],
)
async def test_a_spent_budget_tells_the_true_time_in_the_body_and_a_short_one_in_the_header(
    guarded: Running, budget: int, duration: str | None, told: bool, headers: set[str]
) -> None:
    now = time_ns() // 1000
    fields = parse_fields({"max_budget": budget, "budget_duration": duration}, now=now)
    secret, state = await guarded.gateway.registry.create(fields, now=now, by="test")
    guarded.gateway.registry.settle(AccountCharge(state.record.token_id, 10**12, now))
    answer = await exchange(guarded.url, f"POST /gemini{GENERATE}?key={secret}", body=b"{}")
    assert answer.status == 429
    assert {"retry-after", "x-should-retry"} & answer.headers.keys() == headers
    details = {detail["@type"]: detail for detail in json.loads(answer.body)["error"]["details"]}
    info = details.get("type.googleapis.com/google.rpc.RetryInfo")
    assert (info is not None) == told
    if info and state.budget_reset_at:
        delay = info["retryDelay"].removesuffix("s")
        assert 0 <= -(-(state.budget_reset_at - now) // 10**6) - int(delay) <= 10
        assert answer.headers.get("retry-after", delay) == delay
    assert answer.headers.get("x-should-retry", "false") == "false"


async def test_the_master_key_passes_everywhere(guarded: Running, google: StandIn) -> None:
    answer = await exchange(guarded.url, f"POST /gemini{GENERATE}?key=master-of-the-tests", body=b"{}")
    assert answer.status == 200
    assert (await guarded.row())["key_id"] == "master"


async def test_a_json_array_stream_is_metered(gateway: Running, google: StandIn) -> None:
    pieces = [b"[", ANSWER[:50], ANSWER[50:], b"\n,\r\n" + ANSWER, b"]"]

    async def script(reply: Reply) -> None:
        await reply.chunked(pieces, content_type="application/json")

    google.script = script
    line = "POST /gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?key=k"
    answer = await exchange(gateway.url, line, body=b"{}")
    assert answer.body == b"".join(pieces)
    row = await gateway.row()
    assert (row["total_tokens"], row["stream"], row["outcome"]) == (1360, True, "ok")


@cases("path", ["auth_tokens/se.cret", "%61uth_tokens//se.cret/", "auth_tokens%2Fse.cret"])
async def test_the_name_of_an_ephemeral_token_is_in_no_row(
    gateway: Running, google: StandIn, path: str
) -> None:
    await exchange(gateway.url, f"DELETE /gemini/v1alpha/{path}?key=k")
    row = await gateway.row()
    assert (row["path"], row["resource"]) == ("/v1alpha/auth_tokens/…", None)
    assert "se.cret" not in json.dumps(row, default=str)
    assert b"se.cret" in google.asked[-1].target


@cases(
    ("path", "recorded"),
    [
        (f"{GENERATE}&key=not-for-all", f"{GENERATE}&key=…"),
        (f"{GENERATE}%3Fkey=not-for-all", f"{GENERATE}?key=…"),
        ("/v1beta/models;access_token=not-for-all/x", "/v1beta/models;access_token=…/x"),
        ("/sk-not-for-all-0123456789/v1beta/models", "/…/v1beta/models"),
        ("/v1beta/AIzaSynot-for-all-0123456789", "/v1beta/…"),
        ("/v1beta/AQ.not-for-all-0123456789", "/v1beta/…"),
        ("/v1beta/models/task-not-for-all-0123456789", None),
        ("/v1beta/models/a%20key/not-for-all", None),
    ],
)
async def test_a_key_in_the_path_is_in_no_row(
    gateway: Running, google: StandIn, path: str, recorded: str | None
) -> None:
    """Where `?` was forgotten, or the key taken for a part of the base URL."""
    await exchange(gateway.url, f"GET /gemini{path}")
    row = await gateway.row()
    assert row["path"] == (recorded or path)
    assert ("not-for-all" in str(row)) == (recorded is None)


async def test_a_call_keeps_its_trace(gateway: Running, google: StandIn) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await exchange(
        gateway.url,
        f"POST /gemini{GENERATE}?key=k",
        body=b"{}",
        headers=[f"traceparent: 00-{trace}-00f067aa0ba902b7-01"],
    )
    assert (await gateway.row())["trace_id"] == trace
    assert google.asked[-1].header("traceparent")


@cases("version", ["v1", "v1alpha", "v1beta", "v9"])
@cases("spelt", ["auth_tokens", "%61uth_tokens", "auth_tokens/", "Auth_Tokens", "authTokens"])
async def test_a_key_with_limits_makes_no_token_that_goes_past_the_gateway(
    guarded: Running, google: StandIn, version: str, spelt: str
) -> None:
    key = await guarded.key(max_budget=1)
    line = f"POST /gemini/{version}/{spelt}"
    answer = await exchange(guarded.url, line, body=b"{}", headers=[f"x-goog-api-key: {key}"])
    assert (answer.status, answer.reason) in (
        (403, "GATEKEEPER_ROUTE_NOT_ALLOWED"),
        (400, "GATEKEEPER_BAD_REQUEST"),
    )
    assert google.asked == []
