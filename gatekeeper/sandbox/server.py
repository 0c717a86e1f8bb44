"""The sandbox's server: an ASGI 3 application on Hypercorn and trio that sends the responses of `Api` with
realistic delays. Raw ASGI, because a framework would only add overhead."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import trio
from hypercorn.config import Config

from gatekeeper.addresses import bind
from gatekeeper.sandbox.api import Api
from gatekeeper.sandbox.http import BodyBuffer, HttpResponse, Request
from gatekeeper.server.listener import serve_listener

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope, WebsocketScope

# With Hypercorn's default of 100, hundreds of clients that connect at once would wait for seconds.
BACKLOG = 4096
# About as long as Google's front end keeps idle connections.
IDLE_SECONDS = 240
# Hypercorn by default closes a connection after 1,000 requests.
UNLIMITED = 2**62
MAX_HEAD_BYTES = 64 * 1024


async def serve_sandbox(
    host: str,
    port: int,
    *,
    time_scale: float = 1.0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the port (for `port` 0 any free one) as soon as clients can connect.
    Raises OSError if it cannot listen on the address."""
    listeners = bind_listeners(host, port)
    task_status.started(listeners[0].getsockname()[1])
    await serve_on(listeners, time_scale=time_scale)


def bind_listeners(host: str, port: int) -> list[socket.socket]:
    """Raises OSError if it cannot listen on the address."""
    listeners = bind(host, port, BACKLOG)
    for listener in listeners:
        # Otherwise Nagle's algorithm would delay small events.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listeners


async def serve_on(listeners: list[socket.socket], *, time_scale: float = 1.0) -> None:
    """Serves until cancelled."""
    app, config, no_shutdown = Sandbox(time_scale=time_scale), hypercorn_config(), trio.Event()
    async with trio.open_nursery() as servers:
        for listener in listeners:
            servers.start_soon(serve_listener, app, config, listener, no_shutdown)


def hypercorn_config() -> Config:
    """Errors of the sandbox go to the log `gatekeeper.sandbox`."""
    config = Config()
    config.errorlog = logging.getLogger("gatekeeper.sandbox")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = UNLIMITED
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    return config


class Sandbox:
    """A simulated Gemini API. `time_scale` multiplies all its delays: 1 is realistic, 0 is without delays."""

    def __init__(self, *, time_scale: float = 1.0) -> None:
        self._time_scale = time_scale
        self._api = Api()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        match scope["type"]:
            case "lifespan":
                await lifespan(receive, send)
            case "http":
                await self._respond(scope, receive, send)
            case "websocket":
                request = request_of(scope, BodyBuffer())
                await self._api.live.serve(request, receive, send, self._time_scale)

    async def _respond(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        head = request_of(scope, BodyBuffer())
        # Before the body arrives: an interrupted upload must keep the bytes received so far.
        content = self._api.body_buffer(head)
        # After a disconnect there is no response, but an upload keeps the received bytes.
        if await receive_body(receive, content):
            response = self._api.respond(request_of(scope, content))
            # Only a response that takes a while needs a task that waits for a disconnect.
            if len(response.pieces) > 1 or response.pieces[0][0] * self._time_scale:
                await self._send_until_disconnect(response, receive, send)
            else:
                await self._send(response, send)

    async def _send_until_disconnect(
        self, response: HttpResponse, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Stops when the client disconnects, which Hypercorn reports only by `receive`: it ignores later
        sends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_disconnect, receive, nursery.cancel_scope)
            await self._send(response, send)
            nursery.cancel_scope.cancel()

    async def _send(self, response: HttpResponse, send: ASGISendCallable) -> None:
        """Sends the headers with the first bytes of the body, like Google. An incomplete response ends
        without the last ASGI message; then the server closes the connection abruptly."""
        last = len(response.pieces) - 1
        for at, (seconds, data) in enumerate(response.pieces):
            if seconds and self._time_scale:
                await trio.sleep(seconds * self._time_scale)
            if at == 0:
                await send(
                    {"type": "http.response.start", "status": response.status, "headers": response.headers}
                )
            more = at < last or not response.complete
            await send({"type": "http.response.body", "body": data, "more_body": more})


def request_of(scope: HTTPScope | WebsocketScope, content: BodyBuffer) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"] if scope["type"] == "http" else "GET",
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        content=content,
    )


async def receive_body(receive: ASGIReceiveCallable, content: BodyBuffer) -> bool:
    """Reads the body; False if the client disconnected before its end."""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return False
        content.feed(event["body"])
        if not event["more_body"]:
            return True


async def wait_for_disconnect(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    """The body has been read, so the next message can only be the disconnect (ASGI 3, HTTP)."""
    await receive()
    scope.cancel()


async def lifespan(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """The ASGI lifespan protocol: there is nothing to start or to stop."""
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
