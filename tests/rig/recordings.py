"""Recorded exchanges with the real API, and a few of the same kinds written here for where there are none.

With GATEKEEPER_RECORDINGS set to a folder of them (`recorded.jsonl`, `index.csv`) all are played.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS")
SHARES = 4 if RECORDINGS else 1  # parts that can be played side by side

# The same protocol spoken by Vertex AI has other paths: such an answer is played to Gemini's own.
GOOGLE_PATH = re.compile(r"/(upload/)?v1(beta|alpha)?/(?!projects/|publishers/)[\w.:/-]+")
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
TARGETS = {
    "unary": GENERATE,
    "error": GENERATE,
    "sse": f"{STREAM}?alt=sse",
    "json_array_stream": STREAM,
    "embed": "/v1beta/models/gemini-embedding-001:embedContent",
    "count_tokens": "/v1beta/models/gemini-2.5-flash:countTokens",
    "cache": "/v1beta/cachedContents",
    "file": "/upload/v1beta/files",
    "interactions": "/v1beta/interactions",
    "openai_compat": "/v1beta/openai/chat/completions",
    "batch": "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
    "operation": "/v1beta/models/veo-3.1-generate-preview:predictLongRunning",
    "models": "/v1beta/models",
    "other": "/v1beta/models/imagen-4.0-generate-001:predict",
}


@dataclass(frozen=True)
class Recording:
    """One recorded exchange; `indexed` is what a meter must read of its answer."""

    id: str
    kind: str
    request: dict[str, Any]
    response: dict[str, Any]
    indexed: dict[str, str]

    @property
    def method(self) -> str:
        return self.request.get("method") or "POST"

    @property
    def target(self) -> str:
        path = self.request.get("path") or ""
        if GOOGLE_PATH.fullmatch(path):
            return path + ("?alt=sse" if self.kind == "sse" else "")
        return TARGETS[self.kind]

    @cached_property
    def sent(self) -> bytes:
        body = self.request.get("body")
        return json.dumps(body or {}).encode() if body or self.method in ("POST", "PATCH") else b""

    @cached_property
    def body(self) -> bytes:
        return (self.response["body"] or "").encode()

    @property
    def content_type(self) -> str:
        events = self.kind == "sse" or self.body.startswith((b"event:", b"data:"))
        usual = "text/event-stream" if events else "application/json; charset=UTF-8"
        return self.response["content_type"] or usual

    @property
    def of_a_bad_google_key(self) -> bool:
        says = {400: b"API_KEY_INVALID", 401: b"", 403: b"unregistered callers"}
        status = self.response["status"]
        return status in says and says[status] in self.body


Source = Callable[[int], Iterator[Recording]]


def recorded(share: int) -> Iterator[Recording]:
    """Those of all kinds but `live`, whose messages are no answer to a request."""
    yield from (each for each in _recorded(share, SHARES, ()) if each.kind != "live")


def recorded_of(*kinds: str) -> Iterator[Recording]:
    """Those of some kinds. Of the Live API (`live`) a body is a message of the server's on each line."""
    return _recorded(0, 1, kinds)


def _recorded(share: int, shares: int, kinds: Collection[str]) -> Iterator[Recording]:
    rows = _index()
    with (Path(RECORDINGS or "") / "recorded.jsonl").open() as lines:
        for line in islice(lines, share, None, shares):
            # The index tells the kind: to parse all of 25 MB takes a third of a second.
            name = line.removeprefix('{"id": "').partition('"')[0]
            if not kinds or name not in rows or rows[name]["kind"] in kinds:
                each = json.loads(line)
                yield Recording(
                    each["id"], each["kind"], each["request"] or {}, each["response"], rows[each["id"]]
                )


@cache
def _index() -> dict[str, dict[str, str]]:
    with (Path(RECORDINGS or "") / "index.csv").open(newline="") as index:
        return {row["id"]: row for row in csv.DictReader(index)}


def chunk(text: str, usage: dict[str, int], finish_reason: str = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish_reason}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


FIRST = {"promptTokenCount": 8, "candidatesTokenCount": 9, "totalTokenCount": 30, "thoughtsTokenCount": 13}
LAST = {"promptTokenCount": 8, "candidatesTokenCount": 4, "totalTokenCount": 12, "cachedContentTokenCount": 2}
EMBEDDING = {"embedding": {"values": [0.25, -1e-05]}, "usageMetadata": {"promptTokenCount": 3}}
QUOTA = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
BAD_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        ],
    }
}
CACHE = {
    "name": "cachedContents/c1",
    "model": "models/gemini-2.5-flash",
    "usageMetadata": {"totalTokenCount": 5000},
}
STEPS_USAGE = {
    "total_tokens": 40,
    "total_input_tokens": 16,
    "total_output_tokens": 12,
    "total_thought_tokens": 12,
}
LAST_USAGE = {
    "total_tokens": 213,
    "total_input_tokens": 10,
    "total_output_tokens": 29,
    "total_thought_tokens": 174,
}
INTERACTION = {"id": "v1_Chc", "object": "interaction", "model": "gemini-3.8-pro", "status": "in_progress"}
ENDED = {**INTERACTION, "status": "completed", "service_tier": "flex", "usage": LAST_USAGE}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
COMPLETION = {"id": "c-1", "object": "chat.completion", "model": "gemini-2.5-pro", "choices": [CHOICE]}
COMPLETION_USAGE = {"completion_tokens": 12, "prompt_tokens": 35, "total_tokens": 109}
BATCH = {
    "name": "batches/b1",
    "metadata": {"model": "models/gemini-2.5-flash", "state": "BATCH_STATE_PENDING"},
}
BATCH_RESULT = {**BATCH, "response": {"inlinedResponses": [{"response": chunk("4", FIRST)}]}}


