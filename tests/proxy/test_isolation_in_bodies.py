"""A key's body refers to its own resources only, however it is sent: what is another's is a 404 as if it did
not exist, and no complete request reaches Google."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rig.cases import cases
from rig.gateway import Running, running
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

from gatekeeper.gemini.json_request import MAX_KEPT
from gatekeeper.proxy.relay import MAX_BUFFERED_BODY

MASTER = "master-of-the-tests"
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
URI = "https://generativelanguage.googleapis.com/v1beta/files/f"
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "QUJD" * (MAX_BUFFERED_BODY // 4)}}


def parts(*some: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": "look"}, *some]}]}


def batch(request: dict[str, Any]) -> dict[str, Any]:
    return {"batch": {"inputConfig": {"requests": {"requests": [{"request": request}]}}}}


FILE = parts({"fileData": {"fileUri": URI}})
# What is made, where it is referred to, and the body that does.
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a file": ("files/f", GENERATE, FILE),
    "a file, in snake case": (
        "files/f",
        GENERATE,
        {"contents": [{"parts": [{"file_data": {"file_uri": URI}}]}]},
    ),
    "a file by this gateway's address": (
        "files/f",
        GENERATE,
        parts({"fileData": {"fileUri": "http://127.0.0.1:4000/gemini/v1beta/files/f"}}),
    ),
    "a file of a stream": ("files/f", GENERATE.replace("generate", "streamGenerate"), FILE),
    "a file to count": ("files/f", "/v1/models/m:countTokens", {"generateContentRequest": FILE}),
    "a file to embed": ("files/f", "/v1beta/models/m:embedContent", {"content": FILE["contents"][0]}),
    "a file in a batch": ("files/f", "/v1beta/models/m:batchGenerateContent", batch(FILE)),
    "a file of a batch": (
        "files/f",
        "/v1beta/models/m:batchGenerateContent",
        {"batch": {"inputConfig": {"fileName": "files/f"}}},
    ),
    "a file of OpenAI's batch": ("files/f", "/v1beta/openai/batches", {"input_file_id": "files/f"}),
    "a file of a store": ("files/f", "/v1beta/fileSearchStores/own:importFile", {"fileName": "files/f"}),
    "a file of a cache": ("files/f", "/v1beta/cachedContents", {"model": "models/m", **FILE}),
    "a file of an interaction": (
        "files/f",
        "/v1beta/interactions",
        {"model": "m", "input": [{"type": "document", "uri": URI}]},
    ),
    "a video to extend": (
        "files/f",
        "/v1beta/models/veo-3.1:predictLongRunning",
        {"instances": [{"prompt": "more", "video": {"uri": f"{URI}:download?alt=media"}}]},
    ),
    "a cache": ("cachedContents/c", GENERATE, {**parts(), "cachedContent": "cachedContents/c"}),
    "a cache, in OpenAI's form": (
        "cachedContents/c",
        "/v1beta/openai/chat/completions",
        {"model": "m", "messages": [], "extra_body": {"google": {"cached_content": "cachedContents/c"}}},
    ),
    "an interaction": (
        "interactions/i",
        "/v1beta/interactions",
        {"model": "m", "input": "hi", "previous_interaction_id": "i"},
    ),
    "a store": (
        "fileSearchStores/s",
        GENERATE,
        {**parts(), "tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s"]}}]},
    ),
    "a tuned model": (
        "tunedModels/t",
        "/v1beta/openai/chat/completions",
        {"model": "tunedModels/t", "messages": []},
    ),
    "an agent": ("agents/a", "/v1beta/interactions", {"agent": "a", "input": "hi"}),
    "an environment": ("environments/env_1", "/v1beta/interactions", {"agent": "b", "environment": "env_1"}),
    "a corpus": (
        "corpora/c",
        "/v1beta/models/aqa:generateAnswer",
        {**parts(), "semanticRetriever": {"source": "corpora/c/documents/d"}},
    ),
}
WAYS = ["buffered", "chunked", "gzip", "large", "one byte a chunk"]


def sent(body: dict[str, Any], way: str) -> dict[str, Any]:
    """How `exchange` sends a body."""
    if way == "large":
        body = {"systemInstruction": {"parts": [PICTURE]}, **body}
    data = json.dumps(body).encode()
    if way == "gzip":
        return {"body": gzip.compress(data), "headers": ["Content-Encoding: gzip"]}
    if way == "chunked":
        return {"chunks": [data[:40], data[40:]]}
    if way == "one byte a chunk":
        return {"chunks": [bytes([byte]) for byte in data]}
    return {"body": data}


async def answer(reply: Reply) -> None:
    """A POST to `/v1beta/novelties` makes what its body says; anything else is answered."""
    is_made = reply.asked.target.endswith(b"/novelties")
    await reply.json(reply.asked.body if is_made else b'{"candidates": []}')


@pytest.fixture
async def gateway(google: StandIn, tmp_path: Path) -> AsyncIterator[Running]:
    google.script = answer
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="deny") as gateway:
        yield gateway


async def ask(gateway: Running, key: str, path: str, **how: Any) -> Answer:
    headers = ["Content-Type: application/json", f"x-goog-api-key: {key}", *how.pop("headers", [])]
    return await exchange(gateway.url, f"POST /gemini{path}", headers=headers, **how)


async def owner(gateway: Running, *names: str) -> str:
    """A key that has made these."""
    key = await gateway.key()
    for name in names:
        made = await ask(gateway, key, "/v1beta/novelties", body=json.dumps({"name": name}).encode())
        assert made.status == 200
    return key


@cases(("name", "path", "body"), BODIES.values(), ids=BODIES)
async def test_what_a_body_refers_to_is_its_keys(
    gateway: Running, google: StandIn, name: str, path: str, body: dict[str, Any]
) -> None:
    mine = await owner(gateway, name, "fileSearchStores/own")
    other = await owner(gateway, "fileSearchStores/others")
    google.asked.clear()
    for how in (sent(body, way) for way in WAYS):
        refused = await ask(gateway, other, path.replace("/own:", "/others:"), **how)
        assert (refused.status, refused.reason) == (404, "GATEKEEPER_NOT_FOUND")
        assert google.asked == []
        for key in (mine, MASTER):
            assert (await ask(gateway, key, path, **how)).status == 200
            assert google.asked.pop().body == how.get("body", b"".join(how.get("chunks", [])))


async def test_what_nobody_made_is_shown_by_the_setting(google: StandIn, tmp_path: Path) -> None:
    google.script = answer
    for unowned, status in (("deny", 404), ("allow", 200)):
        async with running(tmp_path / unowned, google.url, master_key=MASTER, unowned=unowned) as gateway:
            key = await gateway.key()
            for way in WAYS:
                assert (await ask(gateway, key, GENERATE, **sent(FILE, way))).status == status


async def test_googles_own_agents_and_what_is_no_name_are_for_all(gateway: Running) -> None:
    key = await gateway.key()
    for path, body in [
        ("/v1beta/interactions", {"agent": "deep-research", "environment": "remote", "input": "files/f?"}),
        (GENERATE, parts({"text": "files/f, cachedContents/c"})),
        (GENERATE, parts({"fileData": {"fileUri": "https://www.youtube.com/watch?v=files"}})),
        (GENERATE, parts({"fileData": {"fileUri": "gs://bucket/files/f"}})),
    ]:
        assert (await ask(gateway, key, path, body=json.dumps(body).encode())).status == 200


SPELLINGS = [
    *(parts({"fileData": {"fileUri": uri}}) for uri in (
        URI.replace("files/f", "files/%66"),
        URI.replace("files/f", "%66iles%2Ff"),
        URI.replace("/files", "//files"),
        URI.replace("v1beta", "./" * 999 + "v1beta"),
    )),
    *({**parts(), "cachedContent": name} for name in (
        "cachedContents/c;x", "cachedContents/../cachedContents/c",
    )),
]  # fmt: skip


async def test_another_spelling_of_a_name_is_no_way_around(google: StandIn, tmp_path: Path) -> None:
    google.script = answer
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="allow") as gateway:
        await owner(gateway, "files/f", "cachedContents/c")
        key = await gateway.key()
        for body in SPELLINGS:
            for way in ("buffered", "chunked", "large"):
                refused = await ask(gateway, key, GENERATE, **sent(body, way))
                assert (refused.status, refused.reason) == (404, "GATEKEEPER_NOT_FOUND")


# A session of a coding agent: hundreds of messages that speak of files, each beyond what is kept of a string.
TURNS = [
    f"{number}: The agent reads src/files/env.py, its environment. " + "x" * 1500 for number in range(400)
]
SESSION = {"contents": [{"role": "user", "parts": [{"text": turn}]} for turn in TURNS]}
MESSAGES = {"model": "m", "messages": [{"role": "user", "content": turn} for turn in TURNS]}


@cases(
    ("path", "body", "last", "status"),
    [
        (GENERATE, SESSION, {}, 200),
        ("/v1beta/openai/chat/completions", MESSAGES, {}, 200),
        (GENERATE, SESSION, {"parts": [{"fileData": {"fileUri": "files/f"}}]}, 404),
        (GENERATE, SESSION, {"parts": [{"file_data": {"file_uri": "files/f"}}]}, 404),
        ("/v1beta/openai/chat/completions", MESSAGES, {"content": [{"file": {"file_id": "files/f"}}]}, 404),
        (
            "/v1beta/openai/chat/completions",
            MESSAGES,
            {"content": [{"image_url": {"url": URI}}]},
            404,
        ),
    ],
)
async def test_a_long_session_is_looked_at_to_its_end(
    gateway: Running, google: StandIn, path: str, body: dict[str, Any], last: dict[str, Any], status: int
) -> None:
    key, stranger = await owner(gateway, "files/f"), await gateway.key(models=["m", "gemini-2.5-flash"])
    google.asked.clear()
    name = "contents" if "contents" in body else "messages"
    plain = json.dumps({**body, name: [*body[name], {"role": "user", **last}]}).encode()
    zipped = gzip.compress(plain)
    for asking, expected in ((stranger, status), (key, 200)):
        compressed = {"headers": ["Content-Encoding: gzip"]}
        for how, data in (
            ({"body": plain}, plain),
            ({"chunks": [plain[:-200], plain[-200:-40], plain[-40:]]}, plain),
            ({"body": zipped, **compressed}, zipped),
            ({"chunks": [zipped[:-200], zipped[-200:]], **compressed}, zipped),
        ):
            answered = await ask(gateway, asking, path, **how)
            assert answered.status == expected
            assert [asked.body for asked in google.asked] == ([data] if expected == 200 else [])
            google.asked.clear()


NAMES = b",".join(b'{"model": "%0250d"}' % number for number in range(MAX_KEPT // 250 + 1))
LATE = b'{"requests": [' + NAMES + b'], "contents": [{"role": "user", "parts": ['


@cases(
    ("rest", "status"),
    [
        (b'{"text": "y"}]}]}', 200),
        (b'{"fileData": {"fileUri": "files/f"}}]}]}', 400),
        (b'{"\\u0066ileData": {"fileUri": "\\u0066iles/f"}}]}]}', 400),
        (b'{"text": "y"}]}], "cachedContent": "cachedContents/c"}', 400),
    ],
)
async def test_what_is_too_long_to_be_looked_at_may_refer_to_nothing(
    gateway: Running, google: StandIn, rest: bytes, status: int
) -> None:
    key = await owner(gateway, "files/f", "cachedContents/c")
    google.asked.clear()
    for how in ({"body": LATE + rest}, {"chunks": [LATE[:-7], LATE[-7:] + rest[:9], rest[9:]]}):
        answered = await ask(gateway, key, GENERATE, **how)
        assert answered.status == status
        assert len(google.asked) == (status == 200)
        google.asked.clear()
    assert (await ask(gateway, MASTER, GENERATE, body=LATE + rest)).status == 200


async def test_what_cannot_be_read_at_all_may_refer_to_nothing(gateway: Running, google: StandIn) -> None:
    key = await owner(gateway, "files/f")
    google.asked.clear()
    body = json.dumps(FILE).encode()
    coded = [(body, "br"), (body, "gzip"), (gzip.compress(body) + b"x", "gzip")]
    ways = [{"body": data, "headers": [f"Content-Encoding: {coding}"]} for data, coding in coded]
    twice = ["Content-Encoding: identity", "Content-Encoding: gzip"]
    ways += [{"body": gzip.compress(body), "headers": fields} for fields in (twice, twice[::-1])]
    ways += [{"body": gzip.compress(body), "headers": ["Content-Encoding: identity, gzip"]}]
    ways += [{"body": json.dumps(FILE).encode(wide)} for wide in ("utf-16", "utf-16-be", "utf-32")]
    for how in ways:
        refused = await ask(gateway, key, GENERATE, **how)
        assert (refused.status, refused.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert google.asked == []
