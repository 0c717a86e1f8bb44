"""Whose a resource is survives a kill at the moment that the client has its name."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import trio
from rig.process import serving
from rig.standin import Reply, StandIn

ROUNDS, CLIENTS = 2, 8
SETTINGS = {"GATEKEEPER_MASTER_KEY": "master-of-the-tests", "GEMINI_API_KEY": "AIzaGoogleKeyOfTheTests"}


async def test_what_a_client_has_made_is_its_own_after_any_kill(folder: Path, google: StandIn) -> None:
    numbers = count()

    async def answer(reply: Reply) -> None:
        made = reply.asked.method == "POST"
        await reply.json(b'{"name": "fileSearchStores/s%d"}' % next(numbers) if made else b"{}")

    google.script = answer
    names: list[str] = []
    secrets: list[str] = []
    for _ in range(ROUNDS):
        async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
            if not secrets:
                for alias in ("mine", "others"):
                    made = await served.client.post("/key/generate", json={"key_alias": alias})
                    secrets.append(made.json()["key"])
            before = len(names)

            async def make() -> None:
                headers = {"x-goog-api-key": secrets[0]}
                while True:
                    url = "/gemini/v1beta/fileSearchStores"
                    names.append((await served.client.post(url, json={}, headers=headers)).json()["name"])

            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(make)
                while len(names) < before + 3 * CLIENTS:
                    await trio.sleep(0.001)
                served.process.kill()
                nursery.cancel_scope.cancel()
            await served.ended()
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        for name in names:
            asked = [
                await served.client.get(f"/gemini/v1beta/{name}", headers={"x-goog-api-key": secret})
                for secret in secrets
            ]
            assert [answer.status_code for answer in asked] == [200, 404]
