"""What a response made or is about, by its documents; and why a prompt was blocked."""

from __future__ import annotations

import json
from typing import Any

from rig.cases import cases

from gatekeeper.gemini.meter import MeterOptions, meter_options
from gatekeeper.gemini.resource_names import collection_of
from gatekeeper.gemini.response_parser import ResponseParser, ResponseSummary
from gatekeeper.gemini.routes import route


def parsed(*documents: Any, action: str | None = None, counts_usage: bool = True) -> ResponseSummary:
    parser = ResponseParser(collection_of(action), counts_usage=counts_usage)
    for document in documents:
        parser.read(json.dumps(document).encode())
    return parser.summary(complete=True, truncated=False)


INTERACTION = {"id": "v1_Chc-x", "object": "interaction", "status": "completed", "model": "gemini-3.8-pro"}


@cases(
    ("action", "document", "resource"),
    [
        ("files.upload", {"file": {"name": "files/abc-123", "displayName": "a"}}, "files/abc-123"),
        ("cachedContents.create", {"name": "cachedContents/x1", "model": "models/m"}, "cachedContents/x1"),
        ("batchGenerateContent", {"name": "batches/b", "metadata": {"name": "batches/b"}}, "batches/b"),
        ("predictLongRunning", {"name": "models/veo-3.1/operations/o_1"}, "models/veo-3.1/operations/o_1"),
        (
            "fileSearchStores.uploadToFileSearchStore",
            {"name": "fileSearchStores/s/upload/operations/o", "response": {"parent": "fileSearchStores/s"}},
            "fileSearchStores/s/upload/operations/o",
        ),
        ("tunedModels.create", {"name": "tunedModels/t/operations/o"}, "tunedModels/t/operations/o"),
        ("interactions.create", INTERACTION, "interactions/v1_Chc-x"),
        ("interactions.create", {"interaction": INTERACTION}, "interactions/v1_Chc-x"),
        ("interactions.create", {"id": "", "status": "completed"}, None),
        ("webhooks.create", {"id": "w1", "name": "teams/alerts"}, "webhooks/w1"),
        ("triggers.create", {"id": "t1", "environment_id": "e"}, "triggers/t1"),
        ("openai.batches", {"id": "batches/b1", "object": "batch"}, "batches/b1"),
        ("openai.batches", {"id": "batch_b1", "object": "batch"}, "batches/batch_b1"),
        ("openai.videos", {"id": "v", "status": "queued"}, "videos/v"),
        # The id of a response is not a resource's, nor is that of a part of one
        ("openai.chat.completions", {"id": "3SE-aK", "choices": []}, None),
        ("triggers.executions.create", {"id": "e1"}, None),
        ("generateContent", {"responseId": "x", "candidates": []}, None),
        (None, {"id": "x"}, None),
        # The name of an ephemeral token is the token
        ("auth_tokens.create", {"name": "auth_tokens/secret"}, None),
        (None, {"name": "authTokens/secret"}, None),
        ("interactions.auth_tokens.create", {"auth_token": "secret", "id": "secret"}, None),
        # Not in the form of a name
        ("webhooks.create", {"name": "my hook"}, None),
        ("files.upload", {"name": f"files/{'x' * 300}"}, None),
        ("files.upload", {"name": "files/a b"}, None),
        ("files.upload", {"name": ["files/a"], "file": "files/a"}, None),
        ("batches.create", {"name": "batches/" + "/".join("y" * 60 for _ in range(5))}, None),
    ],
)
def test_a_response_says_what_it_made(action: str | None, document: Any, resource: str | None) -> None:
    assert parsed(document, action=action).resource == resource


@cases(
    ("feedback", "reason"),
    [
        ({"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}, "PROHIBITED_CONTENT"),
        ({"blockReason": 1}, "SAFETY"),
        ({"blockReason": 77}, "77"),
        ({"blockReason": ["SAFETY"]}, None),
        ({"safetyRatings": []}, None),
        (None, None),
    ],
)
def test_a_blocked_prompt_says_why(feedback: Any, reason: str | None) -> None:
    blocked = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4}}
    assert parsed(blocked).block_reason == reason
    # The stream goes on to its last chunk
    assert parsed(blocked, {"usageMetadata": {"promptTokenCount": 4}}).block_reason == reason


@cases(
    ("method", "path", "reading"),
    [
        ("POST", "/v1beta/cachedContents", MeterOptions(None, counts_usage=True)),
        ("POST", "/v1beta/interactions", MeterOptions("interactions", counts_usage=True)),
        ("POST", "/v1beta/interactions/i/cancel", MeterOptions("interactions", counts_usage=False)),
        ("POST", "/v1beta/models/m:batchGenerateContent", MeterOptions(None, counts_usage=True)),
        ("POST", "/v1beta/openai/chat/completions", MeterOptions(None, counts_usage=True)),
        ("POST", "/v1beta/openai/batches", MeterOptions("batches", counts_usage=True)),
        ("POST", "/upload/v1beta/files", MeterOptions("files", counts_usage=False)),
        ("POST", "/v1beta/webhooks", MeterOptions("webhooks", counts_usage=False)),
        ("POST", "/v1beta/models/m:countTokens", None),
        ("POST", "/v1alpha/auth_tokens", None),
        ("POST", "/v1beta/interactions/i/auth_tokens", None),
        ("GET", "/v1beta/files", None),
        ("GET", "/v1beta/interactions/i", None),
        ("GET", "/v1beta/cachedContents/c", None),
        ("GET", "/download/v1beta/files/f:download", None),
        ("PATCH", "/v1beta/cachedContents/c", None),
        ("DELETE", "/v1beta/files/f", None),
    ],
)
def test_only_what_uses_or_makes_something_is_read(
    method: str, path: str, reading: MeterOptions | None
) -> None:
    known = route(method, path.encode(), b"")
    json_type = b"application/json"
    assert meter_options(method, known, 200, json_type) == reading
    # Errors and the ends of streams are always of interest, but not as a use of tokens.
    other = reading or MeterOptions(collection_of(known.action), counts_usage=False)
    assert meter_options(method, known, 429, json_type) == other
    assert meter_options(method, known, 200, b"text/event-stream; charset=utf-8") == other


def test_the_tokens_of_another_call_are_left_out() -> None:
    fetched = {**INTERACTION, "usage": {"total_tokens": 9}}
    summary = parsed(fetched, action="interactions.get", counts_usage=False)
    assert (summary.usage, summary.finish_reason) == (None, "completed")
    assert summary.resource == "interactions/v1_Chc-x"
