"""The server of the terminal application's pages: who may open a terminal, and from which pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import textual_serve
from aiohttp import web

from gatekeeper.addresses import cross_site_reason, is_loopback
from gatekeeper.client.api_errors import ApiError
from gatekeeper.web import pages
from gatekeeper.web.sign_in import SIGNED_IN_SECONDS, Refused, SignIns, check_key, is_open, open_mode_reason
from gatekeeper.web.terminal import Terminal, run_terminal

COOKIE = "gatekeeper_sign_in"
# Each is a process of some 50 MB.
MAX_TERMINALS = 20
# Before a refused key is answered: nobody tries many.
REFUSAL_SECONDS = 1.0
# A larger message of a browser is no key press and no paste of a person.
MAX_MESSAGE_BYTES = 1024 * 1024
STATIC = Path(textual_serve.__file__).parent / "static"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebTerminals:
    """The pages for the gateway at `url`, served on `host`. `open_mode` is whether it asks for no key."""

    def __init__(self, url: str, host: str, open_mode: bool) -> None:
        self._url = url
        self._host = host
        self._open_mode = open_mode
        self._sign_ins = SignIns()
        self._terminals = 0

    def application(self) -> web.Application:
        """The routes, for aiohttp's server, which textual-serve is made for."""
        application = web.Application(middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/", self._page),
                web.post("/sign-in", self._sign_in),
                web.post("/sign-out", self._sign_out),
                web.get("/terminal", self._terminal),
                web.static("/static", STATIC),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses what pages of other sites send."""
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if self._open_mode and (reason := cross_site_reason(request.host, origin, site)):
            raise web.HTTPForbidden(text=f"{reason}\n")
        # A browser names the page's origin with every WebSocket and every form.
        if (request.method != "GET" or request.path == "/terminal") and not same_origin(origin, request.host):
            raise web.HTTPForbidden(text="Only the pages of this server may ask for this.\n")
        return await handler(request)

    def _key(self, request: web.Request) -> str | None:
        return self._sign_ins.key(request.cookies.get(COOKIE, ""))

    async def _page(self, request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        if self._open_mode or self._key(request):
            return html(pages.terminal_page(nonce, signed_in=not self._open_mode), nonce)
        return html(pages.sign_in_page(nonce), nonce)

    async def _sign_in(self, request: web.Request) -> web.Response:
        key = str((await request.post()).get("key", "")).strip()
        try:
            await check_key(self._url, key, self._host)
        except (ApiError, Refused) as error:
            await asyncio.sleep(REFUSAL_SECONDS)
            nonce = secrets.token_urlsafe(16)
            return html(pages.sign_in_page(nonce, str(error)), nonce, status=403)
        response = web.Response(status=303, headers={"Location": "."})
        response.set_cookie(
            COOKIE,
            self._sign_ins.add(key),
            max_age=int(SIGNED_IN_SECONDS),
            httponly=True,
            samesite="Strict",
            # Behind a proxy that speaks TLS to browsers.
            secure=request.headers.get("X-Forwarded-Proto") == "https",
        )
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._sign_ins.remove(request.cookies.get(COOKIE, ""))
        response = web.Response(status=303, headers={"Location": "."})
        response.del_cookie(COOKIE)
        return response

    async def _terminal(self, request: web.Request) -> web.WebSocketResponse:
        key = self._key(request)
        if key is None and not self._open_mode:
            raise web.HTTPUnauthorized(text="Sign in first.\n")
        if self._terminals >= MAX_TERMINALS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_TERMINALS} terminals are open: close one first.\n")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=MAX_MESSAGE_BYTES)
        # Before the first await: two that ask at once must not both be the last that fits.
        self._terminals += 1
        try:
            await socket.prepare(request)
            size = request.query.get("width", ""), request.query.get("height", "")
            await run_terminal(socket, Terminal(self._url, key, socket), *size)
        finally:
            self._terminals -= 1
        return socket


def same_origin(origin: str | None, host: str) -> bool:
    """Whether a page of this server sent the request; the scheme may be that of a proxy before it."""
    try:
        return origin is not None and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # brackets that do not match, say
        return False


def html(text: str, nonce: str, status: int = 200) -> web.Response:
    """A page that no other may frame, and that no cache keeps."""
    headers = {
        "Content-Security-Policy": pages.content_policy(nonce),
        "Cache-Control": "no-store",
        # With `no-referrer` a browser names no origin either when it sends the form.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def serve(url: str, host: str, port: int, announce: Callable[[bool], None]) -> None:
    """Serves until SIGINT or SIGTERM; at its start `announce` is told whether no key is asked for.

    Raises ApiError if the gateway cannot be asked, Refused if it is in open mode and `host` is not loopback,
    and OSError if the address cannot be listened on.
    """
    open_mode = asyncio.run(is_open(url))
    if open_mode and not is_loopback(host):
        raise Refused(open_mode_reason(host))
    application = WebTerminals(url, host, open_mode).application()

    async def started(_: web.Application) -> None:
        announce(open_mode)

    application.on_startup.append(started)
    web.run_app(application, host=host, port=port, print=None, access_log=None, shutdown_timeout=2)
