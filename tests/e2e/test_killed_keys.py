"""A key exists once its creation was answered, whenever the gateway is killed; so does its audit entry."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import trio
from rig.process import serving

ROUNDS, CLIENTS = 2, 8
SETTINGS = {"GATEKEEPER_MASTER_KEY": "master-of-the-tests"}


async def test_a_key_that_was_answered_is_there_after_any_kill(folder: Path) -> None:
    numbers = count()
    made: set[str] = set()
    for _ in range(ROUNDS):
        async with serving(folder, "--sandbox", **SETTINGS) as served:
            before = len(made)

            async def make() -> None:
                while True:
                    key = await served.post("/key/generate", {"key_alias": f"app-{next(numbers)}"})
                    made.add(key["token_id"])

            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(make)
                while len(made) < before + 5 * CLIENTS:
                    await trio.sleep(0.001)
                served.process.kill()
                nursery.cancel_scope.cancel()
            await served.ended()
    async with serving(folder, "--sandbox", **SETTINGS) as served:
        there = {key["token_id"] for key in (await served.get("/key/list", limit=1000))["keys"]}
        changes = (await served.get("/audit", action="create", limit=1000))["changes"]
    assert made <= there
    assert sorted(there) == sorted(change["token_id"] for change in changes)
