"""Recorded sessions of the Live API, replayed through a real gateway: each message comes to the client as it
was, and the row has the sum of the turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rig.gateway import running
from rig.live import SETUP, live_standing_in, session
from rig.recordings import RECORDINGS, recorded_of
from websockets.trio.server import ServerConnection

from gatekeeper.gemini.usage import read_usage

COLUMNS = (
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "thoughts_tokens",
    "tool_tokens",
    "total_tokens",
)
FIRST = {"promptTokenCount": 24, "responseTokenCount": 5, "totalTokenCount": 29}
LAST = {"promptTokenCount": 44, "responseTokenCount": 61, "totalTokenCount": 105, "serviceTier": "STANDARD"}
WRITTEN = [
    {"setupComplete": {"sessionId": "s"}},
    {"serverContent": {"outputTranscription": {"text": "Ü\u2028"}}, "usageMetadata": FIRST},
    {"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {"usageMetadata": LAST}}]}},
    {"serverContent": {"turnComplete": True, "groundingMetadata": {}}, "usageMetadata": FIRST},
    {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "AAAA" * 9000}}]}}},
    {"serverContent": {"generationComplete": True}},
    {"serverContent": {"turnComplete": True}},
    {"usageMetadata": LAST},
]
SESSIONS = {"written": [json.dumps(message, ensure_ascii=False) for message in WRITTEN]}
if RECORDINGS:
    SESSIONS |= {
        each.id: [line for line in each.body.decode().split("\n") if line] for each in recorded_of("live")
    }


def summed(messages: list[str]) -> list[int | None]:
    """What the turns of a session add up to: in these sessions the last usage before, or after, each end."""
    usages = [message["usageMetadata"] for message in map(json.loads, messages) if "usageMetadata" in message]
    turns = usages if messages is not SESSIONS["written"] else [FIRST, LAST]
    total = read_usage(json.dumps(turns).encode())
    assert total
    return [total.prompt, total.cached, total.output, total.thoughts, total.tool, total.total]


@pytest.mark.parametrize("messages", SESSIONS.values(), ids=SESSIONS.keys())
@pytest.mark.parametrize("binary", [True, False])
async def test_a_session_passes_and_its_turns_are_added_up(
    tmp_path: Path, messages: list[str], binary: bool
) -> None:
    async def speaks(session: ServerConnection) -> None:
        await session.recv()
        for message in messages:
            await session.send(message.encode() if binary else message)
        await session.aclose()

    async with live_standing_in() as google, running(tmp_path / "data", google.url) as gateway:
        google.script = speaks
        async with session(gateway) as client:
            await client.send(SETUP)
            received = [message async for message in client]
        assert received == [message.encode() if binary else message for message in messages]
        row = await gateway.row()
    assert [row[name] for name in COLUMNS] == summed(messages)
    assert (row["outcome"], row["cost_usd"], row["model"]) == ("ok", None, "gemini-2.5-flash-live")
    assert row["response_bytes"] == sum(len(message.encode()) for message in messages)
