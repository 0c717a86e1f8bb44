"""The sandbox served: Hypercorn on trio, an ASGI 3 application, and the table of Google's paths that it
knows.

Everything but time and the connection is decided by `Api`; here it is waited for and sent, at a human pace.
Raw ASGI: a framework would add nothing but its cost.
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
from gatekeeper.sandbox.errors import COMMANDS, ApiError, bad_key, no_key
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.models import TABLE, listed
from gatekeeper.sandbox.resources import Caches, Clock, page
from gatekeeper.sandbox.wire import Answer, Content, Request, answer, error_answer, json_answer, nothing
from gatekeeper.server.listener import serve_listener

# Hypercorn's 100 makes hundreds of clients that come at once wait for seconds
BACKLOG = 4096
# Google's front end keeps an idle connection about as long
IDLE_SECONDS = 240
# Hypercorn closes a connection after 1,000 requests unless told otherwise.
NEVER = 2**62
LARGEST_HEAD = 64 * 1024


async def serve_sandbox(
    host: str,
    port: int,
    *,
    pace: float = 1.0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the port, which for `port` 0 is any free one, as soon as clients can
    connect. Raises OSError if the address cannot be had."""
    listeners = bound(host, port)
    task_status.started(listeners[0].getsockname()[1])
    await serve_on(listeners, pace=pace)


def bound(host: str, port: int) -> list[socket.socket]:
    """Raises OSError if the address cannot be had."""
    listeners = bind(host, port, BACKLOG)
    for listener in listeners:
        # Or small events would wait for each other
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listeners


async def serve_on(listeners: list[socket.socket], *, pace: float = 1.0) -> None:
    """Serves until cancelled."""
    app, config, never = Sandbox(pace=pace), settings(), trio.Event()
    async with trio.open_nursery() as servers:
        for listener in listeners:
            servers.start_soon(serve_listener, app, config, listener, never)


def settings() -> Config:
    """Hypercorn's. Faults of the sandbox go to the log `gatekeeper.sandbox`."""
    config = Config()
    config.errorlog = logging.getLogger("gatekeeper.sandbox")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = NEVER
    config.h11_max_incomplete_size = LARGEST_HEAD
    return config


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
            # The Live API, which is not simulated
            case _:
                await send({"type": "websocket.close", "code": 1011, "reason": "no Live API here"})

    async def _exchange(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        head = request_of(scope, Content())
        # Before the body: an upload that breaks off is to keep what has come.
        content = self._api.sink(head)
        if await arrived(receive, content):
            answer = self._api.answer(request_of(scope, content))
            # Only an answer that takes time is worth a task that watches for the client's leaving.
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


BAD_KEY = "invalid"


class Place(NamedTuple):
    """What a path's gaps hold; empty where it has no such gap."""

    version: str
    name: str


class Api:
    """All that the simulated API holds, and its answer to every request."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.files = Files(clock)
        self.caches = Caches(clock, self.files.find)
        self.calls = Calls(self.caches, self.files.find)

    def sink(self, request: Request) -> Content:
        """Where the request's body is to be put as it arrives."""
        # Bodies of other requests are kept as far as Google takes them.
        return self.files.sink(request) if "/upload/" in request.path else Content()

    def answer(self, request: Request) -> Answer:
        for route in ROUTES:
            place = route.match(request)
            if place is not None:
                return self.routed(route, request, place)
        return nothing()

    def routed(self, route: Route, request: Request, place: Place) -> Answer:
        """An open upload needs no key: its address is one."""
        try:
            if not (route.open or self.files.session(request)):
                check_key(request)
            return route.respond(self, request, place)
        except ApiError as error:
            return error_answer(error, request)


def check_key(request: Request) -> None:
    """Any key is good but the word `invalid`. Raises ApiError."""
    if request.key is None:
        raise no_key()
    if request.key == BAD_KEY:
        raise bad_key()


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path with gaps: `{v}` a version, `{id}` a name without slash and colon. `respond` raises
    ApiError; `open` routes ask for no key."""

    method: str
    path: str
    respond: Callable[[Api, Request, Place], Answer]
    open: bool = False

    def match(self, request: Request) -> Place | None:
        found = pattern(self.path).fullmatch(request.path) if request.method == self.method else None
        return Place(**{"version": "", "name": ""} | found.groupdict()) if found else None


@cache
def pattern(path: str) -> re.Pattern[str]:
    gaps = {"{v}": r"(?P<version>v1(?:beta|alpha)?)", "{id}": r"(?P<name>[^/:]+)"}
    return re.compile("".join(gaps.get(piece, re.escape(piece)) for piece in re.split(r"(\{\w+\})", path)))


def welcome(_api: Api, _request: Request, _place: Place) -> Answer:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {word:<{width}}  {meaning}" for word, meaning in COMMANDS.items())
    body = (
        "This is gatekeeper's sandbox: a simulated Gemini API. Any API key is good; nothing leaves here.\n\n"
        f"A prompt that begins with one of these words shows what can go wrong:\n\n{commands}\n\n"
        "GET /v1beta/models lists the models. The key `invalid` is refused as Google refuses a bad one.\n"
    )
    return answer(200, b"text/plain; charset=utf-8", body.encode())


def list_models(_api: Api, request: Request, _place: Place) -> Answer:
    some, more = page(TABLE, request.query.get("pageSize"), request.query.get("pageToken"))
    return json_answer({"models": [model.resource() for model in some]} | more)


MODEL, FILE, CACHE = "/{v}/models/{id}", "/{v}/files/{id}", "/{v}/cachedContents/{id}"
FILES, CACHES = "/{v}/files", "/{v}/cachedContents"

ROUTES = (
    Route("GET", "/", welcome, open=True),
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
    Route("GET", MODEL, lambda _, __, at: json_answer(listed(at.name, at.version).resource())),
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
