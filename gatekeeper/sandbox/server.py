"""The sandbox's server: Hypercorn on trio, an ASGI 3 application, and the table of Google's paths.

`Api` decides on every response; the application sends it with realistic delays. Raw ASGI: a framework would
add nothing but its cost.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

import trio
from hypercorn.config import Config

from gatekeeper.addresses import bind
from gatekeeper.sandbox.calls import Calls, embed, embed_batch
from gatekeeper.sandbox.errors import GoogleError, commands_page, invalid_key, missing_key
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.models import TABLE, get_model
from gatekeeper.sandbox.resources import CachedContents, Clock, page
from gatekeeper.sandbox.wire import (
    BodyBuffer,
    HttpResponse,
    Request,
    empty_404,
    error_response,
    json_response,
    response,
)
from gatekeeper.server.listener import serve_listener

# With Hypercorn's default of 100, hundreds of clients that connect at once would wait for seconds.
BACKLOG = 4096
# About as long as Google's front end keeps an idle connection.
IDLE_SECONDS = 240
# Hypercorn closes a connection after 1,000 requests unless told otherwise.
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


if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope


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
            # The Live API, which is not simulated
            case _:
                await send({"type": "websocket.close", "code": 1011, "reason": "no Live API here"})

    async def _respond(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        head = request_of(scope, BodyBuffer())
        # Before the body arrives: an interrupted upload must keep the bytes received so far.
        content = self._api.body_buffer(head)
        if await receive_body(receive, content):
            response = self._api.respond(request_of(scope, content))
            # Only a response with delays is worth a task that waits for the client's disconnect.
            if self._time_scale and any(seconds for seconds, _ in response.pieces):
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


def request_of(scope: HTTPScope, content: BodyBuffer) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
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


INVALID_KEY = "invalid"


class PathParameters(NamedTuple):
    """The values of a path's placeholders; empty without such a placeholder."""

    version: str
    name: str


class Api:
    """The state of the simulated API, and its response to every request."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.files = Files(clock)
        self.caches = CachedContents(clock, self.files.find)
        self.calls = Calls(self.caches, self.files.find)

    def body_buffer(self, request: Request) -> BodyBuffer:
        """The buffer for the request's body as it arrives."""
        # Bodies of other requests are kept up to the size that Google accepts.
        return self.files.body_buffer(request) if "/upload/" in request.path else BodyBuffer()

    def respond(self, request: Request) -> HttpResponse:
        for route in ROUTES:
            parameters = route.match(request)
            if parameters is not None:
                return self.respond_by(route, request, parameters)
        return empty_404()

    def respond_by(self, route: Route, request: Request, parameters: PathParameters) -> HttpResponse:
        """An open upload session needs no key: its URL authorizes it."""
        try:
            if not (route.open or self.files.session(request)):
                check_key(request)
            return route.respond(self, request, parameters)
        except GoogleError as error:
            return error_response(error, request)


def check_key(request: Request) -> None:
    """Any key is valid but the word `invalid`. Raises GoogleError."""
    if request.key is None:
        raise missing_key()
    if request.key == INVALID_KEY:
        raise invalid_key()


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path with placeholders: `{v}` a version, `{id}` a name without slash and colon.
    `respond` raises GoogleError; `open` routes need no key."""

    method: str
    path: str
    respond: Callable[[Api, Request, PathParameters], HttpResponse]
    open: bool = False

    def match(self, request: Request) -> PathParameters | None:
        found = pattern(self.path).fullmatch(request.path) if request.method == self.method else None
        return PathParameters(**{"version": "", "name": ""} | found.groupdict()) if found else None


@cache
def pattern(path: str) -> re.Pattern[str]:
    placeholders = {"{v}": r"(?P<version>v1(?:beta|alpha)?)", "{id}": r"(?P<name>[^/:]+)"}
    return re.compile(
        "".join(placeholders.get(piece, re.escape(piece)) for piece in re.split(r"(\{\w+\})", path))
    )


def index_page(_api: Api, _request: Request, _parameters: PathParameters) -> HttpResponse:
    return response(200, b"text/plain; charset=utf-8", commands_page().encode())


def list_models(_api: Api, request: Request, _parameters: PathParameters) -> HttpResponse:
    some, more = page(TABLE, request.query.get("pageSize"), request.query.get("pageToken"))
    return json_response({"models": [model.resource() for model in some]} | more)


MODEL, FILE, CACHE = "/{v}/models/{id}", "/{v}/files/{id}", "/{v}/cachedContents/{id}"
FILES, CACHES = "/{v}/files", "/{v}/cachedContents"

ROUTES = (
    Route("GET", "/", index_page, open=True),
    Route("POST", f"{MODEL}:generateContent", lambda api, request, at: api.calls.generate(request, *at)),
    Route("POST", f"{MODEL}:streamGenerateContent", lambda api, request, at: api.calls.stream(request, *at)),
    Route("POST", f"{MODEL}:countTokens", lambda api, request, at: api.calls.count(request, *at)),
    Route("POST", f"{MODEL}:embedContent", lambda api, request, at: embed(request, *at, api.files.find)),
    Route(
        "POST",
        f"{MODEL}:batchEmbedContents",
        lambda api, request, at: embed_batch(request, *at, api.files.find),
    ),
    Route("GET", "/{v}/models", list_models),
    Route("GET", MODEL, lambda _, __, at: json_response(get_model(at.name, at.version).resource())),
    Route("POST", f"/upload{FILES}", lambda api, request, _: api.files.upload(request)),
    Route("PUT", f"/upload{FILES}", lambda api, request, _: api.files.upload(request)),
    Route("POST", f"/resumable/upload{FILES}", lambda api, request, _: api.files.upload(request)),
    Route("PUT", f"/resumable/upload{FILES}", lambda api, request, _: api.files.upload(request)),
    Route("GET", FILES, lambda api, request, _: api.files.list(request)),
    Route("GET", FILE, lambda api, _, at: api.files.get(f"files/{at.name}")),
    Route("DELETE", FILE, lambda api, _, at: api.files.delete(f"files/{at.name}")),
    Route("GET", f"{FILE}:download", lambda api, _, at: api.files.download(f"files/{at.name}")),
    Route("GET", f"/download{FILE}:download", lambda api, _, at: api.files.download(f"files/{at.name}")),
    Route("POST", CACHES, lambda api, request, at: api.caches.create(request, at.version)),
    Route("GET", CACHES, lambda api, request, _: api.caches.list(request)),
    Route("GET", CACHE, lambda api, _, at: api.caches.get(f"cachedContents/{at.name}")),
    Route("PATCH", CACHE, lambda api, request, at: api.caches.patch(f"cachedContents/{at.name}", request)),
    Route("DELETE", CACHE, lambda api, _, at: api.caches.delete(f"cachedContents/{at.name}")),
)
