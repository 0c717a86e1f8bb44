"""A key that is limited to some models reaches no other, wherever a request names it."""

from __future__ import annotations

import gzip
import json
from typing import Any

from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.gemini.json_request import MAX_KEPT
from gatekeeper.proxy.relay import MAX_BUFFERED_BODY

MODEL = "/models/gemini-2.5-flash"
OTHER, MINE = {"model": "models/gemini-3-pro"}, {"model": "models/gemini-2.5-pro"}


def batch(*requests: Any) -> dict[str, Any]:
    return {"batch": {"inputConfig": {"requests": {"requests": [{"request": each} for each in requests]}}}}


CASES = [
    # (path, body, whether the key may)
    (f"{MODEL}:generateContent", {}, True),
    (f"{MODEL}:generateContent", MINE, True),
    (f"{MODEL}:generateContent", OTHER, False),
    (f"{MODEL}:streamGenerateContent?alt=sse", OTHER, False),
    ("/models/gemini-3-pro:generateContent", MINE, False),
    (f"{MODEL}:countTokens", {"generateContentRequest": OTHER}, False),
    (f"{MODEL}:countTokens", {"generateContentRequest": MINE}, True),
    (f"{MODEL}:batchEmbedContents", {"requests": [MINE, OTHER]}, False),
    (f"{MODEL}:batchEmbedContents", {"requests": [MINE]}, True),
    (f"{MODEL}:asyncBatchEmbedContent", {"embedContentRequest": OTHER}, False),
    (f"{MODEL}:batchGenerateContent", batch(MINE, OTHER), False),
    (f"{MODEL}:batchGenerateContent", batch(MINE, {}), True),
    ("/tunedModels", {"baseModel": "models/gemini-3-pro"}, False),
    ("/tunedModels", {"tuned_model_source": {"tuned_model": "tunedModels/t"}}, False),
    ("/tunedModels", {"baseModel": "models/gemini-2.5-flash"}, True),
    ("/tunedModels/t:generateContent", {}, False),
    ("/cachedContents", OTHER, False),
    ("/cachedContents", MINE, True),
    ("/interactions", {"model": "gemini-3-pro", "input": "hi"}, False),
    ("/interactions", {"agent": "deep-research", "input": "hi"}, False),
    ("/interactions", {"model": "gemini-2.5-flash", "agent": "deep-research"}, False),
    ("/interactions", {"previous_interaction_id": "i"}, False),
    ("/interactions", {"model": "gemini-2.5-flash", "input": "hi"}, True),
    ("/openai/chat/completions", {"model": "gemini-3-pro"}, False),
    ("/openai/chat/completions", {}, False),
    ("/openai/chat/completions", {"model": "models/gemini-2.5-flash"}, True),
    ("/openai/embeddings", {"model": "gemini-embedding-001", "input": "hi"}, False),
    ("/openai/batches", {"input_file_id": "files/f", "endpoint": "/v1/chat/completions"}, False),
    ("/triggers", {"interaction": {"model": "gemini-3-pro"}}, False),
    ("/fileSearchStores", {"embeddingModel": "models/gemini-embedding-2"}, False),
    ("/fileSearchStores", {"displayName": "s"}, True),
    ("/novelties", OTHER, False),
    ("/novelties", {}, False),
    ("/files", {"file": {"displayName": "f"}}, True),
]


@cases("sent", ["buffered", "large", "chunked", "gzip"])
async def test_every_model_that_is_named_must_be_allowed(
    guarded: Running, google: StandIn, sent: str
) -> None:
    google.script = lambda reply: reply.json(b"{}")
    secret = await guarded.key(models=["gemini-2.5*"])
    for version in ("v1beta",) if sent == "large" else ("v1", "v1beta", "v1alpha"):
        for path, named, may in CASES:
            body: dict[str, Any] = (
                {**named, "input": "x" * 2 * MAX_BUFFERED_BODY} if sent == "large" else named
            )
            data, headers = json.dumps(body).encode(), [f"x-goog-api-key: {secret}"]
            if sent == "gzip":
                data, headers = gzip.compress(data), [*headers, "Content-Encoding: gzip"]
            given: dict[str, Any] = {"body": data}
            if sent == "chunked":
                given = {"chunks": [data[at : at + 9] for at in range(0, len(data), 9)]}
            before = len(google.asked)
            answer = await exchange(guarded.url, f"POST /gemini/{version}{path}", headers=headers, **given)
            assert (path, named, answer.status) == (path, named, 200 if may else 403)
            assert len(google.asked) - before == (1 if may else 0)
            if may:
                assert google.asked[-1].body == data
            else:
                assert answer.reason == "GATEKEEPER_MODEL_NOT_ALLOWED"


@cases(
    ("path", "may"),
    [(f"{MODEL}:generateContent", True), (f"{MODEL}:countTokens", False), ("/interactions", False)],
)
async def test_what_is_not_seen_is_allowed_where_the_path_decides(
    guarded: Running, google: StandIn, path: str, may: bool
) -> None:
    google.script = lambda reply: reply.json(b"{}")
    secret = await guarded.key(models=["gemini-2.5*"])
    names = [b'{"model": "gemini-2.5-%0240d"}' % number for number in range(MAX_KEPT // 240)]
    long = b'{"requests": [' + b",".join(names) + b"]}"
    for number, body in enumerate([b'{"model": "gemini-2.5-flash"', long]):
        answer = await exchange(guarded.url, f"POST /gemini/v1beta{path}?key={secret}", body=body)
        assert answer.status == (200 if may else 403)
        assert len(google.asked) == ((number + 1) if may else 0)


async def test_a_key_of_all_models_is_not_asked_for_one(guarded: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(b"{}")
    secret = await guarded.key(models=["*", "gemini-2.5*"])
    for path, named, _ in CASES:
        if "/t:" in path or {"previous_interaction_id", "tuned_model_source", "input_file_id"} & named.keys():
            continue  # somebody else's
        line = f"POST /gemini/v1beta{path}"
        answer = await exchange(
            guarded.url, line, body=json.dumps(named).encode(), headers=[f"x-goog-api-key: {secret}"]
        )
        assert answer.status == 200


async def test_the_model_of_a_cached_content_must_be_allowed(guarded: Running, google: StandIn) -> None:
    cache = {
        "name": "cachedContents/c",
        "model": "models/gemini-3-pro",
        "createTime": "2099-01-01T00:00:00Z",
        "expireTime": "2099-01-01T01:00:00Z",
        "usageMetadata": {"totalTokenCount": 5000},
    }
    google.script = lambda reply: reply.json(json.dumps(cache).encode())
    maker = await guarded.key(group="g", share="group")
    body = json.dumps({**OTHER, "contents": []}).encode()
    line = f"POST /gemini/v1beta/cachedContents?key={maker}"
    assert (await exchange(guarded.url, line, body=body)).status == 200
    google.script = lambda reply: reply.json(b"{}")
    for models, status in [(["gemini-2.5*"], 403), (["gemini-2.5*", "gemini-3-pro"], 200)]:
        secret = await guarded.key(group="g", models=models)
        body = b'{"contents": [], "cachedContent": "cachedContents/c"}'
        line = f"POST /gemini/v1beta{MODEL}:generateContent?key={secret}"
        update = f"PATCH /gemini/v1beta/cachedContents/c?updateMask=ttl&key={secret}"
        for asking, said in ((line, body), (update, b'{"ttl": "600s"}')):
            answer = await exchange(guarded.url, asking, body=said)
            assert answer.status == status
            assert status == 200 or answer.reason == "GATEKEEPER_MODEL_NOT_ALLOWED"
