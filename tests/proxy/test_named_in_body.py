"""What a request's body names is in the call's row, and the body passes as it is."""

from __future__ import annotations

import gzip
import json
from typing import Any

from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.proxy.relay import MAX_BUFFERED_BODY

PLAIN = "/v1beta/models/gemini-2.5-flash:generateContent"
IMAGE = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "QUJD" * (MAX_BUFFERED_BODY // 4)}}]}


def batch(*models: str) -> dict[str, Any]:
    requests = [
        {"request": {"model": f"models/{model}", "cachedContent": "cachedContents/c"}} for model in models
    ]
    return {"batch": {"inputConfig": {"requests": {"requests": requests}}}}


NAMED = [
    # (path, body, model, resource, stream)
    ("/v1beta/openai/chat/completions", {"model": "models/m", "stream": True}, "m", None, True),
    ("/v1/openai/embeddings", {"model": "e", "input": "hi"}, "e", None, False),
    ("/v1beta/interactions", {"agent": "deep-research", "stream": True}, "deep-research", None, True),
    ("/v1beta/cachedContents", {"model": "models/m", "contents": []}, "m", None, False),
    ("/v1alpha/tunedModels", {"baseModel": "models/m"}, "m", None, False),
    ("/v1beta/models/m:countTokens", {"generateContentRequest": {"model": "models/n"}}, "m", None, False),
    ("/v1beta/models/m:batchGenerateContent", batch("n", "o"), "m", "cachedContents/c", False),
    ("/v1beta/novelties", batch("n", "o"), "n", "cachedContents/c", False),
    (
        PLAIN,
        {"contents": [], "cachedContent": "cachedContents/c"},
        "gemini-2.5-flash",
        "cachedContents/c",
        False,
    ),
    (
        PLAIN,
        {"contents": [], "cached_content": "cachedContents/c"},
        "gemini-2.5-flash",
        "cachedContents/c",
        False,
    ),
    (PLAIN, {"contents": [], "model": "models/x", "stream": True}, "gemini-2.5-flash", None, False),
    ("/v1beta/cachedContents/c", {"cachedContent": "x"}, None, "cachedContents/c", False),
    ("/upload/v1beta/files", {"model": "m", "stream": True}, None, None, False),
    (PLAIN, {"contents": [{"parts": [{"text": "cached \u00e9"}]}]}, "gemini-2.5-flash", None, False),
]


def sending(body: bytes, sent: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a body that is sent in this way, and how `exchange` sends them."""
    if sent == "gzip":
        body = gzip.compress(body)
        return body, {"body": body, "headers": ["Content-Encoding: gzip"]}
    if sent == "chunked":
        return body, {"chunks": [body[at : at + 7] for at in range(0, len(body), 7)]}
    return body, {"body": body}


@cases("sent", ["buffered", "large", "chunked", "gzip"])
async def test_a_row_has_what_the_body_names(gateway: Running, google: StandIn, sent: str) -> None:
    before = {"contents": [IMAGE], "padding": "x"} if sent == "large" else {}
    for path, named, *_ in NAMED:
        body, given = sending(json.dumps({**before, **named}).encode(), sent)
        answer = await exchange(gateway.url, f"POST /gemini{path}?key=k", **given)
        assert (answer.status, google.asked[-1].body) == (200, body)
    await gateway.row(len(NAMED))
    rows = [(row["path"], row["model"], row["resource"], row["stream"]) for row in await gateway.rows()]
    assert rows == [(path, *known) for path, _, *known in NAMED]


async def test_it_is_known_before_the_first_byte_goes_upstream(gateway: Running, google: StandIn) -> None:
    seen: list[object] = []

    async def script(reply: Reply) -> None:
        for call in gateway.gateway.proxy.open_calls:
            named = call.request_parser.summary
            seen.extend([call.snapshot().model, named.models, named.cached_contents, named.understood])
        await reply.json(b"{}")

    google.script = script
    await exchange(
        gateway.url,
        "POST /gemini/v1beta/interactions?key=k",
        body=b'{"model": "a", "model": "b", "stream": 1}',
    )
    assert seen == ["a", ("a", "b"), (), True]


async def test_what_a_call_made_counts_before_a_cached_content(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.json(b'{"name": "batches/b", "metadata": {"model": "models/m"}}')
    line = "POST /gemini/v1beta/models/m:batchGenerateContent?key=k"
    await exchange(gateway.url, line, body=json.dumps(batch("m")).encode())
    assert (await gateway.row())["resource"] == "batches/b"


async def test_a_body_that_is_not_understood_passes(gateway: Running, google: StandIn) -> None:
    for body in [b'{"model": "m"', b"\xff\xfe{\x00", b'{"requests":' * 500, b"[" * 5000, b"'"]:
        answer = await exchange(gateway.url, "POST /gemini/v1beta/interactions?key=k", body=body)
        assert (answer.status, google.asked[-1].body) == (200, body)
    assert (await gateway.row(5))["outcome"] == "ok"


async def test_a_large_body_that_ends_early_has_named_its_model(gateway: Running, google: StandIn) -> None:
    async def refuse(reply: Reply) -> None:
        await reply.json(b'{"error": {"code": 400}}', 400)

    google.script = refuse
    body = json.dumps({"model": "m", "input": "x" * 2 * MAX_BUFFERED_BODY}).encode()
    await exchange(gateway.url, "POST /gemini/v1beta/interactions?key=k", body=body)
    row = await gateway.row()
    assert (row["model"], row["status"]) == ("m", 400)
