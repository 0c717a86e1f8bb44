"""What becomes of connections when their clients go."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange, head, read

from gatekeeper.proxy.downstream import Receive, Send
from gatekeeper.server.listen import listen

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


async def slow_app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Takes longer than an idle connection is kept."""
    await trio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def test_idle_connections_end_in_time_and_busy_ones_do_not() -> None:
    config, stop = Config(), trio.Event()
    config.keep_alive_timeout = 0.3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, slow_app, config, listener, stop)
                async with await connect(url) as client:
                    for _ in range(2):  # the second one finds the connection as it was
                        await client.send_all(head("GET /", []))
                        assert (await read(client, "GET")).body == b"ok"
                    assert await client.receive_some() == b"", "idle for long enough"
                async with await connect(url) as busy:
                    await busy.send_all(head("GET /", []))
                    await trio.sleep(0.1)
                    stop.set()
                    assert (await read(busy, "GET")).body == b"ok", "a stop lets it finish"
                    assert await busy.receive_some() == b""
