"""Live sessions of a whole gateway in a process of its own, in front of the sandbox: what they leave behind,
and a stop."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from rig.process import PATIENCE, Served, rows_in_file, serving
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect

SESSIONS = 8
PATH = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "gemini-live-2.5-flash-preview"
SETUP = {"setup": {"model": f"models/{MODEL}", "generationConfig": {"responseModalities": ["TEXT"]}}}
TURN = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turnComplete": True}}


def session(served: Served) -> connect:
    return connect(f"{served.url.replace('http', 'ws', 1)}{PATH}?key=k", proxy=None, open_timeout=PATIENCE)


async def talk(client: ClientConnection, tokens: list[int]) -> None:
    """Two turns; `tokens` gets those of each."""
    await client.send(json.dumps(SETUP))
    assert "setupComplete" in json.loads(await client.recv())
    for _ in range(2):
        await client.send(json.dumps(TURN))
        message = {}
        while "usageMetadata" not in message:
            message = json.loads(await client.recv())
        tokens.append(message["usageMetadata"]["totalTokenCount"])


def descriptors(served: Served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


async def test_sessions_leave_nothing_behind_and_a_stop_ends_them(tmp_path: Path) -> None:
    tokens: list[int] = []
    async with serving(tmp_path / "live", "--sandbox", GATEKEEPER_DRAIN_TIMEOUT="0.2") as served:
        before = descriptors(served)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(session(served)) for _ in range(SESSIONS)]
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(talk, client, tokens)
            assert descriptors(served) >= before + 3 * SESSIONS
            # One half of them breaks off, the other is closed by the end of this block.
            for client in clients[::2]:
                await client.stream.aclose()
        with trio.fail_after(PATIENCE):
            while descriptors(served) > before:
                await trio.sleep(0.01)
        async with session(served) as client:
            await client.send(json.dumps(SETUP))
            await client.recv()
            served.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1001
            assert client.close_reason is not None
            assert client.close_reason.startswith("GATEKEEPER_DRAINING: ")
        assert await served.ended() == 0
    rows = rows_in_file(served.data, "model, outcome, reason, total_tokens")
    outcomes = [row["outcome"] for row in rows]
    assert {row["model"] for row in rows} == {MODEL}
    assert sorted(outcomes) == ["client_disconnected"] * 4 + ["cut"] + ["ok"] * 4
    assert rows[-1]["reason"] == "GATEKEEPER_DRAINING"
    assert sum(row["total_tokens"] or 0 for row in rows) == sum(tokens)
