"""One HTTP request between Hypercorn and Quart, with two of their habits mended.

- An answer that comes before its request has been read (401, 413) would have Hypercorn close a connection
  on which the client still sends: a reset, and the answer is never read. So the body is read first, within
  bounds; Quart throws away what is beyond its limit.
- With the answer's last byte Hypercorn tells the application that the client has gone. Quart-trio then
  cancels the request, of which that very send is a part, and what Hypercorn does at a request's end (close
  the connection, or time its idleness) is left undone: the client waits for ever. So from the last message
  on nobody is told.
"""

from __future__ import annotations

from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope
from quart import Quart
from quart.typing import ResponseTypes
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection

from gatekeeper.server.grammar import Malformed

BODY_SECONDS = 5.0  # that an answer waits for the rest of its request


class QuartConnection(TrioASGIHTTPConnection):
    async def refuse_malformed(self, malformed: Malformed, send: ASGISendCallable) -> None:
        """Answers a request whose body is no proper HTTP."""
        raise NotImplementedError

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._request_ended = trio.Event()
        self._answer_begun = self._answer_ended = False
        self._malformed: Malformed | None = None

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await super().__call__(receive, send)
        if self._malformed and not self._answer_begun:
            await self.refuse_malformed(self._malformed, send)

    async def handle_messages(
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        while (message := await receive())["type"] == "http.request":
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
                self._request_ended.set()
        self._request_ended.set()
        self._malformed = cast("dict[str, Any]", message).get("malformed")
        if not self._answer_ended:
            nursery.cancel_scope.cancel()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        async def tracked(message: ASGISendEvent) -> None:
            self._answer_begun = True
            self._answer_ended = message["type"] == "http.response.body" and not message["more_body"]
            await send(message)

        # Who does not send what it announced gets its answer all the same, and then a reset.
        with trio.move_on_after(BODY_SECONDS):
            await self._request_ended.wait()
        await super()._send_response(tracked, response)
