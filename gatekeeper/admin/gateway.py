"""What all of the gateway's HTTP side shares, and how a request finds it."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

from quart import current_app

from gatekeeper.keys.registry import Registry
from gatekeeper.keys.secrets import Failures
from gatekeeper.ledger.book import Ledger
from gatekeeper.ledger.entry import Call
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.settings import Settings
from gatekeeper.times import micros

NAME = "gatekeeper"


class Shared(Protocol):
    """What calls and the admin API share: the prices in force, whether a stop is under way, and who has come
    with wrong keys."""

    catalogue: Catalogue
    draining: bool
    failures: Failures


class ProxyApp(Protocol):
    """What others need of the proxy: to pass a request through it, to look at it, and to end it."""

    @property
    def context(self) -> Shared: ...

    @property
    def open_calls(self) -> Sized: ...

    @property
    def at_work(self) -> bool: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def peek(self, call_id: str) -> Call | None: ...

    def cut_all(self) -> None: ...


@dataclass(frozen=True)
class Gateway:
    """One running gateway, made when it starts."""

    settings: Settings
    registry: Registry
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
        return micros(self.now())


def gateway() -> Gateway:
    """The gateway that the current request has reached."""
    return cast("Gateway", current_app.extensions[NAME])
