"""The objects that the admin API works on, how a request finds them, and the access check.

With a master key, a request must have it as its bearer token; wrong ones are counted and delayed
(`keys.secrets`). Without one, in open mode, no key is needed; `_check_browser` rejects cross-site requests.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

from quart import current_app, request

from gatekeeper.addresses import cross_site_reason
from gatekeeper.admin.problems import Problem
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import AuthFailures, hash_secret, matches_master
from gatekeeper.ledger.call import Call
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.public_url import client_address
from gatekeeper.settings import Settings
from gatekeeper.times import to_micros

NAME = "gatekeeper"


class SharedContext(Protocol):
    """The state shared by calls and the admin API: the current prices, why a newer file is not used, whether
    the gateway is shutting down, and the authentication failures."""

    catalogue: Catalogue
    price_faults: tuple[str, ...]
    draining: bool
    auth_failures: AuthFailures


class ProxyInterface(Protocol):
    """The interface of the proxy for the rest of the gateway."""

    @property
    def context(self) -> SharedContext: ...

    @property
    def open_calls(self) -> Sized: ...

    @property
    def has_admitted_calls(self) -> bool: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def peek(self, call_id: str) -> Call | None: ...

    def cut_all(self) -> None: ...


@dataclass(frozen=True)
class Gateway:
    """One running gateway."""

    settings: Settings
    registry: KeyRegistry
    ledger: Ledger
    proxy: ProxyInterface

    @property
    def catalogue(self) -> Catalogue:
        """The current prices."""
        return self.proxy.context.catalogue

    @property
    def actor(self) -> str:
        """The actor of changes in the audit log: all admins have the same key, or none."""
        return "open" if self.settings.open_mode else "master"

    def now(self) -> datetime:
        """The time in the configured zone, for days and hours."""
        return datetime.now(ZoneInfo(self.settings.timezone))

    def now_micros(self) -> int:
        """The time in microseconds since 1970."""
        return to_micros(self.now())


def current_gateway() -> Gateway:
    """The gateway of the current request."""
    return cast("Gateway", current_app.extensions[NAME])


PUBLIC_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs.css"})


async def check_access() -> None:
    """Raises Problem (401, 403) for a request without access."""
    if request.path in PUBLIC_PATHS:
        return
    master = current_gateway().settings.master_key
    if master is None:
        _check_browser()
    else:
        await _check_bearer(master)


async def _check_bearer(master: str) -> None:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    secret = token.strip() if scheme.lower() == "bearer" else ""
    if not secret:
        raise _unauthorised(
            "The admin API needs the master key: send the header Authorization: Bearer MASTER"
        )
    if matches_master(secret, master):
        return
    # An existing virtual key is not a guess: it is not counted as a failure, and gets its own message.
    if current_gateway().registry.by_hash(hash_secret(secret)):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This is a virtual key: it may call /gemini, the admin API takes the master key only",
        )
    # Before the response, so that only the address that guesses has to wait.
    gateway = current_gateway()
    await gateway.proxy.context.auth_failures.throttle(client_address(request.scope, gateway.settings))
    raise _unauthorised("This is not the master key: it is what GATEKEEPER_MASTER_KEY was when serve started")


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="gatekeeper"'})


def _check_browser() -> None:
    headers = request.headers
    # Without a key, a page of another site could send requests from its visitor's browser (DNS rebinding,
    # too).
    if why := cross_site_reason(
        headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")
    ):
        raise Problem(HTTPStatus.FORBIDDEN, why)
