"""A relay of bytes between a client and a server that writes down what passes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from e2e.clients.transcript import ConnectionTranscript, Exchange

Change = Callable[[bytes], bytes]


def unchanged(data: bytes) -> bytes:
    return data


@dataclass
class Relay:
    """`url` is where it listens. Its log is complete up to what either side has received: bytes are written
    down first. `request` and `response` change bytes on purpose, for the tests of the comparison."""

    target: int  # a port of this machine
    request: Change = unchanged
    response: Change = unchanged
    log: list[Exchange] = field(default_factory=list)
    url: str = ""

    async def relay(self, client: trio.SocketStream) -> None:
        transcript = ConnectionTranscript(self.log)
        async with client:
            try:
                server = await trio.open_tcp_stream("127.0.0.1", self.target)
            except OSError:
                return
            async with server, trio.open_nursery() as directions:
                up = (self.request, transcript.from_client, directions.cancel_scope)
                down = (self.response, transcript.from_server, directions.cancel_scope)
                directions.start_soon(_pump, client, server, *up)
                directions.start_soon(_pump, server, client, *down)


async def _pump(
    source: trio.SocketStream,
    sink: trio.SocketStream,
    change: Change,
    note: Callable[[bytes], None],
    both: trio.CancelScope,
) -> None:
    """Until the source ends, which ends the other side's reading; a broken side ends both directions."""
    try:
        async for received in source:
            data = change(bytes(received))
            note(data)
            await sink.send_all(data)
        note(b"")
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        both.cancel()


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    relay.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    wrapped = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, relay.relay, [wrapped])
        yield relay
        nursery.cancel_scope.cancel()
