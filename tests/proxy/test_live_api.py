"""A Live handshake is refused; its row says whose it was."""

from __future__ import annotations

import json

import pytest
from rig.gateway import Running
from rig.wire import connect, head, read

PATH = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
UPGRADE = [
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "tags: a,b", "x-gatekeeper-user: joe", "user-agent: l/1",
]  # fmt: skip


@pytest.mark.parametrize("where", ["header", "query", "wrong", "none"])
async def test_the_row_of_a_refused_handshake_says_whose_it_was(guarded: Running, where: str) -> None:
    secret = await guarded.key(key_alias="live", tags=["own"])
    query = {"query": f"?key={secret}", "wrong": "?key=nobodys"}.get(where, "")
    fields = [*UPGRADE, *([f"x-goog-api-key: {secret}"] if where == "header" else [])]
    async with await connect(guarded.url) as client:
        await client.send_all(head(f"GET {PATH}{query}", fields))
        answer = await read(client, "GET")
    row = await guarded.row()
    known = where in ("header", "query")
    status, reason = {
        "wrong": (401, "GATEKEEPER_KEY_UNKNOWN"),
        "none": (401, "GATEKEEPER_KEY_MISSING"),
    }.get(where, (404, "GATEKEEPER_NOT_FOUND"))
    assert (answer.status, json.loads(answer.body)["error"]["details"][0]["reason"]) == (status, reason)
    assert (row["status"], row["reason"], row["outcome"]) == (status, reason, "refused")
    assert row["key_alias"] == ("live" if known else None)
    assert row["tags"] == (["own", "a", "b"] if known else ["a", "b"])
    assert (row["user_id"], row["user_agent"], row["stream"]) == ("joe", "l/1", True)
