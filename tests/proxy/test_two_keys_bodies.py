"""Wherever the body of a request can name a resource, another key's is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.cases import cases
from rig.gateway import Running
from rig.owning import owns
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

# Of what nobody has made through it keys see nothing.
pytestmark = pytest.mark.settings(unowned="deny")

FLASH = "models/gemini-2.5-flash"
GOOGLE = "https://generativelanguage.googleapis.com"
TEXT = {"parts": [{"text": "a"}]}
FOREIGN = (
    "files/f", "cachedContents/c", "fileSearchStores/s", "interactions/i", "corpora/c", "tunedModels/t",
    "environments/env_1", "agents/a", "batches/b", "credentials/x", "voices/voice_1",
)  # fmt: skip
OWN = tuple(f"{name.partition('/')[0]}/own" for name in FOREIGN)


def part(**members: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [members]}]}


def file(uri: str) -> dict[str, Any]:
    return part(fileData={"fileUri": uri, "mimeType": "a/b"})


URIS = [
    f"{GOOGLE}/v1beta/files/f",
    f"{GOOGLE}/v1/files/f",
    f"{GOOGLE}/v1beta/files/f:download?alt=media",
    f"{GOOGLE}/download/v1beta/files/f:download?alt=media",
    f"{GOOGLE}//v1beta/./files/f",
    f"{GOOGLE}/v1beta/%66iles/f",
    f"{GOOGLE}:443/v1beta/files/f#x",
    "https://GenerativeLanguage.GoogleAPIs.com/v1beta/files/f",
    "http://generativelanguage.googleapis.com/v1beta/files/f",
    " https://generativelanguage.googleapis.com/v1beta/files/f",
    "files/f",
]
SEARCH = {
    "contents": [TEXT],
    "tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/own", "fileSearchStores/s"]}}],
}
SNAKE_SEARCH = {
    "contents": [TEXT],
    "tools": [{"google_search": {}}, {"file_search": {"file_search_store_names": ["fileSearchStores/s"]}}],
}
CACHED = {"contents": [TEXT], "cachedContent": "cachedContents/c"}
BATCH = f"{FLASH}:batchGenerateContent"
INLINE = {"requests": [{"request": {"contents": [TEXT]}}, {"request": file(URIS[0])}]}
ASKED = {"model": "gemini-2.5-flash", "input": "a"}

BODIES: dict[str, tuple[str, Any]] = {
    **{f"uri {uri}": (f"{FLASH}:generateContent", file(uri)) for uri in URIS},
    "snake case": (f"{FLASH}:generateContent", part(file_data={"file_uri": URIS[0]})),
    "streamed": (f"{FLASH}:streamGenerateContent", file(URIS[0])),
    "second part": (f"{FLASH}:generateContent", {"contents": [TEXT, *file(URIS[0])["contents"]]}),
    "system": (
        f"{FLASH}:generateContent",
        {"contents": [TEXT], "systemInstruction": {"parts": file(URIS[0])["contents"][0]["parts"]}},
    ),
    "of a function": (
        f"{FLASH}:generateContent",
        part(functionResponse={"name": "f", "parts": file(URIS[0])["contents"][0]["parts"]}),
    ),
    "cache": (f"{FLASH}:generateContent", CACHED),
    "snake cache": (f"{FLASH}:generateContent", {"contents": [TEXT], "cached_content": "cachedContents/c"}),
    "stores": (f"{FLASH}:generateContent", SEARCH),
    "snake stores": (f"{FLASH}:generateContent", SNAKE_SEARCH),
    "count": (f"{FLASH}:countTokens", {"generateContentRequest": CACHED}),
    "count file": (f"{FLASH}:countTokens", file(URIS[0])),
    "embed": (f"{FLASH}:embedContent", {"content": file(URIS[0])["contents"][0]}),
    "embeds": (f"{FLASH}:batchEmbedContents", {"requests": [{"content": file(URIS[0])["contents"][0]}]}),
    "answer": (f"{FLASH}:generateAnswer", {"contents": [TEXT], "semanticRetriever": {"source": "corpora/c"}}),
    "answer document": (
        f"{FLASH}:generateAnswer",
        {"contents": [TEXT], "semanticRetriever": {"source": "corpora/c/documents/d"}},
    ),
    "batch file": (BATCH, {"batch": {"inputConfig": {"fileName": "files/f"}}}),
    "snake batch": (BATCH, {"batch": {"input_config": {"file_name": "files/f"}}}),
    "batch inline": (BATCH, {"batch": {"inputConfig": {"requests": INLINE}}}),
    "batch cache": (BATCH, {"batch": {"inputConfig": {"requests": {"requests": [{"request": CACHED}]}}}}),
    "batch embed": (f"{FLASH}:asyncBatchEmbedContent", {"batch": {"inputConfig": {"fileName": "files/f"}}}),
    "new cache": ("cachedContents", {"model": FLASH, **file(URIS[0])}),
    "import": ("fileSearchStores/own:importFile", {"fileName": "files/f"}),
    "follow-up": ("interactions", {**ASKED, "previous_interaction_id": "i"}),
    "camel follow-up": ("interactions", {**ASKED, "previousInteractionId": "i"}),
    "interaction file": ("interactions", {**ASKED, "input": [{"type": "document", "uri": URIS[0]}]}),
    "interaction nested": (
        "interactions",
        {**ASKED, "input": [{"type": "user_input", "content": [{"type": "image", "uri": URIS[0]}]}]},
    ),
    "interaction stores": (
        "interactions",
        {**ASKED, "tools": [{"type": "file_search", "file_search_store_names": ["fileSearchStores/s"]}]},
    ),
    "interaction environment": ("interactions", {**ASKED, "environment": "env_1"}),
    "interaction agent": ("interactions", {"agent": "a", "input": "a"}),
    "base agent": ("agents", {"base_agent": "a"}),
    "base environment": ("agents", {"base_environment": {"environment_id": "env_1"}}),
    "fork": ("environments", {"from_environment": "environments/env_1"}),
    "credential": (
        "interactions",
        {**ASKED, "environment": {"type": "remote", "env": {"TOKEN": {"credential": "x"}}}},
    ),
    "credential of a network": (
        "environments",
        {"network": {"allowlist": [{"domain": "*", "credential": "x"}]}},
    ),
    "voice": (
        f"{FLASH}:generateContent",
        {"contents": [TEXT], "generationConfig": {"speechConfig": {"voiceConfig": {"voice": "voice_1"}}}},
    ),
    "trigger": ("triggers", {"interaction": {**ASKED, "previous_interaction_id": "i"}}),
    "openai batch": ("openai/batches", {"input_file_id": "files/f", "endpoint": "/v1/chat/completions"}),
    "openai batch id": ("openai/batches", {"input_file_id": "f", "endpoint": "/v1/chat/completions"}),
    "openai file": (
        "openai/chat/completions",
        {
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "files/f"}}]}],
        },
    ),
    "openai image": (
        "openai/chat/completions",
        {
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URIS[0]}}]}],
        },
    ),
    "openai cache": (
        "openai/chat/completions",
        {
            "model": "gemini-2.5-flash",
            "messages": [],
            "extra_body": {"google": {"cached_content": "cachedContents/c"}},
        },
    ),
    "video": (
        "models/veo-3.0-generate-001:predictLongRunning",
        {"instances": [{"prompt": "a", "video": {"uri": f"{GOOGLE}/v1beta/files/f:download?alt=media"}}]},
    ),
    "tuned again": ("tunedModels", {"tunedModelSource": {"tunedModel": "tunedModels/t"}, "tuningTask": {}}),
    "tuned in a batch": (
        f"{FLASH}:batchEmbedContents",
        {"requests": [{"model": "tunedModels/t", "content": TEXT}]},
    ),
}


class Keys:
    """`mine` has made what the bodies name."""

    def __init__(self, gateway: Running, mine: str, other: str) -> None:
        self.gateway, self.mine, self.other = gateway, mine, other

    async def ask(self, secret: str, path: str, body: Any) -> Answer:
        fields = [f"x-goog-api-key: {secret}", "content-type: application/json"]
        text = json.dumps(body).encode()
        return await exchange(self.gateway.url, f"POST /gemini/v1beta/{path}", headers=fields, body=text)

    def made(self, secret: str, *names: str) -> None:
        owns(self.gateway, secret, *names)


@pytest.fixture
async def keys(guarded: Running, google: StandIn) -> Keys:
    async def script(reply: Reply) -> None:
        await reply.json(b"{}")

    google.script = script
    found = Keys(guarded, await guarded.key(), await guarded.key())
    found.made(found.mine, *FOREIGN)
    found.made(found.other, *OWN)
    return found


@cases("name", BODIES)
async def test_what_a_body_names_is_not_there_for_another_key(keys: Keys, google: StandIn, name: str) -> None:
    path, body = BODIES[name]
    answer = await keys.ask(keys.other, path, body)
    assert (answer.status, google.asked) == (404, [])
    assert answer.reason == "GATEKEEPER_NOT_FOUND"
    keys.made(keys.mine, *OWN)
    assert (await keys.ask(keys.mine, path, body)).status == 200
