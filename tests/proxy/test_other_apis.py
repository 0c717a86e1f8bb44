"""Calls that Google's other APIs answer, and such as are billed by piece: their tokens, units and cost."""

from __future__ import annotations

import json

from rig.cases import cases
from rig.gateway import Running
from rig.recordings import COMPLETION, COMPLETION_USAGE, ENDED, INTERACTION_STREAM, LAST_USAGE
from rig.standin import StandIn
from rig.wire import exchange

COUNTS = ("prompt_tokens", "output_tokens", "thoughts_tokens", "total_tokens")
ADMIN = {"Authorization": "Bearer master-of-the-tests"}


async def test_a_chat_completion_costs_what_its_total_says(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(json.dumps({**COMPLETION, "usage": COMPLETION_USAGE}).encode())
    secret = await guarded.key()
    line = f"POST /gemini/v1beta/openai/chat/completions?key={secret}"
    await exchange(guarded.url, line, body=b'{"model": "gemini-2.5-pro"}')
    row = await guarded.row()
    assert [row[name] for name in COUNTS] == [35, 12, 62, 109]
    # 35 x $1.25 and 74 x $10 for a million: thoughts are in the total only.
    assert (bytes(row["usage"]), row["cost_usd"]) == (json.dumps(COMPLETION_USAGE).encode(), "0.000783750000")
    total = (await guarded.client.get("/spend", headers=ADMIN)).json()["total"]
    assert (total["calls"], total["unpriced_calls"], total["prompt_tokens"]) == (1, 0, 35)


async def test_an_interaction_s_tokens_count_for_the_call_that_made_it(
    gateway: Running, google: StandIn
) -> None:
    google.script = lambda reply: reply.chunked([INTERACTION_STREAM.encode()])
    await exchange(gateway.url, "POST /gemini/v1beta/interactions", body=b"{}")
    made = await gateway.row()
    assert json.loads(bytes(made["usage"])) == LAST_USAGE
    # Its stream goes on, or is read again, under another request.
    answer = await exchange(gateway.url, "GET /gemini/v1beta/interactions/v1_Chc?stream=true&last_event_id=7")
    assert answer.body == INTERACTION_STREAM.encode()
    await check_reads(gateway, 2)
    google.script = lambda reply: reply.json(json.dumps(ENDED).encode())
    await exchange(gateway.url, "POST /gemini/v1beta/interactions/v1_Chc/cancel", body=b"{}")
    await check_reads(gateway, 3)


async def check_reads(gateway: Running, count: int) -> None:
    row = await gateway.row(count)
    assert [row[name] for name in COUNTS] == [None] * 4
    assert (row["usage"], row["finish_reason"]) == (None, "completed")
    assert row["resource"] == "interactions/v1_Chc"


MADE = {"data": [{"b64_json": "QUJD"}, {"b64_json": "QUJD"}]}
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nveo-3.1-generate-preview\r\n'
    b'--b\r\nContent-Disposition: form-data; name="seconds"\r\n\r\n4\r\n--b--\r\n'
)
PIECES = [
    # (path, request, response, its model, its units, its cost)
    (
        "openai/images/generations",
        b'{"model": "imagen-4.0-generate-001", "n": 3, "size": "1024x1024"}',
        MADE,
        "imagen-4.0-generate-001",
        {"image_each": 2},
        "0.080000000000",
    ),
    (
        "models/imagen-4.0-generate-001:predict",
        b'{"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 3}}',
        {"predictions": [{"bytesBase64Encoded": "QUJD"}, {"raiFilteredReason": "no"}]},
        "imagen-4.0-generate-001",
        {"image_each": 1},
        "0.040000000000",
    ),
    (
        "openai/videos",
        FORM,
        {"id": "v", "object": "video", "status": "queued"},
        "veo-3.1-generate-preview",
        {"output_video_second_720p": 4},
        None,
    ),
]


@cases(("path", "body", "response", "model", "units", "cost"), PIECES)
async def test_what_is_made_is_billed_by_piece(
    gateway: Running,
    google: StandIn,
    path: str,
    body: bytes,
    response: dict[str, object],
    model: str,
    units: dict[str, int],
    cost: str | None,
) -> None:
    google.script = lambda reply: reply.json(json.dumps(response).encode())
    media_type = "multipart/form-data; boundary=b" if body is FORM else "application/json"
    line = f"POST /gemini/v1beta/{path}"
    await exchange(gateway.url, line, body=body, headers=[f"Content-Type: {media_type}"])
    row = await gateway.row()
    assert (row["model"], json.loads(bytes(row["billed_units"])), row["cost_usd"]) == (model, units, cost)
