"""The admin API as an ASGI application, based on Quart. `gatekeeper.app` imports it at the first request to
it."""

from __future__ import annotations

from typing import Any

from hypercorn.typing import ASGISendCallable
from quart.ctx import RequestContext
from quart.typing import ResponseTypes
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest

from gatekeeper.admin import (
    accounts,
    audit,
    calls,
    documentation,
    explain,
    google_keys,
    imports,
    key_bulk,
    keys,
    quotes,
    settings,
    spend,
    status,
)
from gatekeeper.admin.access import NAME, check_access
from gatekeeper.admin.error_responses import problem_response
from gatekeeper.admin.problems import reject_malformed
from gatekeeper.admin.requests import LARGE_BODIES, MAX_BODY_BYTES, check_parameters
from gatekeeper.gateway import Gateway
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.quart_connection import InlineBody, InlineQuartConnection, QuartConnection
from gatekeeper.server.request_validation import MalformedRequest

BLUEPRINTS = (
    status.blueprint,
    settings.blueprint,
    keys.blueprint,
    key_bulk.blueprint,
    explain.blueprint,
    accounts.groups,
    accounts.users,
    google_keys.blueprint,
    imports.blueprint,
    calls.blueprint,
    spend.blueprint,
    quotes.blueprint,
    audit.blueprint,
    documentation.blueprint,
)


class AdminRequest(TrioRequest):
    """A request to the admin API; the limit of its body depends on the path."""

    body_class = InlineBody

    def __init__(self, method: str, scheme: str, path: str, *rest: Any, **options: Any) -> None:
        if limit := LARGE_BODIES.get(path):
            options["max_content_length"] = limit
        super().__init__(method, scheme, path, *rest, **options)


class AdminConnection(QuartConnection):
    """Quart connection of the admin API; malformed requests get a problem document."""

    async def refuse_malformed(self, malformed: MalformedRequest, send: ASGISendCallable) -> None:
        await reject_malformed(malformed, send)


class AdminApi(QuartTrio):
    """The admin API of one gateway."""

    asgi_http_class = AdminConnection
    request_class = AdminRequest

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(NAME, static_folder=None, template_folder=None)
        self.extensions[NAME] = gateway
        # Quart's default of 16 MiB is far more than a request to the admin API needs.
        self.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        self.url_map.merge_slashes = False  # scripts do not expect a redirect
        self.register_error_handler(Exception, problem_response)
        for blueprint in BLUEPRINTS:
            self.register_blueprint(blueprint)

    # Instead of `before_request` and `after_request`, whose look-up in the application and each blueprint
    # takes as long as the functions themselves.

    async def preprocess_request(self, request_context: RequestContext | None = None) -> None:  # noqa: ARG002
        await check_access()
        await check_parameters()

    async def process_response(
        self,
        response: ResponseTypes,
        request_context: RequestContext | None = None,  # noqa: ARG002
    ) -> ResponseTypes:
        """Forbids caching, because responses contain the spend of keys and sometimes a secret."""
        response.headers["Cache-Control"] = "no-store"
        return response

    async def run_inline(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a short request in the task of its connection."""
        await InlineQuartConnection(self, scope).run(receive, send)
