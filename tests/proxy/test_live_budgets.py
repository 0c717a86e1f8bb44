"""A Live session and its key's budget: what it reserves, and where it is cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from rig.gateway import Running, running
from rig.live import LiveStandIn, ended, live_standing_in, session
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import ServerConnection

SETUP = '{"setup": {"model": "models/gemini-3.8-live"}}'
SPEAKS = '{"clientContent": {"turnComplete": true}}'
TURN = {
    "promptTokenCount": 1000,
    "responseTokenCount": 100,
    "totalTokenCount": 1100,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
    "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
}


@pytest.fixture
async def google() -> AsyncIterator[LiveStandIn]:
    async with live_standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def guarded(google: LiveStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "guarded", google.url, master_key="master-of-the-tests") as gateway:
        yield gateway


async def takes_turns(session: ServerConnection) -> None:
    async for message in session:
        ends = message != SETUP
        answer = {"serverContent": {"turnComplete": True}, "usageMetadata": TURN}
        await session.send(json.dumps(answer if ends else {"setupComplete": {}}))


async def turns_until_cut(gateway: Running, secret: str) -> int:
    """How many turns a session has before it is cut; at most 20."""
    async with session(gateway, key=secret) as client:
        await client.send(SETUP)
        await client.recv()
        for number in range(20):
            try:
                await client.send(SPEAKS)
                await client.recv()
            except ConnectionClosed:
                return number
    return 20


async def test_a_session_is_cut_before_it_exceeds_its_budget(guarded: Running, google: LiveStandIn) -> None:
    google.script = takes_turns
    await turns_until_cut(guarded, await guarded.key(max_budget=100))
    whole = await guarded.row()
    one = Decimal(whole["cost_usd"]) / 20
    assert (whole["outcome"], one > 0) == ("ok", True)
    secret = await guarded.key(max_budget=str(one * 5))
    with trio.fail_after(5):
        turns = await turns_until_cut(guarded, secret)
    assert 4 <= turns <= 5
    *_, row = await guarded.rows()
    assert (row["outcome"], row["reason"]) == ("cut", "GATEKEEPER_BUDGET_EXCEEDED")
    assert one * 4 <= Decimal(row["cost_usd"]) <= one * 5


async def test_a_spent_budget_opens_no_session(guarded: Running, google: LiveStandIn) -> None:
    async with session(guarded, key=await guarded.key(max_budget=0)) as client:
        code, reason = await ended(client)
    assert code == 1008
    assert reason is not None
    assert "budget of 0 USD" in reason
    assert not google.requests
    row = await guarded.row()
    assert (row["outcome"], row["reason"]) == ("refused", "GATEKEEPER_BUDGET_EXCEEDED")
