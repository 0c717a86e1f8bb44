"""A stand-in for the Live API, and its clients, by another implementation of WebSocket than the gateway's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.trio.client import ClientConnection, connect
from websockets.trio.server import ServerConnection, serve

from rig.gateway import Running

METHOD = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
LIVE_PATH = f"/ws/{METHOD}"
SETUP = '{"setup": {"model": "models/gemini-2.5-flash-live"}}'


class LiveStandIn:
    """`script` runs one session; `refuse` may answer a handshake otherwise. `requests` are the handshakes,
    `received` all messages, `ends` how the clients ended, in order; `open` is how many sessions are."""

    def __init__(self) -> None:
        self.script: Callable[[ServerConnection], Awaitable[None]] = self.echo
        self.refuse: Callable[[Request], Response | None] = lambda _: None
        self.requests: list[Request] = []
        self.received: list[str | bytes] = []
        self.ends: list[tuple[int | None, str | None]] = []
        self.open = 0
        self.url = ""

    async def echo(self, session: ServerConnection) -> None:
        async for message in session:
            self.received.append(message)
            await session.send(message)

    async def handle(self, session: ServerConnection) -> None:
        self.open += 1
        try:
            await self.script(session)
            await session.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
            self.ends.append((session.close_code, session.close_reason))

    def answer(self, _session: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return self.refuse(request)


@asynccontextmanager
async def live_standing_in(**named: Any) -> AsyncIterator[LiveStandIn]:
    stand_in = LiveStandIn()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                serve,
                stand_in.handle,
                0,
                host="127.0.0.1",
                process_request=stand_in.answer,
                max_size=None,
                ping_interval=None,
                open_timeout=60,
                **named,
            )
        )
        stand_in.url = f"http://127.0.0.1:{server.listeners[0].socket.getsockname()[1]}"
        yield stand_in
        nursery.cancel_scope.cancel()


def sockets_open() -> int:
    """How many sockets this process has."""
    entries = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(entry.readlink()).startswith("socket:") for entry in entries)


def session(gateway: Running, path: str = LIVE_PATH, key: str | None = "k", **named: Any) -> connect:
    """A client's session, by `async with`."""
    query = "" if key is None else f"{'&' if '?' in path else '?'}key={key}"
    url = gateway.url.replace("http", "ws", 1) + f"/gemini{path}{query}"
    return connect(url, proxy=None, max_size=None, ping_interval=None, open_timeout=60, **named)


async def ended(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason by which a session ends."""
    with trio.fail_after(5), contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code, client.close_reason


async def nothing_is_left(gateway: Running, google: LiveStandIn) -> None:
    proxy = gateway.gateway.proxy
    with trio.fail_after(5):
        while proxy.open_calls or proxy.context.upstream.open or google.open:
            await trio.sleep(0.005)
