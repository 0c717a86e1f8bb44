"""Two keys make one of everything that the simulated API has: each sees, changes and deletes its own only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

FLASH = "models/gemini-2.5-flash"
TEXT = {"contents": [{"parts": [{"text": "word " * 2000}]}]}
EXAMPLES = {"examples": {"examples": [{"textInput": "a", "output": "b"}]}}
BATCH = {"batch": {"inputConfig": {"requests": {"requests": [{"request": TEXT}]}}}}
TUNED = {"baseModel": FLASH, "tuningTask": {"trainingData": EXAMPLES}}
VEO = "models/veo-3.0-generate-001"
# The list, then what makes one that is in it.
MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("cachedContents", "cachedContents", {"model": FLASH, **TEXT}),
    ("batches", f"{FLASH}:batchGenerateContent", BATCH),
    ("corpora", "corpora", {"displayName": "a"}),
    ("fileSearchStores", "fileSearchStores", {"displayName": "a"}),
    ("tunedModels", "tunedModels", TUNED),
    (f"{VEO}/operations", f"{VEO}:predictLongRunning", {"instances": [{"prompt": "a"}]}),
    ("webhooks", "webhooks", {"uri": "https://example.com"}),
    ("triggers", "triggers", {"interaction": {"model": "gemini-2.5-flash", "input": "a"}}),
    ("agents", "agents", {}),
    ("environments", "environments", {}),
    ("voices", "voices", {}),
    ("credentials", "credentials", {}),
]


@pytest.fixture
async def clients(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Of two keys of a gateway in front of the simulated API, and of its master key."""
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    master = "master-of-the-tests"
    async with running(tmp_path / "data", f"http://127.0.0.1:{port}", master_key=master) as gateway:
        keys = [await gateway.key(), await gateway.key(), master]
        async with (
            of_key(gateway, keys[0]) as first,
            of_key(gateway, keys[1]) as second,
            of_key(gateway, master) as third,
        ):
            yield [first, second, third]


def of_key(gateway: Running, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"{gateway.url}/gemini/v1beta/", headers={"x-goog-api-key": key}, timeout=10, verify=False
    )


def name_of(document: dict[str, Any]) -> str:
    return document.get("name") or document["id"]


async def listed(client: httpx2.AsyncClient, path: str) -> list[str]:
    answer = await client.get(path, params={"page_size": 1})
    answer.raise_for_status()
    names: list[str] = []
    while True:
        page = answer.json()
        names += [
            item.get("name", item.get("id"))
            for items in page.values()
            if isinstance(items, list)
            for item in items
        ]
        token = page.get("nextPageToken", page.get("next_page_token"))
        if token is None:
            return names
        answer = await client.get(path, params={"page_size": 1, "page_token": token})
        answer.raise_for_status()


@pytest.mark.parametrize(("collection", "created_by", "body"), MADE)
async def test_each_key_has_its_own(
    clients: list[httpx2.AsyncClient], collection: str, created_by: str, body: dict[str, Any]
) -> None:
    first, second, master = clients
    own: list[list[str]] = [[], []]
    for at in (0, 1, 1, 0):
        answer = await clients[at].post(created_by, json=body)
        answer.raise_for_status()
        # A tuned model's is that of an operation of it.
        name = name_of(answer.json())
        own[at].append(name.partition("/operations/")[0] if body is TUNED else name)
    assert [sorted(await listed(client, collection)) for client in (first, second)] == [*map(sorted, own)]
    assert len(await listed(master, collection)) == 4

    for name in own[0]:
        path = name if "/" in name else f"{collection}/{name}"
        for method in ("GET", "PATCH", "DELETE"):
            answer = await second.request(method, path, json={} if method == "PATCH" else None)
            assert (method, answer.status_code) == (method, 404)
            assert answer.json()["error"]["details"][0]["reason"] == "GATEKEEPER_NOT_FOUND"
        assert (await first.get(path)).status_code == 200
