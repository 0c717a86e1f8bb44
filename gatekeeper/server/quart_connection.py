"""One HTTP request between Hypercorn and Quart, with workarounds for two of their bugs.

- A response that precedes the end of its request (401, 413) is lost: it waits for that (`_send_response`).
- A response ends without Hypercorn's work at the end of a request: a disconnect is ignored from its last
  message on (`handle_messages`).
"""

from __future__ import annotations

from typing import cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope
from quart import Quart
from quart.typing import ResponseTypes
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection

from gatekeeper.server.asgi_types import Message
from gatekeeper.server.request_validation import MalformedRequest

BODY_READ_TIMEOUT = 5.0  # seconds that a response waits for the rest of its request


class QuartConnection(TrioASGIHTTPConnection):
    async def refuse_malformed(self, malformed: MalformedRequest, send: ASGISendCallable) -> None:
        """Responds to a request whose body is not valid HTTP."""
        raise NotImplementedError

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._request_complete = trio.Event()
        self._response_started = self._response_complete = False
        self._malformed: MalformedRequest | None = None

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await super().__call__(receive, send)
        if self._malformed and not self._response_started:
            await self.refuse_malformed(self._malformed, send)

    async def handle_messages(
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        while (message := await receive())["type"] == "http.request":
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
                self._request_complete.set()
        self._request_complete.set()
        self._malformed = cast("Message", message).get("malformed")
        # With the response's last byte Hypercorn 0.18 sends `http.disconnect`. Quart-trio would cancel the
        # request, of which that very send is a part, and Hypercorn would neither close the connection nor
        # start the keep-alive timer: the client waits for ever.
        if not self._response_complete:
            nursery.cancel_scope.cancel()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        async def tracked(message: ASGISendEvent) -> None:
            self._response_started = True
            self._response_complete = message["type"] == "http.response.body" and not message["more_body"]
            await send(message)

        # Hypercorn would close the connection while the client still sends: a reset, and the response is
        # never read. Quart discards what is beyond its limit. A client that does not send its announced body
        # still gets the response, then a reset.
        with trio.move_on_after(BODY_READ_TIMEOUT):
            await self._request_complete.wait()
        await super()._send_response(tracked, response)
