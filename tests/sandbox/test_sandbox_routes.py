"""Paths, keys, models and embeddings over a real connection."""

from __future__ import annotations

import math

import httpx2
import pytest

from gatekeeper.sandbox.api import Api
from gatekeeper.sandbox.http import BodyBuffer, Request
from gatekeeper.sandbox.models import TABLE
from gatekeeper.sandbox.server import serve_sandbox

PROMPT = {"contents": [{"parts": [{"text": "hi"}]}]}
GENERATE = "/v1beta/models/gemini-3.8-flash:generateContent"
EMBED = "/v1beta/models/gemini-embedding-001:embedContent"


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_every_version_is_served(google, version):
    assert (await google.post(GENERATE.replace("v1beta", version), json=PROMPT)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models"),
        ("GET", GENERATE),
        ("POST", "/v1beta/models"),
        ("POST", "/v1beta/models/google/gemini-3.8-flash:generateContent"),
        ("GET", "/favicon.ico"),
    ],
)
async def test_an_unknown_path_is_nothing(google, method, path):
    answer = await google.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 403),
        ({"authorization": "Basic x"}, "", 403),
        ({"x-goog-api-key": "k"}, "", 200),
        ({"authorization": "Bearer k"}, "", 200),
        ({}, "?key=k", 200),
        ({"x-goog-api-key": "invalid"}, "?key=good", 400),
        ({"x-goog-api-key": "good"}, "?key=invalid", 200),
    ],
)
async def test_any_key_is_good_but_there_must_be_one(sandbox_url, headers, query, status):
    async with httpx2.AsyncClient(base_url=sandbox_url, headers=headers, verify=False) as client:
        answer = await client.post(GENERATE + query, json=PROMPT)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    if status == 403:
        assert answer.json()["error"]["status"] == "PERMISSION_DENIED"


async def test_a_page_of_another_origin_may_use_it(sandbox_url):
    asked = {"origin": "https://example.com", "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type,x-goog-api-key"
    async with httpx2.AsyncClient(base_url=sandbox_url, verify=False) as client:
        preflight = await client.options(GENERATE, headers=asked)
        answers = [
            await client.post(GENERATE, json=PROMPT, headers=asked | {"x-goog-api-key": key})
            for key in ("k", "invalid")
        ]
        plain = await client.post(GENERATE, json=PROMPT, headers={"x-goog-api-key": "k"})
        assert (await client.options(GENERATE)).status_code == 404
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-headers"] == "content-type,x-goog-api-key"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for answer in (preflight, *answers):
        assert answer.headers["access-control-allow-origin"] == "https://example.com"
    assert [answer.status_code for answer in answers] == [200, 400]
    assert "access-control-allow-origin" not in plain.headers


async def test_models_are_listed_page_by_page_and_one_by_one(google):
    listed, token = [], ""
    while token is not None:
        page = (await google.get("/v1beta/models", params={"pageSize": 10, "pageToken": token})).json()
        listed += page["models"]
        token = page.get("nextPageToken")
    assert [model["name"] for model in listed] == [f"models/{model.id}" for model in TABLE]
    assert len(listed) > 20
    flash = (await google.get("/v1/models/gemini-2.0-flash")).json()
    assert flash in listed
    assert (flash["version"], flash["outputTokenLimit"]) == ("2.0", 8192)
    assert "generateContent" in flash["supportedGenerationMethods"]
    assert "thinking" not in flash
    assert (await google.get("/v1beta/models/gemini-none")).status_code == 404


async def test_a_model_that_google_does_not_price_answers_as_well(google):
    answer = await google.post("/v1beta/models/gemini-9-nova:generateContent", json=PROMPT)
    assert answer.json()["modelVersion"] == "gemini-9-nova"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("imagen-9:predict", {"instances": [{"prompt": "x"}]}),
        ("veo-9:predictLongRunning", {"instances": [{"prompt": "x"}]}),
        ("gemini-embedding-9:embedContent", {"content": {"parts": [{"text": "x"}]}}),
        ("gemini-9-image:generateContent", PROMPT),
    ],
)
async def test_a_newer_model_is_of_the_kind_that_its_name_says(google, path, body):
    assert (await google.post(f"/v1beta/models/{path}", json=body)).status_code == 200


async def vector(google: httpx2.AsyncClient, text: str, **rest: object) -> list[float]:
    answer = await google.post(EMBED, json={"content": {"parts": [{"text": text}]}, **rest})
    return answer.json()["embedding"]["values"]


async def test_texts_that_share_words_are_near_each_other(google):
    texts = ("the cat sat on the mat", "the cat lay on the mat", "quarterly tax declarations")
    cat, like, other = [await vector(google, text) for text in texts]
    assert len(cat) == 3072
    assert math.hypot(*cat) == pytest.approx(1)
    assert cat == await vector(google, texts[0])
    assert nearness(cat, like) > 0.5
    assert abs(nearness(cat, other)) < 0.2


def nearness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_embeddings_come_as_long_as_asked_for_and_in_batches(google):
    assert len(await vector(google, "x", output_dimensionality=8)) == 8
    wish = {"content": {"parts": [{"text": "four"}]}, "outputDimensionality": 4}
    path = "/v1beta/models/{}:batchEmbedContents"
    old = (await google.post(path.format("gemini-embedding-001"), json={"requests": [wish, wish]})).json()
    assert [len(item["values"]) for item in old["embeddings"]] == [4, 4]
    assert "usageMetadata" not in old
    new = (await google.post(path.format("gemini-embedding-2"), json={"requests": [wish, wish]})).json()
    assert new["usageMetadata"]["promptTokenCount"] == 2
    assert new["usageMetadata"]["promptTokenDetails"] == [{"modality": "TEXT", "tokenCount": 2}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EMBED, {}),
        (EMBED, {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 9999}),
        (EMBED.replace("embedContent", "batchEmbedContents"), {}),
    ],
)
async def test_an_embedding_that_cannot_be_made(google, path, body):
    assert (await google.post(path, json=body)).status_code == 400


def test_a_body_that_is_too_large_is_refused(offline):
    request = Request("POST", GENERATE, headers={"x-goog-api-key": "any"}, content=BodyBuffer(limit=9))
    request.content.feed(b"0123456789")
    answer = Api().respond(request)
    assert answer.status == 400
    assert "payload size exceeds the limit" in offline.document(answer)["error"]["message"]


async def test_a_connection_serves_many_calls_and_says_nothing_of_its_server(google):
    answers = [await google.get("/v1beta/models/gemini-2.5-pro") for _ in range(3)]
    for answer in answers:
        assert answer.headers["server"] == "scaffolding on HTTPServer2"
        assert "connection" not in answer.headers
    assert len({id(answer.extensions["network_stream"]) for answer in answers}) == 1


async def test_a_port_that_is_taken_is_told_plainly(sandbox_url):
    with pytest.raises(OSError, match="in use"):
        await serve_sandbox("127.0.0.1", int(sandbox_url.rpartition(":")[2]))
