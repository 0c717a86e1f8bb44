"""The sandbox as an ASGI 3 application: reads a request, lets the API answer it, sends that at a human pace.

Everything but time and the connection is decided in `routes`; here it is waited for and sent. Raw ASGI: a
framework would add nothing but its cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import trio

from gatekeeper.sandbox.exchange import Answer, Content, Request
from gatekeeper.sandbox.routes import Api

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope


class Sandbox:
    """A simulated Gemini API. All its waiting is multiplied by `pace`: 1 is a person's, 0 waits never."""

    def __init__(self, *, pace: float = 1.0) -> None:
        self._pace = pace
        self._api = Api()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        match scope["type"]:
            case "lifespan":
                await live(receive, send)
            case "http":
                await self._exchange(scope, receive, send)
            case _:  # the Live API, which is not simulated
                await send({"type": "websocket.close", "code": 1011, "reason": "no Live API here"})

    async def _exchange(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        head = request_of(scope, Content())
        content = self._api.sink(head)
        if await arrived(receive, content):
            answer = self._api.answer(request_of(scope, content))
            if self._pace and any(seconds for seconds, _ in answer.pieces):
                await self._send_while_wanted(answer, receive, send)
            else:
                await self._send(answer, send)

    async def _send_while_wanted(
        self, answer: Answer, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Ends as soon as the client is gone, which Hypercorn tells in `receive` only: it ignores sends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gone, receive, nursery.cancel_scope)
            await self._send(answer, send)
            nursery.cancel_scope.cancel()

    async def _send(self, answer: Answer, send: ASGISendCallable) -> None:
        """The head goes out with the first bytes, as Google's does. An answer that is not whole ends without
        its last message, on which the server breaks the connection."""
        last = len(answer.pieces) - 1
        for at, (seconds, data) in enumerate(answer.pieces):
            if seconds and self._pace:
                await trio.sleep(seconds * self._pace)
            if at == 0:
                await send(
                    {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
                )
            more = at < last or not answer.whole
            await send({"type": "http.response.body", "body": data, "more_body": more})


def request_of(scope: HTTPScope, content: Content) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        content=content,
    )


async def arrived(receive: ASGIReceiveCallable, content: Content) -> bool:
    """Takes the body in; False if the client left before it was through."""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return False
        content.feed(event["body"])
        if not event["more_body"]:
            return True


async def gone(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    """The request is through, so that the next message can only be the disconnect (ASGI 3, HTTP)."""
    await receive()
    scope.cancel()


async def live(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Lifespan: there is nothing to start or to stop."""
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
