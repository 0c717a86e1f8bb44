"""The gateway's rows against what the client and Google said to each other."""

from __future__ import annotations

import json
import re
from typing import Any

from e2e.clients.transcript import Exchange

MODEL_PATH = re.compile(r"/models/([^/:?]+):(\w+)")
WITH_USAGE = re.compile(r"POST \S*/(?:interactions|chat/completions|embeddings)(?:\?|$)")
USAGE = re.compile(r'"usage(?:Metadata)?":\s*(?=\{)')
COUNTS = {
    # OpenAI's names, and those of Interactions
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "total_input_tokens": "prompt_tokens",
    "total_output_tokens": "output_tokens",
    "total_thought_tokens": "thoughts_tokens",
    "promptTokenCount": "prompt_tokens",
    "candidatesTokenCount": "output_tokens",
    "thoughtsTokenCount": "thoughts_tokens",
    "cachedContentTokenCount": "cached_tokens",
    "totalTokenCount": "total_tokens",
}


def row_faults(answered: list[Exchange], rows: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the rows of these exchanges: one each, with status, action, model and tokens."""
    by_id = {row["id"]: row for row in rows}
    faults: list[str] = []
    for exchange in answered:
        call_id = exchange.response.header("x-gatekeeper-call-id") if exchange.response else None
        row = by_id.get(call_id or "")
        if row is None:
            faults.append(f"no row: {exchange.request.line}")
            continue
        for column, told in expected(exchange).items():
            if row[column] != told:
                faults.append(f"row: {column} is {row[column]!r}, was {told!r}: {exchange.request.line}")
    return faults


def expected(exchange: Exchange) -> dict[str, Any]:
    assert exchange.response
    told: dict[str, Any] = {"status": int(exchange.response.line[:3])}
    if found := MODEL_PATH.search(exchange.request.line):
        return told | {"model": found[1], "action": found[2]} | tokens(exchange.response.body)
    if model := model_in(exchange.request.body):
        told["model"] = model
    return told | (tokens(exchange.response.body) if WITH_USAGE.match(exchange.request.line) else {})


def model_in(body: bytes) -> str | None:
    """The model that a JSON body names, as OpenAI's, Interactions and cached contents do."""
    try:
        named = json.loads(body)["model"]
    except (ValueError, TypeError, KeyError):
        return None
    return named.removeprefix("models/") if isinstance(named, str) else None


def tokens(body: bytes) -> dict[str, int]:
    """By column, from the last complete usage of a response: a whole one, events, or an array that grew."""
    text, decoder = body.decode(errors="replace"), json.JSONDecoder()
    for start in reversed([found.end() for found in USAGE.finditer(text)]):
        try:
            usage, _ = decoder.raw_decode(text, start)
        except ValueError:  # the response broke within
            continue
        return {COUNTS[name]: count for name, count in usage.items() if name in COUNTS}
    return {}
