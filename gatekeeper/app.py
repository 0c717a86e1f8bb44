"""The door: `/gemini/…` goes to the proxy as raw ASGI, everything else is the admin API, which is Quart's.

Quart's request machinery would cost a relayed call more than the relay itself, buffers bodies and ends what
takes longer than a minute: reasons to decide before it is entered.
"""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import unquote

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope, WWWScope
from quart import Response
from quart_trio import QuartTrio

from gatekeeper.admin import calls, keys, spend, sql, status
from gatekeeper.admin.gateway import NAME, Gateway, check_access
from gatekeeper.admin.problems import answer_problem, refuse_malformed
from gatekeeper.admin.requests import LARGEST_BODY
from gatekeeper.proxy.directions import belongs_to_gemini, direct
from gatekeeper.server.application import Direct
from gatekeeper.server.grammar import Malformed
from gatekeeper.server.quart_connection import QuartConnection

PROXIED = b"/gemini/"
ABSOLUTE = re.compile(rb"(?i:https?)://(?:[^/@]*@)?([^/@]+)(/.*)?")
NOUNS = (status, keys, calls, spend, sql)


class AdminConnection(QuartConnection):
    """A request to the admin API, whose words for a "no" are its own."""

    async def refuse_malformed(self, malformed: Malformed, send: ASGISendCallable) -> None:
        await refuse_malformed(malformed, send)


class Gatekeeper(QuartTrio):
    """The whole gateway as one ASGI application."""

    asgi_http_class = AdminConnection

    def __init__(self, gateway: Gateway) -> None:
        super().__init__("gatekeeper", static_folder=None, template_folder=None)
        self.gateway = gateway
        self.directly = Direct(PROXIED, gateway.proxy)
        self.extensions[NAME] = gateway
        # Quart's own is 16 MiB; nothing that the admin API takes is near it.
        self.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
        self.url_map.merge_slashes = False  # a redirect is no answer that a script expects
        self.before_request(check_access)
        self.after_request(forbid_storing)
        self.register_error_handler(Exception, answer_problem)
        for noun in NOUNS:
            self.register_blueprint(noun.blueprint)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Only a server that is not ours sends it; ours starts and stops everything in `serve`.
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        # Before any path is looked at, or `GET http://host/gemini/…` would be the admin API's.
        scope = in_origin_form(scope)
        if scope["raw_path"].startswith(PROXIED):
            await self.gateway.proxy(scope, receive, send)
        elif scope["type"] == "http" and (malformed := scope["state"].get("malformed")):
            await refuse_malformed(malformed, send)
        elif scope["type"] == "websocket":  # nothing else here speaks it
            await send({"type": "websocket.close", "code": 1008, "reason": None})
        elif belongs_to_gemini(scope["raw_path"]):
            await direct(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def in_origin_form(scope: WWWScope) -> WWWScope:
    """A request for `http://host/path`, which only proxies are asked for but every server must take, as one
    for `/path` at that host (RFC 9112 §3.2.2)."""
    absolute = ABSOLUTE.fullmatch(scope["raw_path"])
    if absolute is None:
        return scope
    path = absolute[2] or b"/"
    others = [field for field in scope["headers"] if field[0] != b"host"]
    changed = {
        "raw_path": path,
        "path": unquote(path.decode("latin-1")),
        "headers": [(b"host", absolute[1]), *others],
    }
    return cast("WWWScope", {**scope, **changed})


async def forbid_storing(response: Response) -> Response:
    """Answers hold what keys spend, and sometimes a secret: no cache is to keep them."""
    response.headers["Cache-Control"] = "no-store"
    return response
