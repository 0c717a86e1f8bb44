"""A recorded call's curl command, run by a shell: it makes a call like it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import trio
from rig.process import serving

from gatekeeper.client.call_types import Call
from gatekeeper.client.curl_text import curl_command

FLASH, VERSION = "gemini-2.5-flash", "/v1beta"
CALLS = {
    "generateContent": f"{VERSION}/models/{FLASH}:generateContent",
    "streamGenerateContent": f"{VERSION}/models/{FLASH}:streamGenerateContent",
    "countTokens": f"{VERSION}/models/{FLASH}:countTokens",
    "embedContent": f"{VERSION}/models/gemini-embedding-001:embedContent",
    "batchEmbedContents": f"{VERSION}/models/gemini-embedding-001:batchEmbedContents",
    "predict": f"{VERSION}/models/imagen-4.0-generate-001:predict",
    "predictLongRunning": f"{VERSION}/models/veo-3.0-generate-001:predictLongRunning",
    "interactions.create": f"{VERSION}/interactions",
    "openai.chat.completions": f"{VERSION}/openai/chat/completions",
    "openai.embeddings": f"{VERSION}/openai/embeddings",
    "openai.images.generations": f"{VERSION}/openai/images/generations",
    "models.list": f"{VERSION}/models",
}
MODELS = {
    "openai.embeddings": "gemini-embedding-001",
    "batchEmbedContents": "gemini-embedding-001",
    "openai.images.generations": "imagen-4.0-generate-001",
}


async def test_each_actions_placeholder_is_valid(tmp_path: Path) -> None:
    async with serving(tmp_path, "--sandbox") as served:
        async with trio.open_nursery() as nursery:
            for action, path in CALLS.items():
                call = Call(
                    method="GET" if action.endswith("list") else "POST",
                    path=path,
                    action=action,
                    model=MODELS.get(action, FLASH),
                    tags=("again", "it's"),
                )
                nursery.start_soon(trio.to_thread.run_sync, run, curl_command(call, served.url))
        with trio.fail_after(10):
            while len(rows := (await served.get("/calls", limit=100))["calls"]) < len(CALLS):
                await trio.sleep(0.02)
    assert sorted((row["action"], row["status"]) for row in rows) == [(each, 200) for each in sorted(CALLS)]
    assert all(row["tags"] == ["again", "it's"] for row in rows)


def run(command: str | None) -> None:
    assert command
    env = os.environ | {"GATEKEEPER_KEY": "anything"}
    told: Any = subprocess.run(["bash", "-c", command], capture_output=True, env=env, timeout=20, check=True)
    assert b'"error"' not in told.stdout, (command, told.stdout)
    assert told.stdout, command
    assert told.stdout.startswith(b"data: ") or msgspec.json.decode(told.stdout)
