"""What all of the gateway's HTTP side shares, how a request finds it, and who may use the admin API.

With a master key: whoever shows it, as a bearer token and in no other way; wrong ones are counted and slowed
(`keys.secrets`). Without one, in open mode, nobody is asked, and `addresses` keeps other sites' pages out.
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
from gatekeeper.settings import Settings
from gatekeeper.times import to_micros

NAME = "gatekeeper"


class Shared(Protocol):
    """What calls and the admin API share: the prices in force, whether a stop is under way, and who has come
    with wrong keys."""

    catalogue: Catalogue
    draining: bool
    auth_failures: AuthFailures


class ProxyApp(Protocol):
    """What others need of the proxy: to pass a request through it, to look at it, and to end it."""

    @property
    def context(self) -> Shared: ...

    @property
    def open_calls(self) -> Sized: ...

    @property
    def has_admitted_calls(self) -> bool: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def peek(self, call_id: str) -> Call | None: ...

    def cut_all(self) -> None: ...


@dataclass(frozen=True)
class Gateway:
    """One running gateway, made when it starts."""

    settings: Settings
    registry: KeyRegistry
    ledger: Ledger
    proxy: ProxyApp

    @property
    def catalogue(self) -> Catalogue:
        """The prices in force."""
        return self.proxy.context.catalogue

    @property
    def admin(self) -> str:
        """Who asks for changes, as the audit trail calls them: every admin has the same key, or none."""
        return "open" if self.settings.open_mode else "master"

    def now(self) -> datetime:
        """The time in the zone in which days and hours are meant."""
        return datetime.now(ZoneInfo(self.settings.timezone))

    def micros(self) -> int:
        """The same in microseconds since 1970."""
        return to_micros(self.now())


def gateway() -> Gateway:
    """The gateway that the current request has reached."""
    return cast("Gateway", current_app.extensions[NAME])


UNGUARDED = frozenset({"/", "/healthz", "/readyz"})


async def check_access() -> None:
    """Raises Problem (401, 403) for a request that may not go on."""
    if request.path in UNGUARDED:
        return
    master = gateway().settings.master_key
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
    # A living key that came to the wrong door is no guess: it is not counted, and told what it is.
    if gateway().registry.by_hash(hash_secret(secret)):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This is a virtual key: it may call /gemini, the admin API takes the master key only",
        )
    # Before the answer: who guesses waits, and nobody else does.
    await gateway().proxy.context.auth_failures.throttle(request.remote_addr or "")
    raise _unauthorised("This is not the master key: it is what GATEKEEPER_MASTER_KEY was when serve started")


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="gatekeeper"'})


def _check_browser() -> None:
    headers = request.headers
    # Without a key a page of another site could ask in its visitor's name (DNS rebinding, too).
    if why := cross_site_reason(
        headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")
    ):
        raise Problem(HTTPStatus.FORBIDDEN, why)
