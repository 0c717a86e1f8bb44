"""The resources beside files and models: each is made, read, listed, changed and deleted; and every route
that Google has is answered."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import httpx2
import pytest

from gatekeeper.sandbox.api import Api
from gatekeeper.sandbox.http import Request

V = "/v1beta"
TUNING = {"displayName": "mine", "baseModel": "models/gemini-2.5-flash", "tuningTask": {"trainingData": {}}}
PROMPT = {"contents": [{"parts": [{"text": "Say hello"}]}]}


@pytest.mark.parametrize(
    ("path", "body", "listed", "key", "change"),
    [
        ("corpora", {"displayName": "mine"}, "corpora", "name", "displayName"),
        ("fileSearchStores", {"displayName": "mine"}, "fileSearchStores", "name", "displayName"),
        ("webhooks", {"uri": "https://example.com", "subscribed_events": []}, "webhooks", "id", "uri"),
        ("triggers", {"interaction": {"agent": "x"}, "schedule": "0 * * * *"}, "triggers", "id", "schedule"),
        ("agents", {"id": "my-agent", "description": "x"}, "agents", "id", "description"),
        ("environments", {"mode": "x"}, "environments", "id", "mode"),
        ("voices", {"type": "prompted"}, "voices", "id", "type"),
        ("credentials", {"type": "http_bearer"}, "credentials", "id", "type"),
    ],
)
async def test_a_resource_s_life(google, path, body, listed, key, change):
    # An id that the client has chosen can be had once only.
    made = [(await google.post(f"{V}/{path}", json=body)).json() for _ in range(1 if "id" in body else 2)]
    first = made[0]
    identity = first[key].rpartition("/")[2]
    address = f"{V}/{path}/{identity}"
    assert body.items() <= (await google.get(address)).json().items()
    found = (await google.get(f"{V}/{path}", params={"pageSize": 1, "page_size": 1})).json()
    assert [item[key] for item in found[listed]] == [made[-1][key]]
    assert bool(found.get("nextPageToken") or found.get("next_page_token")) == (len(made) == 2)
    changed = (await google.patch(address, json={change: "other", key: "ignored"})).json()
    assert (changed[change], changed[key]) == ("other", first[key])
    assert (await google.delete(address)).json() == {}
    gone = await google.get(address)
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == (404 if key == "name" else "not_found")


async def test_an_id_is_chosen_once(google):
    ask = {"name": "corpora/mine"}
    assert (await google.post(f"{V}/corpora", json=ask)).json()["name"] == "corpora/mine"
    assert (await google.post(f"{V}/corpora", json=ask)).status_code == 409
    assert (await google.post(f"{V}/corpora", json={"name": "corpora/Not So"})).status_code == 400
    tuned = await google.post(f"{V}/tunedModels?tunedModelId=mine", json=TUNING)
    assert tuned.json()["metadata"]["tunedModel"] == "tunedModels/mine"


async def make(google: httpx2.AsyncClient, path: str, body: dict) -> str:
    answer = await google.post(f"{V}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["name"]


async def test_a_corpus_is_searched(google):
    corpus = await make(google, "corpora", {})
    document = await make(google, f"{corpus}/documents", {})
    texts = ["bees make honey", "cats sleep"]
    chunks = [{"chunk": {"data": {"stringValue": text}}} for text in texts]
    made = (await google.post(f"{V}/{document}/chunks:batchCreate", json={"requests": chunks})).json()[
        "chunks"
    ]
    for asked in (corpus, document):
        answer = (await google.post(f"{V}/{asked}:query", json={"query": "honey bees"})).json()
        assert [item["chunkRelevanceScore"] for item in answer["relevantChunks"]] == [1.0]
        assert answer["relevantChunks"][0]["chunk"] == made[0]
    assert (await google.post(f"{V}/{corpus}:query", json={})).status_code == 400
    change = {"requests": [{"chunk": {"name": made[1]["name"], "data": {"stringValue": "honey"}}}]}
    assert (await google.post(f"{V}/{document}/chunks:batchUpdate", json=change)).status_code == 200
    assert (
        len((await google.post(f"{V}/{corpus}:query", json={"query": "honey"})).json()["relevantChunks"]) == 2
    )
    gone = {"requests": [{"name": made[0]["name"]}]}
    assert (await google.post(f"{V}/{document}/chunks:batchDelete", json=gone)).json() == {}
    assert len((await google.get(f"{V}/{document}/chunks")).json()["chunks"]) == 1
    assert (await google.delete(f"{V}/{corpus}")).status_code == 400, "it is not empty"
    assert (await google.delete(f"{V}/{corpus}?force=true")).json() == {}
    assert (await google.get(f"{V}/{corpus}/documents")).status_code == 404


async def test_documents_come_into_a_store_by_upload_and_by_import(google):
    store = await make(google, "fileSearchStores", {"displayName": "My Store"})
    assert re.fullmatch(r"fileSearchStores/mystore-[a-z0-9]{12}", store)
    path = f"/upload{V}/{store}:uploadToFileSearchStore"
    headers = {"x-goog-upload-command": "start", "x-goog-upload-protocol": "resumable"}
    opened = await google.post(path, json={"mimeType": "text/plain", "displayName": "a"}, headers=headers)
    url = opened.headers["x-goog-upload-url"]
    headers = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    uploaded = (await google.post(url, content=b"abc", headers=headers)).json()
    assert (uploaded["response"]["sizeBytes"], uploaded["response"]["parent"]) == ("3", store)
    data = await google.post(f"/upload{V}/files", content=b"x", headers={"content-type": "text/plain"})
    file = data.json()["file"]["name"]
    imported = (await google.post(f"{V}/{store}:importFile", json={"fileName": file})).json()
    for operation in (uploaded, imported):
        seen = [(await google.get(f"{V}/{operation['name']}")).json() for _ in range(2)]
        assert ["done" in item for item in seen] == [False, True]
    documents = (await google.get(f"{V}/{store}/documents")).json()["documents"]
    assert [item["sizeBytes"] for item in documents] == ["1", "3"]
    assert documents[1]["name"] == uploaded["response"]["documentName"]
    assert (await google.delete(f"{V}/{store}")).status_code == 400
    assert (await google.delete(f"{V}/{store}?force=True")).json() == {}
    assert (await google.post(path, json={}, headers={"x-goog-upload-command": "start"})).status_code == 404


async def test_a_tuned_model_is_made_and_answers(google):
    operation = (await google.post(f"{V}/tunedModels", json=TUNING)).json()
    model = operation["metadata"]["tunedModel"]
    states = [(await google.get(f"{V}/{model}")).json()["state"]]
    for _ in range(2):
        done = (await google.get(f"{V}/{operation['name']}")).json()
        states.append((await google.get(f"{V}/{model}")).json()["state"])
    assert (done["done"], states) == (True, ["CREATING", "ACTIVE", "ACTIVE"])
    answer = (await google.post(f"{V}/{model}:generateContent", json=PROMPT)).json()
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == "hello"
    permission = await make(google, f"{model}/permissions", {"granteeType": "EVERYONE", "role": "READER"})
    assert permission.startswith(f"{model}/permissions/")
    owner = {"emailAddress": "a@example.com"}
    assert (await google.post(f"{V}/{model}:transferOwnership", json=owner)).json() == {}
    assert (await google.post(f"{V}/{model}:transferOwnership", json={})).status_code == 400
    assert (await google.post(f"{V}/tunedModels", json={})).status_code == 400
    assert (await google.post(f"{V}/dynamic/x:generateContent", json=PROMPT)).status_code == 200


async def test_a_webhook_s_secret_is_shown_once(google):
    ask = {"uri": "https://example.com", "subscribed_events": ["batch.succeeded"]}
    made = (await google.post(f"{V}/webhooks", json=ask)).json()
    address = f"{V}/webhooks/{made['id']}"
    assert made["new_signing_secret"].startswith("whsec_")
    assert "new_signing_secret" not in (await google.get(address)).json()
    assert (await google.post(f"{address}:ping")).json() == {}
    secret = (await google.post(f"{address}:rotateSigningSecret", json={})).json()["secret"]
    (known,) = (await google.get(address)).json()["signing_secrets"]
    assert secret.startswith(known["truncated_secret"].rstrip("."))
    assert (await google.post(f"{V}/webhooks", json={})).status_code == 400


async def test_a_trigger_runs_when_it_is_told_to(google):
    interaction = {"agent": "deep-research-pro-preview-12-2025", "input": "bees"}
    ask = {"interaction": interaction, "schedule": "0 * * * *", "time_zone": "UTC"}
    trigger = (await google.post(f"{V}/triggers", json=ask)).json()
    address = f"{V}/triggers/{trigger['id']}/executions"
    run = (await google.post(address)).json()
    assert run["trigger_id"] == trigger["id"]
    assert (await google.get(address)).json()["trigger_executions"] == [run]
    assert (await google.get(f"{V}/interactions/{run['interaction_id']}")).json()["agent"] == interaction[
        "agent"
    ]
    assert (await google.post(f"{V}/triggers", json={})).status_code == 400


@pytest.mark.parametrize(
    "path", ["v1beta2/models/text-bison-001:generateText", "v1beta/models/aqa:generateAnswer"]
)
async def test_what_google_has_switched_off(google, path):
    answer = await google.post(f"/{path}", json={})
    assert answer.status_code == 404
    assert "is not found for API version" in answer.json()["error"]["message"]


def rows() -> list[tuple[str, str]]:
    """The routes that Google has had, where the file of them is at hand."""
    table = Path(os.environ.get("GATEKEEPER_RECORDINGS", "nowhere")).parent / "routes.tsv"
    if not table.exists():
        return [("GET", "/v1beta/models"), ("GET", "/v1beta/corpora/x/permissions/y")]
    lines = [line.split("\t")[1:3] for line in table.read_text().splitlines()[1:]]
    return [(method, PLACE.sub(filled, path)) for method, path in lines if method != "WEBSOCKET"]


# `{model}`, `{+name}` or `{name=ragStores/*}`
PLACE = re.compile(r"\{\+?\w+(?:=([^}]*))?\}")


def filled(place: re.Match[str]) -> str:
    return (place[1] or "*").replace("*", "x")


def test_every_route_is_answered_as_an_api():
    """With nothing behind it, a path is answered by what it lists, or by Google's error; never by the 404 of
    an unknown path."""
    api = Api()
    for method, path in rows():
        request = Request(method, path, headers={"x-goog-api-key": "any"})
        request.content.feed(b"{}")
        answer = api.respond(request)
        body = b"".join(data for _, data in answer.pieces)
        assert answer.status < 500, (method, path)
        # An upload that is opened has headers only.
        if answer.status != 200 or "/upload/" not in path:
            assert isinstance(json.loads(body), dict | list), (method, path)
