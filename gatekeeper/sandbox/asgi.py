"""The sandbox as an ASGI 3 application: `Api` decides on every response, which is sent with realistic delays.
Raw ASGI: a framework would add nothing but its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import trio

from gatekeeper.sandbox.api import Api
from gatekeeper.sandbox.body import BodyBuffer
from gatekeeper.sandbox.wire import HttpResponse, Request

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope, WebsocketScope


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
        # A client that has gone gets no response, but an upload keeps what it has sent.
        if await receive_body(receive, content):
            response = self._api.respond(request_of(scope, content))
            # Only a response that takes a while is worth a task that waits for the client's disconnect.
            if len(response.pieces) > 1 or response.pieces[0][0] * self._time_scale:
                await self._send_until_disconnect(response, receive, send)
            else:
                await self._send(response, send)

    async def _send_until_disconnect(
        self, response: HttpResponse, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Ends as soon as the client disconnects, which Hypercorn reports by `receive` only: it ignores
        sends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_disconnect, receive, nursery.cancel_scope)
            await self._send(response, send)
            nursery.cancel_scope.cancel()

    async def _send(self, response: HttpResponse, send: ASGISendCallable) -> None:
        """Sends the head with the first bytes, like Google. An incomplete response ends without its last
        message; then the server closes the connection abruptly."""
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
