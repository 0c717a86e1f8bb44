"""A soft budget warns, and refuses nothing."""

from __future__ import annotations

import json

from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.ledger.events import CallEvent

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key="
ANSWER = {
    "candidates": [{"finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
    "modelVersion": "gemini-2.5-flash",
}
HEADER = "x-gatekeeper-budget-warning"


async def test_a_soft_budget_warns_by_header_and_event_once_it_is_reached(
    guarded: Running, google: StandIn
) -> None:
    google.script = lambda reply: reply.json(json.dumps(ANSWER).encode())
    secret = await guarded.key(soft_budget="0.001", key_alias="web")  # a call costs 0.00055
    subscription = guarded.gateway.ledger.events.subscribe()
    answers = [await exchange(guarded.url, LINE + secret, body=b"{}") for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 4
    told = [answer.headers.get(HEADER) for answer in answers]
    assert told == [None, None, "key has spent 0.0011 of 0.001 USD", "key has spent 0.00165 of 0.001 USD"]
    events = await subscription.batch(100)
    warnings = [event.warning for event in events if isinstance(event, CallEvent) and event.warning]
    (warning,) = warnings
    assert (warning["of"], warning["title"], warning["spend"], warning["soft_budget"]) == (
        "key",
        "The key web",
        "0.001100000000",
        "0.001000000000",
    )


async def test_those_of_the_gateway_and_of_models_hold(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(json.dumps(ANSWER).encode())
    secret = await guarded.key(model_max_budget={"*-flash": "0.0006", "*-pro": 5})
    first, second = [await exchange(guarded.url, LINE + secret, body=b"{}") for _ in range(2)]
    assert (first.status, second.status) == (200, 429)
    error = json.loads(second.body)["error"]
    assert "for the models *-flash" in error["message"]
    assert error["details"][0]["metadata"]["models"] == "*-flash"
    other = await exchange(guarded.url, LINE.replace("2.5-flash", "2.5-pro") + secret, body=b"{}")
    assert other.status == 200