def events(*documents: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(document)}\r\n\r\n" for document in documents)


def named_events(*documents: dict[str, Any]) -> str:
    """As Interactions send them."""
    named = (f"event: {each['event_type']}\ndata: {json.dumps(each)}\n\n" for each in documents)
    return "".join(named) + "event: done\ndata: [DONE]\n\n"


INTERACTION_STREAM = named_events(
    {
        "event_type": "interaction.created",
        "interaction": INTERACTION,
        "metadata": {"total_usage": STEPS_USAGE},
    },
    {"event_type": "interaction.status_update", "interaction_id": "v1_Chc", "status": "in_progress"},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": '"usage": {}'}},
    {"event_type": "step.stop", "index": 0, "usage": STEPS_USAGE, "step_usage": {"total_tokens": 1}},
    {"event_type": "interaction.completed", "interaction": ENDED},
)
COMPLETION_CHUNKS = [
    {
        **COMPLETION,
        "choices": [{"index": 0, "delta": {"content": "h"}, "finish_reason": None}],
        "usage": None,
    },
    {**COMPLETION, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
]


def written(_: int) -> Iterator[Recording]:
    """What stands in where there are no recordings."""
    for number, (kind, line, status, body, indexed) in enumerate(_written()):
        method, _, path = line.rpartition(" ")
        request = {
            "method": method or None,
            "path": path or None,
            "body": {"model": "m"} if not line else None,
        }
        has_usage = "true" if {"prompt", "total"} & indexed.keys() else "false"
        response = {"status": status, "content_type": None, "body": body}
        yield Recording(f"w{number}", kind, request, response, {"has_usage": has_usage, **indexed})


def _written() -> Iterator[tuple[str, str, int, str, dict[str, str]]]:
    """Kind, request line, status, body, and what the index would say."""
    last = {"prompt": "8", "cached": "2", "candidates": "4", "total": "12", "finish_reasons": "STOP"}
    spoken = {"prompt": "8", "candidates": "9", "thoughts": "13", "total": "30", "finish_reasons": "STOP"}
    stream = [chunk("Ü\u2028", FIRST), chunk("}]", FIRST, "MAX_TOKENS"), chunk("", LAST)]
    ended = {"prompt": "10", "candidates": "29", "thoughts": "174", "total": "213", "service_tier": "flex"}
    ended["finish_reasons"] = "completed"
    completed = {"prompt": "35", "candidates": "12", "total": "109", "finish_reasons": "stop"}
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}}
    chat_stream = [*COMPLETION_CHUNKS, {**COMPLETION, "choices": [], "usage": COMPLETION_USAGE}]
    yield "unary", "", 200, json.dumps(chunk("hi", FIRST), indent=2), spoken
    yield "unary", "", 200, json.dumps({"candidates": []}), {}
    yield "unary", "", 200, json.dumps(blocked), {"prompt": "8", "prompt_feedback_block": "SAFETY"}
    yield "sse", "", 200, events(*stream), last
    yield "sse", "", 200, events(stream[0], QUOTA), {**spoken, "error_status": "RESOURCE_EXHAUSTED"}
    yield "json_array_stream", "", 200, "[" + "\n,\r\n".join(map(json.dumps, stream)) + "\n]\n", last
    yield "embed", "", 200, json.dumps(EMBEDDING), {"prompt": "3"}
    yield "error", "", 429, json.dumps(QUOTA, indent=2), {"error_status": "RESOURCE_EXHAUSTED"}
    yield "error", "", 400, json.dumps(BAD_KEY, indent=2), {"error_status": "INVALID_ARGUMENT"}
    yield "error", "", 404, "", {"error_status": "HTTP_404"}
    yield "cache", "", 200, json.dumps(CACHE), {"total": "5000"}
    yield "cache", "GET /v1beta/cachedContents/c1", 200, json.dumps(CACHE), {"total": "5000"}
    yield "cache", "DELETE /v1beta/cachedContents/c1", 200, "{}\n", {}
    yield "interactions", "", 200, json.dumps(ENDED), ended
    yield "interactions", "", 200, INTERACTION_STREAM, ended
    yield "interactions", "", 200, json.dumps(INTERACTION), {"finish_reasons": "in_progress"}
    yield "openai_compat", "", 200, json.dumps({**COMPLETION, "usage": COMPLETION_USAGE}), completed
    yield "openai_compat", "", 200, events(*chat_stream), {**completed, "finish_reasons": "length"}
    yield "openai_compat", "", 200, events(*COMPLETION_CHUNKS), {"finish_reasons": "length"}
    yield "openai_compat", "", 429, json.dumps([QUOTA]), {"error_status": "RESOURCE_EXHAUSTED"}
    yield "batch", "", 200, json.dumps(BATCH), {}
    yield "batch", "GET /v1beta/batches/b1", 200, json.dumps(BATCH_RESULT), {"nested_usage": "1"}
    yield "file", "", 200, json.dumps({"file": {"name": "files/f-1", "sizeBytes": "1"}}), {}
    yield "file", "GET /v1beta/files", 200, json.dumps({"files": [{"name": "files/f-1"}]}), {}
    yield "operation", "", 200, json.dumps({"name": "models/veo-3.1-generate-preview/operations/o1"}), {}
    yield "count_tokens", "", 200, json.dumps({"totalTokens": 12}), {}
    yield "models", "GET /v1beta/models", 200, json.dumps({"models": [{"name": "models/m"}]}), {}
    yield "other", "", 200, json.dumps({"predictions": [{"bytesBase64Encoded": "QUJD" * 9000}]}), {}
