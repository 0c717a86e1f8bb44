"""Short requests of Quart in their connection's own task, as an `InlineApp`.

`quart_connection`, for any request, has three tasks for each, and passes body and response on in pieces: that
takes as long as all else in the creation of a key. Here the body is read when the view asks for it, and the
response goes out in one write. Until then a client that has disconnected is not noticed: what was begun comes
to its end.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, cast

import trio
from hypercorn.typing import ASGISendCallable, HTTPScope
from quart import Quart
from quart.utils import encode_headers
from quart.wrappers import Response
from quart.wrappers.response import DataBody
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers.request import TrioBody

from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.client_stream import ClientDisconnected, ClientStream


class InlineBody(TrioBody):
    """The body of a request. With a `stream` it is read from there once it is awaited, which raises
    ClientDisconnected and MalformedBody; without one it is read meanwhile, as Quart does."""

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
    """One request. The application's requests have an `InlineBody`, its responses to them are no streams."""

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
