"""What becomes of connections when their clients go."""

from __future__ import annotations

from pathlib import Path

import trio
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange, head, read

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"


def sockets() -> int:
    """How many sockets this process has open."""
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(entry.readlink()).startswith("socket:") for entry in entries)


async def test_a_connection_ends_with_its_client(gateway: Running, google: StandIn) -> None:
    await exchange(gateway.url, GENERATE, body=b"{}")
    before = sockets()
    for _ in range(20):
        await exchange(gateway.url, GENERATE, body=b"{}")
        async with await connect(gateway.url) as idle:
            await idle.send_all(head("GET /healthz", []))
            assert (await read(idle, "GET")).status == 200
    with trio.fail_after(2):
        while sockets() > before:
            await trio.sleep(0.01)
