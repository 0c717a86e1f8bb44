"""A relay of bytes between a client and a server that writes down what passes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from e2e.clients.transcript import ConnectionTranscript, Exchange

Change = Callable[[bytes], bytes]
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def unchanged(data: bytes) -> bytes:
    return data


@dataclass
class Relay:
    """`url` is where it listens, `secure_url` the same by TLS if it has a `certificate`.

    Its log is complete up to what either side has received: bytes are written down first. `request` and
    `response` change bytes on purpose, for the tests of the comparison.
    """

    target: int  # a port of this machine
    request: Change = unchanged
    response: Change = unchanged
    log: list[Exchange] = field(default_factory=list)
    certificate: Path | None = None
    url: str = ""
    secure_url: str = ""

    async def relay(self, client: Stream) -> None:
        transcript = ConnectionTranscript(self.log, trio.current_time)
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
    source: Stream,
    sink: Stream,
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
        if isinstance(sink, trio.SocketStream):
            await sink.send_eof()
        else:  # TLS ends both directions at once
            await sink.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
        both.cancel()


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    plain, port = _listener()
    relay.url = f"http://127.0.0.1:{port}"
    listeners: list[trio.abc.Listener[Any]] = [plain]
    if relay.certificate:
        secure, port = _listener()
        relay.secure_url = f"https://localhost:{port}"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(relay.certificate)
        listeners.append(trio.SSLListener(secure, context, https_compatible=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, relay.relay, listeners)
        yield relay
        nursery.cancel_scope.cancel()


def _listener() -> tuple[trio.SocketListener, int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener)), listener.getsockname()[1]
