"""The simulated Gemini API: its state, and the routing of requests to its resources."""

from __future__ import annotations

import time

from gatekeeper.sandbox.auth_tokens import AuthTokens
from gatekeeper.sandbox.batch_calls import BatchCalls
from gatekeeper.sandbox.batches import Batches
from gatekeeper.sandbox.caches import CachedContents
from gatekeeper.sandbox.calls import Calls
from gatekeeper.sandbox.corpora import Corpora
from gatekeeper.sandbox.embeddings import Embeddings
from gatekeeper.sandbox.errors import GoogleError, commands_page
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.http import (
    BodyBuffer,
    HttpResponse,
    Request,
    check_key,
    empty_404,
    preflight_response,
    readable_by_page,
    response,
)
from gatekeeper.sandbox.interactions import Interactions
from gatekeeper.sandbox.live_socket import LiveSockets
from gatekeeper.sandbox.media import IMAGE_ROUTES, Videos
from gatekeeper.sandbox.models import MODEL_ROUTES, PALM_ROUTES
from gatekeeper.sandbox.openai import OpenAi, OpenAiBatches
from gatekeeper.sandbox.operations import Operations
from gatekeeper.sandbox.projects import Projects
from gatekeeper.sandbox.routing import Parameters, Route, RouteTable
from gatekeeper.sandbox.search_stores import FileSearchStores
from gatekeeper.sandbox.store import Clock
from gatekeeper.sandbox.tuned_models import TunedModels
from gatekeeper.sandbox.uploads import Uploads


class Api:
    """The simulated API. `clock` is used for everything that expires."""

    def __init__(self, clock: Clock = time.time) -> None:
        files = Files(clock)
        self.uploads = Uploads(clock)
        caches = CachedContents(clock, files.find)
        calls = Calls(caches, files.find)
        tokens = AuthTokens(clock)
        openai, operations, batches = OpenAi(clock, calls), Operations(clock), Batches(clock)
        self.live = LiveSockets(clock, calls, tokens)
        batch_calls = BatchCalls(batches, calls, files)
        interactions = Interactions(clock, calls)
        self._routes = RouteTable()
        for some in (
            (Route("GET", "/", index_page, open=True),),
            calls.routes(),
            Embeddings(files.find).routes(),
            MODEL_ROUTES,
            files.routes(),
            self.uploads.routes("/{v}/files", files),
            caches.routes(),
            interactions.routes(),
            Projects(clock, interactions).routes(),
            Corpora(clock).routes(),
            FileSearchStores(clock, files, operations).routes(self.uploads),
            TunedModels(clock, calls, batch_calls, operations).routes(),
            PALM_ROUTES,
            openai.routes(),
            operations.routes(),
            batch_calls.routes(),
            OpenAiBatches(batches, openai, files).routes(),
            Videos(files, operations).routes(),
            IMAGE_ROUTES,
            tokens.routes(),
        ):
            self._routes.add(some)

    def body_buffer(self, request: Request) -> BodyBuffer:
        """The buffer for the request's body as it arrives."""
        # Other bodies are kept up to the size that Google accepts.
        return self.uploads.body_buffer(request) if "/upload/" in request.path else BodyBuffer()

    def respond(self, request: Request) -> HttpResponse:
        return readable_by_page(preflight_response(request) or self.answer(request), request)

    def answer(self, request: Request) -> HttpResponse:
        found = self._routes.find(request)
        if found is None:
            return empty_404()
        route, parameters = found
        try:
            # The URL of an upload authorizes its requests.
            if not (route.open or self.uploads.authorizes(request)):
                check_key(request)
            return route.respond(request, parameters)
        except GoogleError as error:
            return route.render_error(error, request)


def index_page(_request: Request, _at: Parameters) -> HttpResponse:
    return response(200, b"text/plain; charset=utf-8", commands_page().encode())
