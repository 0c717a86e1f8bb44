"""Batches, inline and by file, in Google's form and in OpenAI's; videos and their operations."""

from __future__ import annotations

import json

import httpx2
import pytest

from gatekeeper.sandbox.batches import MAX_REQUESTS

FLASH, EMBEDDING = "/v1beta/models/gemini-2.5-flash", "/v1beta/models/gemini-embedding-001"
VEO = "/v1beta/models/veo-3.1-lite-generate-preview:predictLongRunning"
OPENAI = "/v1beta/openai"
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Say a"}]}


def prompt(text: str) -> dict:
    return {"contents": [{"parts": [{"text": text}]}]}


def inline(*requests: dict) -> dict:
    items = [{"request": request, "metadata": {"n": str(at)}} for at, request in enumerate(requests)]
    return {"batch": {"displayName": "mine", "inputConfig": {"requests": {"requests": items}}}}


async def upload(google: httpx2.AsyncClient, lines: list[dict]) -> str:
    data = "\n".join(map(json.dumps, lines)).encode()
    answer = await google.post("/upload/v1beta/files", content=data, headers={"content-type": "text/plain"})
    return answer.json()["file"]["name"]


async def download(google: httpx2.AsyncClient, name: str) -> list[dict]:
    answer = await google.get(f"/v1beta/{name}:download?alt=media", follow_redirects=True)
    return [json.loads(line) for line in answer.content.splitlines()]


async def ended(google: httpx2.AsyncClient, name: str) -> tuple[dict, list[str]]:
    seen = [(await google.get(f"/v1beta/{name}")).json() for _ in range(2)]
    return seen[-1], [item["metadata"]["state"].removeprefix("BATCH_STATE_") for item in seen]


