"""Models without a price are loud: one log line a day, and a key with a budget may not use them."""

from __future__ import annotations

import json
from decimal import Decimal

from rig.cases import cases
from rig.gateway import Running
from rig.logs import capture_logs
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.gemini.json_tokens import MAX_TOKEN_BYTES
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.call_price import MAX_MODELS, UnpricedModels
from gatekeeper.proxy.relay import MAX_BUFFERED_BODY
from gatekeeper.startup import load_catalogue

USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
ANSWER = json.dumps({"candidates": [], "usageMetadata": USAGE}).encode()
NEW_MODEL = "/v1beta/models/gemini-99-ultra:generateContent"
DAY = 86_400_000_000
MASTER = {"Authorization": "Bearer master-of-the-tests"}


async def test_a_model_without_a_price_is_one_log_line(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    with capture_logs() as logged:
        for _ in range(3):
            await exchange(gateway.url, f"POST /gemini{NEW_MODEL}?key=k", body=b"{}")
        await gateway.row(3)
    lines = [line for line in logged if line["event"] == "model_unpriced"]
    assert [(line["model"], line["log_level"]) for line in lines] == [("gemini-99-ultra", "warning")]
    assert "not in the price catalogue" in lines[0]["detail"]
    assert "prices check" in lines[0]["remedy"]


def call(
    model: str | None, day: int = 0, cost: int | None = None, action: str = "generateContent"
) -> CallRecord:
    return CallRecord(
        id="i", started_at=day * DAY, method="POST", path="/", model=model, action=action, cost_pico=cost
    )


@cases(
    ("unpriced", "remedy"),
    [
        (call("gemini-99"), "add its price to prices.toml"),
        (call("tunedModels/t"), "none: no price list"),
        (call("gemini-2.5-flash", 20_700, action="novelties.create"), "none: no price list"),
    ],
)
def test_only_a_price_that_can_be_added_is_asked_for(unpriced: CallRecord, remedy: str) -> None:
    with capture_logs() as logged:
        UnpricedModels().note(unpriced, load_catalogue())
    assert [line["remedy"].startswith(remedy) for line in logged] == [True]


@cases(
    ("calls", "named"),
    [
        ([call("m"), call("m"), call("n"), call("m", 1), call("m", 1)], ["m", "n", "m"]),
        ([call("m", cost=0), call(None)], []),
        # It has a price; what is missing is its usage.
        ([call("gemini-2.5-flash", 20_700)], []),
        ([call("tunedModels/t"), call("m", action="novelties.create")], ["tunedModels/t", "m"]),
        ([call(f"m{n}") for n in range(MAX_MODELS + 10)], [*(f"m{n}" for n in range(MAX_MODELS)), None]),
    ],
)
def test_each_model_is_logged_once_a_day(calls: list[CallRecord], named: list[str | None]) -> None:
    unpriced, catalogue = UnpricedModels(), load_catalogue()
    with capture_logs() as logged:
        for each in calls:
            unpriced.note(each, catalogue)
    assert [line.get("model") for line in logged] == named


async def test_a_key_with_a_budget_is_charged_the_most_if_it_may_use_such_a_model(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    secret = await guarded.key(max_budget=1)
    line = f"POST /gemini{NEW_MODEL}?key={secret}"
    refused = await exchange(guarded.url, line, body=b"{}")
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["details"][0]["reason"]) == (403, "GATEKEEPER_MODEL_UNPRICED")
    assert "allow_unpriced" in error["message"]
    body = {"key": secret, "allow_unpriced": True}
    changed = await guarded.client.post("/key/update", json=body, headers=MASTER)
    assert changed.json()["allow_unpriced"] is True
    assert (await exchange(guarded.url, line, body=b"{}")).status == 200
    row = await guarded.row(2)
    assert (row["cost_usd"], row["usage_note"][:24]) == (None, "estimated for the budget")
    info = (await guarded.client.get("/key/info", params={"key": secret}, headers=MASTER)).json()["info"]
    assert Decimal(info["spend"]) == Decimal(info["spend_estimated"]) > 0


CHAT, INTERACTIONS = "/v1beta/openai/chat/completions", "/v1beta/interactions"
FLASH = b'{"model": "gemini-2.5-flash", "messages": []}'
LONG = b'{"model": "gemini-2.5-flash", "input": "' + b"x" * MAX_BUFFERED_BODY + b'"}'
MANY = FLASH[:-1] + b', "x": [' + b" " * MAX_TOKEN_BYTES + b"1]}"
UNPRICED, NO_ROUTE = "GATEKEEPER_MODEL_UNPRICED", "GATEKEEPER_ROUTE_NOT_ALLOWED"
NAMED_IN_THE_BODY = {
    "a priced model": (CHAT, FLASH, None, ""),
    "with a prefix": (CHAT, FLASH.replace(b"gemini-", b"models/gemini-"), None, ""),
    "an embedding": ("/v1/openai/embeddings", b'{"model": "gemini-embedding-001", "input": "x"}', None, ""),
    "an interaction": (INTERACTIONS, FLASH, None, ""),
    "an agent": (INTERACTIONS, b'{"agent": "deep-research-pro-preview-12-2025"}', None, ""),
    "pictures": ("/v1beta/openai/images/generations", b'{"model": "imagen-4.0-generate-001"}', None, ""),
    "an unknown model": (CHAT, FLASH.replace(b"2.5", b"99"), UNPRICED, "gemini-99-flash is not in the price"),
    "an unknown one of two": (CHAT, FLASH[:-1] + b', "model": "gemini-99"}', UNPRICED, "gemini-99 is not in"),
    "of another kind": (CHAT, b'{"model": "gemini-embedding-001"}', UNPRICED, "has no price for openai.chat"),
    "no model": (CHAT, b"{}", NO_ROUTE, "finds no model in its body"),
    "no body": (INTERACTIONS, b"", NO_ROUTE, "finds no model in its body"),
    "no JSON": (CHAT, b'{"model": "gemini-2.5-flash"', NO_ROUTE, "cannot look at all of its body first"),
    "long": (INTERACTIONS, LONG, None, ""),
    "too much": (INTERACTIONS, MANY, NO_ROUTE, "cannot look at all of its body first"),
    "in the background": (
        INTERACTIONS,
        FLASH[:-1] + b', "background": true}',
        NO_ROUTE,
        "does not see what a background interaction costs",
    ),
}


@cases(("path", "body", "reason", "told"), NAMED_IN_THE_BODY.values(), ids=NAMED_IN_THE_BODY.keys())
async def test_a_budget_asks_for_the_price_of_a_model_in_the_body(
    guarded: Running, google: StandIn, path: str, body: bytes, reason: str | None, told: str
) -> None:
    google.script = lambda reply: reply.json(b"{}")
    secret = await guarded.key(max_budget=100)
    answer = await exchange(guarded.url, f"POST /gemini{path}?key={secret}", body=body)
    row = await guarded.row()
    assert (answer.status, row["reason"], len(google.asked)) == (
        (403, reason, 0) if reason else (200, None, 1)
    )
    assert told in (row["error_message"] or "")
    if reason:
        assert (row["outcome"], row["cost_usd"]) == ("refused", "0.000000000000")
    else:
        assert google.asked[0].body == body


async def test_without_a_budget_no_model_is_asked_for(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(b"{}")
    secret = await guarded.key(soft_budget=1)
    for path, body, *_ in NAMED_IN_THE_BODY.values():
        answer = await exchange(guarded.url, f"POST /gemini{path}?key={secret}", body=body)
        assert answer.status == 200


async def test_a_chat_is_charged_to_the_budget(guarded: Running, google: StandIn) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    google.script = lambda reply: reply.json(
        json.dumps({"model": "gemini-2.5-flash", "choices": [], "usage": usage}).encode()
    )
    secret = await guarded.key(max_budget="0.0005")
    line = f"POST /gemini{CHAT}?key={secret}"
    assert (await exchange(guarded.url, line, body=FLASH)).status == 200
    row = await guarded.row()
    assert row["cost_usd"] == "0.000550000000"
    assert (await exchange(guarded.url, line, body=FLASH)).status == 429
