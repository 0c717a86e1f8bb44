"""Requests without a key that are as large as they can be: memory, rows and the analytics file stay small."""

from __future__ import annotations

from pathlib import Path

import trio
from rig.process import Served, rows_in_file, serving
from rig.standin import StandIn
from rig.wire import exchange

SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheTests", "GATEKEEPER_MASTER_KEY": "master-of-the-tests"}
GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
REQUESTS, AT_ONCE = 500, 10
TAGS = {
    413: "tags: " + ",".join(f"t{number:06}" for number in range(30_000)),  # 240 KB
    401: "tags: " + ",".join(f"t{number:06}" for number in range(7_500)),  # 60 KB: an allowed head
}


async def test_large_requests_without_a_key_fill_neither_memory_nor_the_ledger(
    folder: Path, google: StandIn
) -> None:
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        await ask(served, 10)
        await served.get("/spend", by="none")  # what DuckDB takes for itself is no growth
        before = resident(served)
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(ask, served, REQUESTS // AT_ONCE)
        total = (await served.get("/spend", by="none"))["total"]
        grown = resident(served) - before
        assert (await served.client.get("/readyz")).status_code == 200
        assert await served.stop() == 0
    assert total["calls"] == REQUESTS + 10
    assert grown < 128 << 20
    rows = rows_in_file(served.data, "status, len(tags) AS tags, tags[-1] AS last")
    assert sorted({(row["status"], row["tags"], row["last"]) for row in rows}) == [
        (401, 64, "…"),
        (413, 0, None),
    ]
    assert len(rows) == REQUESTS + 10
    assert not google.asked


async def ask(served: Served, count: int) -> None:
    for number in range(count):
        status = (401, 413)[number % 2]
        answer = await exchange(served.url, GENERATE, body=b"{}", headers=[TAGS[status]])
        assert answer.status == status


def resident(served: Served) -> int:
    """Bytes of memory that its process has now."""
    text = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024
