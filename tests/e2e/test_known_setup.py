"""The set-up that people bring along: LiteLLM's environment and curl lines, unchanged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import trio
from rig.process import Served, serving
from rig.standin import StandIn

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")

ENVIRONMENT = {"LITELLM_MASTER_KEY": "sk-1234", "GEMINI_API_KEY": "x"}
JSON = ("-H", "Content-Type: application/json")
TAGS = ("-H", "tags: gemini-js-sdk,pass-through-endpoint")
PLAIN = """{
    "contents": [{
        "parts":[{
          "text": "The quick brown fox jumps over the lazy dog.",
          }]
        }],
}"""
CACHED = """{
      "contents": [
        {
          "parts":[{
            "text": "Please summarize this transcript"
          }],
          "role": "user"
        },
      ],
      "cachedContent": "cachedContents/0000aaaa1111bbbb2222cccc3333dddd4444eeee",
    }"""
COUNT = b'{\n  "totalTokens": 11\n}\n'
ANSWER = json.dumps(
    {
        "candidates": [{"content": {"parts": [{"text": "It is one."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 4, "totalTokenCount": 15},
        "modelVersion": "gemini-1.5-flash",
    }
).encode()


async def curl(served: Served, path: str, *words: str) -> bytes:
    """What curl prints of `http://0.0.0.0:PORT/path`."""
    line = ["curl", "-sS", "--noproxy", "*", f"http://0.0.0.0:{served.port}{path}", *words]
    return (await trio.run_process(line, capture_stdout=True)).stdout


async def test_litellm_s_environment_and_curl_lines(folder: Path, google: StandIn) -> None:
    async with serving(folder, "--upstream", google.url, **ENVIRONMENT) as served:
        generated = await curl(
            served, "/key/generate", "-X", "POST", "-H", "Authorization: Bearer sk-1234", *JSON, "-d", "{}"
        )
        key = json.loads(generated)["key"]
        assert key.startswith("sk-")
        calls = [
            ("countTokens", PLAIN, COUNT, ()),
            ("generateContent", PLAIN, ANSWER, ()),
            ("generateContent", CACHED, ANSWER, ()),
            ("countTokens", PLAIN, COUNT, TAGS),
            ("generateContent", PLAIN, ANSWER, TAGS),
            ("generateContent", CACHED, ANSWER, TAGS),
        ]
        for action, body, answer, tags in calls:
            google.script = lambda reply, answer=answer: reply.json(answer)
            path = f"/gemini/v1beta/models/gemini-1.5-flash:{action}"
            assert await curl(served, f"{path}?key={key}", *JSON, *tags, "-X", "POST", "-d", body) == answer
            asked = google.asked[-1]
            assert asked.body == body.encode(), "trailing commas and blanks are Google's to judge"
            assert asked.target == path.removeprefix("/gemini").encode()
            assert asked.header("x-goog-api-key") == ["x"]
            assert asked.header("tags") == []
        rows = (await served.get("/calls"))["calls"][::-1]
        known = ("action", "model", "total_tokens", "outcome", "tags")
        assert [tuple(row[name] for name in known) for row in rows] == [
            (action, "gemini-1.5-flash", 15 if action == "generateContent" else None, "ok", tags)
            for tags in ([], ["gemini-js-sdk", "pass-through-endpoint"])
            for action in ("countTokens", "generateContent", "generateContent")
        ]
        by_tag = (await served.get("/spend", by="tag"))["rows"]
        assert {row["tag"]: row["calls"] for row in by_tag} == {
            None: 3,
            "gemini-js-sdk": 3,
            "pass-through-endpoint": 3,
        }
