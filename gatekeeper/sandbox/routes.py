"""Which path is answered by what: a table of Google's paths, as far as the sandbox knows them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from gatekeeper.sandbox import models
from gatekeeper.sandbox.caches import Caches
from gatekeeper.sandbox.calls import Calls
from gatekeeper.sandbox.embeddings import embed, embed_batch
from gatekeeper.sandbox.errors import ApiError, bad_key, no_key
from gatekeeper.sandbox.exchange import Answer, Content, Request, answer, error_answer, json_answer, nothing
from gatekeeper.sandbox.faults import COMMANDS
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.store import Clock, page

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
    some, more = page(models.TABLE, request.query.get("pageSize"), request.query.get("pageToken"))
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
    Route("GET", MODEL, lambda _, __, at: json_answer(models.listed(at.name, at.version).resource())),
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
