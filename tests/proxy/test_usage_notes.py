"""What Google should never send for a usage: it passes untouched, and its row says what was wrong."""

from __future__ import annotations

import json
from typing import Any

from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
COST = "0.000550000000"
NOT_A_COUNT = "which is no count of tokens"
NO_TOKENS = (None, None, None)
DEEP = b"[" * 20_000 + b"]" * 20_000

# The usage as sent; prompt, output and total of the row, its cost, and its note.
CASES: dict[str, tuple[bytes, tuple[int | None, ...], str | None, str]] = {
    "a negative count": (
        b'{"promptTokenCount": -7, "candidatesTokenCount": 100, "totalTokenCount": 1100}',
        (None, 100, 1100),
        None,
        f"promptTokenCount is -7, {NOT_A_COUNT}",
    ),
    "beyond 2^53": (
        b'{"promptTokenCount": 9007199254740993, "candidatesTokenCount": 100, "totalTokenCount": 1100}',
        (None, 100, 1100),
        None,
        f"promptTokenCount is 9007199254740993, {NOT_A_COUNT}",
    ),
    "letters where the total has it": (
        b'{"promptTokenCount": 1000, "candidatesTokenCount": "many", "totalTokenCount": 1100}',
        (1000, None, 1100),
        COST,
        f'candidatesTokenCount is "many", {NOT_A_COUNT}',
    ),
    "a number in a string, as proto3 may write it": (
        b'{"promptTokenCount": "1000", "candidatesTokenCount": "100", "totalTokenCount": "1100"}',
        (1000, 100, 1100),
        COST,
        "",
    ),
    "a list": (b"[1, 2]", NO_TOKENS, None, "the reported usage is [1, 2], which is no object"),
    "a number": (b"5", NO_TOKENS, None, "the reported usage is 5, which is no object"),
    "no number for anybody": (
        b'{"totalTokenCount": 1e999}', NO_TOKENS, None, "the reported usage cannot be read as JSON",
    ),
    "no tier": (
        b'{"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100, '
        b'"serviceTier": true}',
        (1000, 100, 1100),
        None,
        "serviceTier is true, which is no tier",
    ),
    "endlessly nested": (
        b'{"x": %b}' % DEEP, NO_TOKENS, None, "the reported usage cannot be read as JSON",
    ),
    "five megabytes": (
        b'{"totalTokenCount": 5, "x": "%b"}' % (b"a b " * 1_250_000),
        NO_TOKENS,
        None,
        "the usage has 5,000,0",
    ),
    "a contradiction": (
        b'{"promptTokenCount": 1000, "candidatesTokenCount": 100, "thoughtsTokenCount": 60, '
        b'"totalTokenCount": 1100}',
        (1000, 100, 1100),
        COST,
        "the reported output already contains the thoughts: the total counts",
    ),
}  # fmt: skip


def answered(usage: bytes) -> bytes:
    said: dict[str, Any] = {"candidates": [{"finishReason": "STOP"}], "modelVersion": "gemini-2.5-flash"}
    return json.dumps(said).encode()[:-1] + b', "usageMetadata": ' + usage + b"}"


@cases(("usage", "tokens", "cost", "note"), CASES.values())
@cases("stream", [False, True])
async def test_it_passes_and_the_row_says_what_was_wrong(
    gateway: Running,
    google: StandIn,
    stream: bool,
    usage: bytes,
    tokens: tuple[int | None, ...],
    cost: str | None,
    note: str,
) -> None:
    body = answered(usage)
    if stream:
        before = b"data: " + answered(json.dumps(USAGE).encode()) + b"\r\n\r\n"
        body = before + b"data: " + body + b"\r\n\r\n"
    google.script = lambda reply: reply.chunked([body]) if stream else reply.json(body)
    answer = await exchange(gateway.url, f"POST /gemini{STREAM if stream else GENERATE}", body=b"{}")
    assert answer.body == body
    row = await gateway.row()
    assert (row["status"], row["outcome"]) == (200, "ok")
    assert (row["prompt_tokens"], row["output_tokens"], row["total_tokens"]) == tokens
    assert row["cost_usd"] == cost
    assert note in (row["usage_note"] or "")
    assert bool(row["usage_note"]) == bool(note)


async def test_a_usage_in_a_body_that_is_no_json_is_named(gateway: Running, google: StandIn) -> None:
    body = answered(b'{"promptTokenCount": NaN, "totalTokenCount": 15}')
    google.script = lambda reply: reply.json(body)
    answer = await exchange(gateway.url, f"POST /gemini{GENERATE}", body=b"{}")
    row = await gateway.row()
    assert answer.body == body
    assert (row["outcome"], row["cost_usd"], row["usage"]) == ("ok", None, None)
    assert row["usage_note"] == "the reported usage cannot be read as JSON"
