"""One HTTP request to Quart: by Hypercorn's messages, or, if it is short, in its connection's own task.

`QuartConnection` is for any request. It has three tasks for each, passes body and response on in pieces, and
works around two bugs of Hypercorn's and Quart-trio's:

- A response that precedes the end of its request (401, 413) is lost: it waits for that (`_send_response`).
- A response ends without Hypercorn's work at the end of a request: a disconnect is ignored from its last
  message on (`handle_messages`).

All that takes as long as everything else in the creation of a key. So short requests have an
`InlineQuartConnection`, of an `InlineApp`: the body is read when the view asks for it, and the response goes
out in one write. Until then a disconnect is not noticed: the request is processed to its end.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope
from quart import Quart
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers import Request, Response
from quart.wrappers.response import DataBody
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers.request import TrioBody

from gatekeeper.server.asgi_types import Message, Receive, Scope, Send
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream
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


class InlineBody(TrioBody):
    """The body of a request. With a `stream` it is read from there when it is awaited, which raises
    ClientDisconnected and MalformedBody; without one it is read by Quart's own task."""

    stream: ClientStream | None = None

    def __await__(self) -> Generator[Any, None, bytes]:
        body = super() if self.stream is None else self._receive(self.stream)
        return (yield from body.__await__())

    async def _receive(self, stream: ClientStream) -> bytes:
        # The limit of its length is Quart's.
        while self._must_raise is None and (chunk := await stream.receive_chunk()):
            self.append(chunk)
        if self._must_raise is not None:
            raise self._must_raise
        return bytes(self._data)


class InlineQuartConnection(TrioASGIHTTPConnection):
    """One request. The application's requests must have an `InlineBody`, and its responses must not be
    streams."""

    def __init__(self, app: Quart, scope: Scope) -> None:
        super().__init__(app, cast("HTTPScope", scope))
        self._asgi_scope = scope

    async def run(self, receive: Receive, send: Send) -> None:
        stream = ClientStream(self._asgi_scope, receive, send)
        request = self._create_request_from_scope(cast("ASGISendCallable", send))
        cast("InlineBody", request.body).stream = stream
        response = cast("Response", await self.app.handle_request(request))
        body = cast("DataBody", response.response).data
        headers = encode_headers(response.headers)
        with (
            trio.move_on_after(cast("float", self.app.config["RESPONSE_TIMEOUT"])),
            suppress(ClientDisconnected),
        ):
            await stream.start(response.status_code, headers, coalesce_with_body=True)
            await stream.write(body)
            await stream.finish()
