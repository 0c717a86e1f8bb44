"""The door: `/gemini/…` goes to the proxy as raw ASGI, everything else is the admin API, which is Quart's.

Quart's request machinery would cost a relayed call more than the relay itself, buffers bodies and ends what
takes longer than a minute: reasons to decide before it is entered.
"""

from __future__ import annotations

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from quart import Response
from quart_trio import QuartTrio

from gatekeeper.admin import audit, calls, keys, litellm, models, spend, sql, status
from gatekeeper.admin.access import check_access
from gatekeeper.admin.connection import Connection
from gatekeeper.admin.documents import LARGEST_BODY
from gatekeeper.admin.gateway import NAME, Gateway
from gatekeeper.admin.problems import answer_problem, refuse_malformed

PROXIED = b"/gemini/"
NOUNS = (status, keys, calls, spend, litellm, models, audit, sql)


class Gatekeeper(QuartTrio):
    """The whole gateway as one ASGI application."""

    asgi_http_class = Connection

    def __init__(self, gateway: Gateway) -> None:
        super().__init__("gatekeeper", static_folder=None, template_folder=None)
        self.gateway = gateway
        self.extensions[NAME] = gateway
        self.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
        self.url_map.merge_slashes = False  # a redirect is no answer that a script expects
        self.before_request(check_access)
        self.after_request(forbid_storing)
        self.register_error_handler(Exception, answer_problem)
        for noun in NOUNS:
            self.register_blueprint(noun.blueprint)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "lifespan" and scope["raw_path"].startswith(PROXIED):
            await self.gateway.proxy(scope, receive, send)
        elif scope["type"] == "http" and (malformed := scope["state"].get("malformed")):
            await refuse_malformed(malformed, send)
        elif scope["type"] == "websocket":  # nothing else here speaks it
            await send({"type": "websocket.close", "code": 1008, "reason": None})
        else:
            await super().__call__(scope, receive, send)


async def forbid_storing(response: Response) -> Response:
    """Answers hold what keys spend, and sometimes a secret: no cache is to keep them."""
    response.headers["Cache-Control"] = "no-store"
    return response
