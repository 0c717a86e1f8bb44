"""The analytics file in another program's hands while calls go on: the books are right then, and later."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import trio
from rig.process import PATIENCE, Served, end, rows_in_file, serving
from rig.standin import StandIn
from rig.wire import exchange

SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": "of-the-tests"}
GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
ANSWER = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}}'
COST = Decimal("0.000003")
HOLD = """
import duckdb, sys
file = duckdb.connect(sys.argv[1])
print(file.execute("SELECT count(*) FROM calls").fetchone()[0], flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def held(data: Path) -> AsyncIterator[int]:
    """Another program has the file open; how many calls it finds there."""
    words = [sys.executable, "-c", HOLD, str(data / "gatekeeper.duckdb")]
    holder = await trio.lowlevel.open_process(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        with trio.fail_after(PATIENCE):
            yield int(await holder.stdout.receive_some())
        await holder.stdin.aclose()
        with trio.fail_after(PATIENCE):
            assert await holder.wait() == 0
    finally:
        await end(holder)


class Client:
    """Makes calls with one key, each of the same cost, and asks for the books."""

    def __init__(self, served: Served, secret: str) -> None:
        self.served = served
        self.secret = secret
        self.ids: list[str] = []

    async def call(self, count: int) -> None:
        for _ in range(count):
            answer = await exchange(
                self.served.url, GENERATE, body=b"{}", headers=[f"x-goog-api-key: {self.secret}"]
            )
            self.ids.append(answer.headers["x-gatekeeper-call-id"])

    async def listed(self) -> tuple[list[str], bool]:
        """The ids that /calls knows, oldest first, and whether it says that some are out of reach."""
        answer = await self.served.get("/calls")
        return [call["id"] for call in reversed(answer["calls"])], answer.get("partial", False)

    async def charged(self) -> Decimal:
        """What the key has spent."""
        return Decimal((await self.served.get("/key/info", key="mine"))["info"]["spend"])

    async def spent(self) -> tuple[Decimal, int]:
        """The total of /spend."""
        total = (await self.served.get("/spend", by="key"))["total"]
        return Decimal(total["cost_usd"] or 0), total["calls"]

    async def has_caught_up(self) -> None:
        with trio.fail_after(PATIENCE):
            while (await self.listed())[1]:
                await trio.sleep(0.05)


async def new_client(served: Served) -> Client:
    return Client(served, (await served.post("/key/generate", {"key_alias": "mine"}))["key"])


async def test_a_lent_file(folder: Path, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        client = await new_client(served)
        await client.call(3)
        lent = await served.post("/sql/lend", {"seconds": 60})
        assert lent["file"] == str((served.data / "gatekeeper.duckdb").resolve())
        async with held(served.data) as rows:
            assert rows == 3, "whoever is lent the file finds all calls in it"
            await client.call(2)
            assert await client.listed() == (client.ids[3:], True)
            assert await client.spent() == (2 * COST, 2)
            await served.post("/sql/return", {})
            await client.call(1)
            assert await client.listed() == (client.ids[3:], True)
            assert await client.charged() == 6 * COST
        await client.has_caught_up()
        assert await client.listed() == (client.ids, False)
        assert await client.spent() == (6 * COST, 6)
    assert [str(row["id"]) for row in rows_in_file(served.data)] == client.ids


async def test_a_file_that_is_held_through_a_start_and_a_kill(folder: Path, google: StandIn) -> None:
    google.script = lambda reply: reply.json(ANSWER)
    flags = ("--upstream", google.url)
    async with AsyncExitStack() as stack:
        async with serving(folder, *flags, **SETTINGS) as served:
            client = await new_client(served)
            await client.call(2)
        assert await stack.enter_async_context(held(served.data)) == 2
        async with serving(folder, *flags, **SETTINGS) as served:
            client.served = served
            await client.call(3)
            assert set(client.ids[2:]) <= set((await client.listed())[0])
            assert (await served.get("/readyz"))["ready"]
            await served.kill()
        async with serving(folder, *flags, **SETTINGS) as served:
            client.served = served
            await client.call(1)
            assert set(client.ids[2:]) <= set((await client.listed())[0])
            await stack.aclose()
            await client.has_caught_up()
            assert await client.listed() == (client.ids, False)
            assert await client.charged() == 6 * COST
    assert [str(row["id"]) for row in rows_in_file(served.data)] == client.ids
