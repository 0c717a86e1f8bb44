"""The gateway's ASGI application: routes `/gemini/…` to the proxy, everything else to the admin API (Quart).

The proxy bypasses Quart, whose request handling costs more than the relay itself, buffers bodies, and ends
requests after a minute. A gateway that only relays calls never loads Quart: that takes 11 MB and a quarter of
a second of CPU.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope, WWWScope

from gatekeeper.admin.probes import answer_probe, probe_of
from gatekeeper.admin.problems import reject_malformed
from gatekeeper.gateway import Gateway
from gatekeeper.proxy.cors import AllowedOrigins
from gatekeeper.proxy.not_found import is_gemini_path, send_base_url_error
from gatekeeper.public_url import public_base
from gatekeeper.server.asgi_types import InlineApp, Receive, Send
from gatekeeper.server.asgi_types import Scope as AnyScope

if TYPE_CHECKING:
    from gatekeeper.admin.app import AdminApi

PROXY_PREFIX = b"/gemini/"
SWITCH_INTERVAL = (
    2e-4  # seconds that a thread keeps the GIL while another waits for it; Python's default is 5e-3
)
SHORT_PREFIXES = (b"/key/", b"/group/", b"/user/")
"""Short requests of the admin API, which run in the task of their connection."""
ABSOLUTE_FORM = re.compile(rb"(?i:https?)://(?:[^/@]*@)?([^/@]+)(/.*)?")


class Gatekeeper:
    """The whole gateway as one ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.inline_app = InlineApp((PROXY_PREFIX, *SHORT_PREFIXES), self.run_inline)
        self.allowed_origins = AllowedOrigins(gateway.settings.allowed_origins or ())
        self._admin_api: AdminApi | None = None
        self._loading = trio.Lock()

    def run_inline(self, scope: AnyScope, receive: Receive, send: Send) -> Awaitable[None]:
        """Runs a request in the task of its connection: calls, and short requests of the admin API."""
        if scope["raw_path"].startswith(PROXY_PREFIX):
            return self.gateway.proxy(scope, receive, send)
        if scope["type"] == "http":
            return self._run_short(scope, receive, send)
        return self(
            cast("Scope", scope), cast("ASGIReceiveCallable", receive), cast("ASGISendCallable", send)
        )

    async def _run_short(self, scope: AnyScope, receive: Receive, send: Send) -> None:
        await (self._admin_api or await self.admin_api()).run_inline(scope, receive, send)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Only other ASGI servers send it; this one starts and stops everything in `serve`.
        if scope["type"] == "lifespan":
            await (await self.admin_api())(scope, receive, send)
            return
        # Before routing, or `GET http://host/gemini/…` would go to the admin API.
        scope = to_origin_form(scope)
        if scope["raw_path"].startswith(PROXY_PREFIX):
            await self.gateway.proxy(scope, receive, send)
        elif scope["type"] == "websocket":  # only `/gemini` has one
            # Before an accept this is a 403 (ASGI).
            await send({"type": "websocket.close", "code": 1008, "reason": None})
        elif malformed := scope["state"].get("malformed"):
            await reject_malformed(malformed, send)
        elif is_gemini_path(scope["raw_path"]):
            base = public_base(scope, self.gateway.settings)
            await send_base_url_error(scope, receive, send, base, self.allowed_origins)
        # Once it is loaded it answers the probes itself.
        elif self._admin_api is None and (probe := probe_of(scope)):
            await answer_probe(probe, self.gateway, send)
        else:
            await (await self.admin_api())(scope, receive, send)

    async def admin_api(self) -> AdminApi:
        """The admin API, which is loaded on first use."""
        # The first requests may come together.
        async with self._loading:
            if self._admin_api is None:
                # In a thread, or all calls would wait.
                self._admin_api = await trio.to_thread.run_sync(load_admin_api, self.gateway)
        return self._admin_api


def load_admin_api(gateway: Gateway) -> AdminApi:
    """Imports the admin API, in a thread, with a shorter GIL switch interval: after each system call the
    event loop would otherwise wait up to 5 ms for the GIL. Measured, the streams' 99th percentile between two
    events was 64 ms instead of 35 meanwhile."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        from gatekeeper.admin.app import AdminApi

        return AdminApi(gateway)
    finally:
        sys.setswitchinterval(before)


def to_origin_form(scope: WWWScope) -> WWWScope:
    """Converts a request target in absolute form, `http://host/path`, which every server must accept, to
    origin form, `/path` with that host (RFC 9112 §3.2.2)."""
    absolute = ABSOLUTE_FORM.fullmatch(scope["raw_path"])
    if absolute is None:
        return scope
    path = absolute[2] or b"/"
    # RFC 9112 §3.2.2: the host of the target counts, not the field.
    others = [field for field in scope["headers"] if field[0] != b"host"]
    changed = {
        "raw_path": path,
        "path": unquote(path.decode("latin-1")),
        "headers": [(b"host", absolute[1]), *others],
    }
    return cast("WWWScope", {**scope, **changed})
