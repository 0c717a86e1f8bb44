"""The parts of a running gateway that the admin API and the process use."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from gatekeeper.keys.audit import AuditLog
from gatekeeper.keys.explanation import Explanation, HypotheticalCall
from gatekeeper.keys.google_key_changes import GoogleKeyChanges
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import AuthFailures
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.ledger.call import CallRecord
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.runtime import now_micros
from gatekeeper.settings import Settings


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

    def snapshot(self, call_id: str) -> CallRecord | None: ...

    def snapshots(self) -> dict[str, Callable[[], CallRecord]]: ...

    async def explain(self, key: KeyState, question: HypotheticalCall) -> Explanation: ...

    def cut_all(self) -> None: ...


@dataclass(frozen=True)
class Gateway:
    """One running gateway."""

    settings: Settings
    registry: KeyRegistry
    audit: AuditLog
    google_keys: GoogleKeyChanges
    ledger: Ledger
    proxy: ProxyInterface

    @property
    def catalogue(self) -> Catalogue:
        """The current prices."""
        return self.proxy.context.catalogue

    def now(self) -> datetime:
        """The time in the configured zone, for days and hours."""
        return datetime.now(ZoneInfo(self.settings.timezone))

    def now_micros(self) -> int:
        """The time in microseconds since 1970."""
        return now_micros()
