"""Budgets for some of a key's models, over HTTP."""

from __future__ import annotations

import json

from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
BODY = b'{"contents": [], "generationConfig": {"maxOutputTokens": 100}}'


async def test_a_budget_of_models_is_theirs_alone(guarded: Running, google: StandIn) -> None:
    answer = json.dumps({"candidates": [], "usageMetadata": USAGE}).encode()
    google.script = lambda reply: reply.json(answer)
    # A call costs 0.00225 USD.
    secret = await guarded.key(model_max_budget={"*-pro": "0.005"}, budget_duration="1d")

    async def call(model: str) -> tuple[int, dict[str, str]]:
        line = f"POST /gemini/v1beta/models/gemini-2.5-{model}:generateContent?key={secret}"
        answer = await exchange(guarded.url, line, body=BODY)
        error = json.loads(answer.body).get("error")
        return answer.status, error["details"][0]["metadata"] if error else {}

    statuses = [await call("pro") for _ in range(4)]
    assert [status for status, _ in statuses] == [200, 200, 429, 429]
    assert statuses[-1][1]["models"] == "*-pro"
    assert [await call("flash") for _ in range(2)] == [(200, {}), (200, {})]
    info = await guarded.client.get(
        "/key/info", params={"key": secret}, headers={"Authorization": "Bearer master-of-the-tests"}
    )
    assert info.json()["info"]["model_max_budget"] == {"*-pro": "0.005000000000"}
