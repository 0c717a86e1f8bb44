"""The gateway's ASGI application: routes `/gemini/…` to the proxy, everything else to the admin API (Quart).

The proxy bypasses Quart, whose request handling would cost a call more than the relay itself, buffers bodies,
and ends what takes longer than a minute.
"""

from __future__ import annotations

import re
from typing import Any, cast
from urllib.parse import unquote

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope, WWWScope
from quart import Response
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest

from gatekeeper.admin import (
    account_routes,
    audit,
    calls,
    documentation,
    explain,
    google_keys,
    key_bulk,
    keys,
    spend,
    status,
)
from gatekeeper.admin.access import check_access
from gatekeeper.admin.gateway import NAME, Gateway
from gatekeeper.admin.problems import problem_response, reject_malformed
from gatekeeper.admin.requests import LARGE_BODIES, MAX_BODY_BYTES, check_parameters
from gatekeeper.proxy.cors import AllowedOrigins
from gatekeeper.proxy.not_found import is_gemini_path, send_base_url_error
from gatekeeper.public_url import public_base
from gatekeeper.server.asgi_types import InlineApp
from gatekeeper.server.quart_connection import QuartConnection
from gatekeeper.server.request_validation import MalformedRequest

PROXY_PREFIX = b"/gemini/"
ABSOLUTE_FORM = re.compile(rb"(?i:https?)://(?:[^/@]*@)?([^/@]+)(/.*)?")
BLUEPRINTS = (
    status.blueprint,
    keys.blueprint,
    key_bulk.blueprint,
    explain.blueprint,
    account_routes.groups,
    account_routes.users,
    google_keys.blueprint,
    calls.blueprint,
    spend.blueprint,
    audit.blueprint,
    documentation.blueprint,
)


class AdminRequest(TrioRequest):
    """A request of the admin API, whose body is bounded by its path."""

    def __init__(self, method: str, scheme: str, path: str, *rest: Any, **options: Any) -> None:
        if limit := LARGE_BODIES.get(path):
            options["max_content_length"] = limit
        super().__init__(method, scheme, path, *rest, **options)


class AdminConnection(QuartConnection):
    """Quart connection of the admin API; malformed requests get a problem document."""

    async def refuse_malformed(self, malformed: MalformedRequest, send: ASGISendCallable) -> None:
        await reject_malformed(malformed, send)


class Gatekeeper(QuartTrio):
    """The whole gateway as one ASGI application."""

    asgi_http_class = AdminConnection
    request_class = AdminRequest

    def __init__(self, gateway: Gateway) -> None:
        super().__init__("gatekeeper", static_folder=None, template_folder=None)
        self.gateway = gateway
        self.inline_app = InlineApp(PROXY_PREFIX, gateway.proxy)
        self.allowed_origins = AllowedOrigins(gateway.settings.allowed_origins or ())
        self.extensions[NAME] = gateway
        # Quart's default is 16 MiB; no request of the admin API is near it.
        self.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        self.url_map.merge_slashes = False  # scripts do not expect a redirect
        self.before_request(check_access)
        self.before_request(check_parameters)
        self.after_request(set_no_store)
        self.register_error_handler(Exception, problem_response)
        for blueprint in BLUEPRINTS:
            self.register_blueprint(blueprint)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Sent by other ASGI servers only; ours starts and stops everything in `serve`.
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        # Before routing, or `GET http://host/gemini/…` would go to the admin API.
        scope = to_origin_form(scope)
        if scope["raw_path"].startswith(PROXY_PREFIX):
            await self.gateway.proxy(scope, receive, send)
        elif scope["type"] == "http" and (malformed := scope["state"].get("malformed")):
            await reject_malformed(malformed, send)
        elif scope["type"] == "websocket":  # only `/gemini` has one
            await send({"type": "websocket.close", "code": 1008, "reason": None})
        elif is_gemini_path(scope["raw_path"]):
            base = public_base(scope, self.gateway.settings)
            await send_base_url_error(scope, receive, send, base, self.allowed_origins)
        else:
            await super().__call__(scope, receive, send)


def to_origin_form(scope: WWWScope) -> WWWScope:
    """A request for `http://host/path`, the form for proxies that every server must accept, as one for
    `/path` at that host (RFC 9112 §3.2.2)."""
    absolute = ABSOLUTE_FORM.fullmatch(scope["raw_path"])
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


async def set_no_store(response: Response) -> Response:
    """Responses contain the spend of keys, and sometimes a secret: they must not be cached."""
    response.headers["Cache-Control"] = "no-store"
    return response