async def test_a_batch_ends_with_its_results(google):
    ask = inline(prompt("Say one"), prompt("!503"))
    made = (await google.post(f"{FLASH}:batchGenerateContent", json=ask)).json()
    assert made["metadata"]["state"] == "BATCH_STATE_PENDING"
    assert made["metadata"]["batchStats"] == {"requestCount": "2", "pendingRequestCount": "2"}
    assert "done" not in made
    batch, states = await ended(google, made["name"])
    assert (states, batch["done"]) == (["RUNNING", "SUCCEEDED"], True)
    one, other = batch["response"]["inlinedResponses"]["inlinedResponses"]
    assert one["response"]["candidates"][0]["content"]["parts"][0]["text"] == "one"
    assert one["response"]["usageMetadata"]["totalTokenCount"] > 2
    assert (one["metadata"], other["error"]["code"]) == ({"n": "0"}, 503)
    metadata = batch["metadata"]
    assert metadata["output"]["inlinedResponses"] == batch["response"]["inlinedResponses"]
    counts = {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"}
    assert metadata["batchStats"] == counts
    assert (await google.get("/v1beta/batches")).json()["operations"] == [batch]
    assert (await google.delete(f"/v1beta/{made['name']}")).json() == {}
    assert (await google.get(f"/v1beta/{made['name']}")).status_code == 404


async def test_a_batch_of_a_file_writes_a_file(google):
    lines = [{"key": f"k{at}", "request": prompt(text)} for at, text in enumerate(["Say a", "!500"])]
    ask = {"batch": {"inputConfig": {"fileName": await upload(google, lines)}}}
    made = (await google.post(f"{FLASH}:batchGenerateContent", json=ask)).json()
    batch, _ = await ended(google, made["name"])
    one, other = await download(google, batch["response"]["responsesFile"])
    assert one["response"]["candidates"][0]["content"]["parts"][0]["text"] == "a"
    assert (one["key"], other["key"], other["error"]["code"]) == ("k0", "k1", 500)


async def test_a_batch_of_embeddings(google):
    request = {"content": {"parts": [{"text": "four"}]}, "outputDimensionality": 4}
    made = (await google.post(f"{EMBEDDING}:asyncBatchEmbedContent", json=inline(request))).json()
    batch, _ = await ended(google, made["name"])
    (answer,) = batch["response"]["inlinedResponses"]["inlinedResponses"]
    assert (len(answer["response"]["embedding"]["values"]), answer["response"]["tokenCount"]) == (4, "1")


async def test_a_batch_is_cancelled_or_renamed(google):
    made = (await google.post(f"{FLASH}:batchGenerateContent", json=inline(prompt("x")))).json()
    path = f"/v1beta/{made['name']}"
    renamed = (await google.patch(f"{path}:updateGenerateContentBatch", json={"displayName": "other"})).json()
    assert renamed["metadata"]["displayName"] == "other"
    assert (await google.post(f"{path}:cancel")).json() == {}
    batch, states = await ended(google, made["name"])
    assert (states[-1], batch["error"]["code"]) == ("CANCELLED", 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{FLASH}:batchGenerateContent", {}),
        (f"{FLASH}:batchGenerateContent", inline(*[prompt("x")] * (MAX_REQUESTS + 1))),
        (VEO, {}),
        (VEO, {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": 900}}),
        (VEO, {"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 9}}),
        (f"{OPENAI}/batches", {"endpoint": "/v1/other"}),
    ],
)
async def test_what_cannot_be_started(google, path, body):
    assert (await google.post(path, json=body)).status_code == 400


async def test_a_file_that_is_no_json_lines(google):
    answer = await google.post("/upload/v1beta/files", content=b"{", headers={"content-type": "text/plain"})
    name = answer.json()["file"]["name"]
    ask = {"batch": {"inputConfig": {"fileName": name}}}
    assert (await google.post(f"{FLASH}:batchGenerateContent", json=ask)).status_code == 400
    ask = {"input_file_id": name, "endpoint": "/v1/embeddings"}
    assert (await google.post(f"{OPENAI}/batches", json=ask)).status_code == 400


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/embeddings", {"model": "gemini-embedding-001", "input": "x"}),
    ],
)
async def test_a_batch_in_openai_s_form(google, endpoint, body):
    line = {"custom_id": "mine", "method": "POST", "url": endpoint, "body": body}
    file = await upload(google, [line, line | {"body": {}}])
    ask = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"}
    made = (await google.post(f"{OPENAI}/batches", json=ask)).json()
    seen = [made, *[(await google.get(f"{OPENAI}/batches/{made['id']}")).json() for _ in range(2)]]
    assert [item["status"] for item in seen] == ["validating", "in_progress", "completed"]
    assert seen[-1]["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    one, other = await download(google, seen[-1]["output_file_id"])
    assert (one["custom_id"], one["response"]["status_code"]) == ("mine", 200)
    assert one["response"]["body"]["object"] in ("chat.completion", "list")
    assert other["error"]["code"] in (400, 404)


async def test_a_video_is_made_and_downloaded(google):
    ask = {"instances": [{"prompt": "a wave"}], "parameters": {"durationSeconds": 4, "sampleCount": 2}}
    made = (await google.post(VEO, json=ask)).json()
    path = f"/v1beta/{made['name']}"
    assert (await google.get(path)).json() == made
    assert (await google.get(path.rpartition("/")[0])).json()["operations"][0]["done"] is True
    done = (await google.get(path)).json()
    samples = done["response"]["generateVideoResponse"]["generatedSamples"]
    uri = samples[1]["video"]["uri"].partition("googleapis.com")[2]
    video = await google.get(uri, follow_redirects=True)
    assert (video.headers["content-type"], len(video.content)) == ("video/mp4", 1_000_000)
    generated = (await google.get("/v1beta/generatedFiles")).json()["generatedFiles"]
    assert [item["mimeType"] for item in generated] == ["video/mp4"] * 2
    assert (await google.get(f"/v1beta/{generated[0]['name']}")).json() == generated[0]


async def test_an_operation_is_cancelled(google):
    made = (await google.post(VEO, json={"instances": [{"prompt": "a wave"}]})).json()
    assert (await google.post(f"/v1beta/{made['name']}:cancel")).json() == {}
    assert (await google.get(f"/v1beta/{made['name']}")).json()["error"]["code"] == 1
    assert (await google.get("/v1beta/operations/none")).status_code == 404


@pytest.mark.parametrize("as_form", [True, False])
async def test_a_video_in_openai_s_form(google, as_form):
    body = {"model": "veo-3.1-generate-preview", "prompt": "a wave", "seconds": "4"}
    sent = {"files": {name: (None, value) for name, value in body.items()}} if as_form else {"json": body}
    made = (await google.post(f"{OPENAI}/videos", **sent)).json()
    seen = [(await google.get(f"{OPENAI}/videos/{made['id']}")).json() for _ in range(2)]
    assert [item["status"] for item in [made, *seen]] == ["processing", "processing", "completed"]
    assert seen[-1]["url"].endswith(":download?alt=media")
