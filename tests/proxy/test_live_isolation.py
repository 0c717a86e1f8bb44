"""A Live session refers to its key's resources only, in its first message and in later ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.gateway import Running, running
from rig.live import LiveStandIn, ended, live_standing_in, session

from gatekeeper.ledger.call import CallRecord, CreatedResources


@pytest.fixture
async def google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def guarded(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(
        tmp_path / "guarded", google.url, master_key="master-of-the-tests", unowned="deny"
    ) as gateway:
        yield gateway


FILE = {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/f"}}
LIVE_REFERENCES = {
    "a cache": [{"setup": {"model": "models/m", "cachedContent": "cachedContents/c"}}],
    "a store": [
        {
            "setup": {
                "model": "models/m",
                "tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s"]}}],
            }
        }
    ],
    "a tuned model": [{"setup": {"model": "tunedModels/t"}}],
    "a file, later": [{"setup": {"model": "models/m"}}, {"clientContent": {"turns": [{"parts": [FILE]}]}}],
    "a file, in a tool's response": [
        {"setup": {"model": "models/m"}},
        {"toolResponse": {"functionResponses": [{"id": "1", "name": "look", "parts": [FILE]}]}},
    ],
    "a store, later": [
        {"setup": {"model": "models/m"}},
        {"contextUpdate": {"tools": {"tools": [{"fileSearch": {"fileSearchStoreNames": ["s"]}}]}}},
    ],
}


@pytest.mark.parametrize("messages", LIVE_REFERENCES.values(), ids=LIVE_REFERENCES)
async def test_a_session_refers_to_its_keys_resources_only(
    guarded: Running, google: LiveStandIn, messages: list[dict[str, object]]
) -> None:
    mine, other = await guarded.key(key_alias="mine"), await guarded.key(key_alias="other")
    state = guarded.gateway.registry.find("mine", 0)
    assert state is not None
    made = CallRecord(id="1", started_at=1, method="POST", path="/", key_id=state.record.token_id)
    made.made = CreatedResources(("cachedContents/c", "fileSearchStores/s", "tunedModels/t", "files/f"))
    guarded.gateway.proxy.context.owners.apply(made)
    for key in (mine, "master-of-the-tests", other):
        async with session(guarded, key=key) as client:
            for message in messages:
                await client.send(json.dumps(message))
                if key != other or message is not messages[-1]:
                    assert await client.recv() == json.dumps(message)
            if key == other:
                code, reason = await ended(client)
                assert code == 1008
                assert str(reason).startswith("GATEKEEPER_NOT_FOUND: ")
    assert google.received.count(json.dumps(messages[-1])) == 2
