"""The admin API's documents as types: what all of them share, the gateway itself, and its prices. Those of
calls are in `call_types.py`, of keys in `key_types.py`, of sums in `spend.py`, of changes in `audit.py`.

Every field is optional, so that an older or newer gateway can be read. Money is a Decimal (JSON has it as a
string); None means unknown, never 0. Times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiResponse(Generic[T]):
    """A document, as received (`raw`, the JSON bytes) and decoded (`value`)."""

    value: T
    raw: bytes


class PartialResult(msgspec.Struct, frozen=True, kw_only=True):
    """`partial`: the calls in the analytics file are missing; `partial_reason` says why."""

    partial: bool = False
    partial_reason: str = "the analytics file cannot be read"


class GatewayInfo(msgspec.Struct, frozen=True):
    """The document of `GET /`. `mode` is `open` or `master key`, `timezone` that of days and hours;
    `upstream` is None with the sandbox."""

    name: str = "gatekeeper"
    version: str = ""
    mode: str = ""
    sandbox: bool = False
    upstream: str | None = None
    timezone: str = ""


class GoogleKey(msgspec.Struct, frozen=True):
    """One of the gateway's own Google keys. `state` is `ok`, or why calls are not made with it."""

    label: str
    state: str


class Readiness(msgspec.Struct, frozen=True):
    """The document of `GET /readyz`: whether it takes calls, why not, and other problems. `google_keys` and
    `analytics_lag_seconds` (None: unknown) are set if the gateway takes calls."""

    ready: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    google_keys: list[GoogleKey] = []
    analytics_lag_seconds: float | None = None


class FileLoan(msgspec.Struct, frozen=True):
    """The analytics file on loan: its path on the gateway's machine."""

    file: str


class Prices(msgspec.Struct, frozen=True):
    """Which prices the gateway has: `checked` is the day of the last comparison with Google's page,
    `own_file` the path of the user's own prices there, `faults` why that file is not used as it is now."""

    version: str
    checked: date
    own_file: str | None = None
    faults: tuple[str, ...] = ()


class SeenModel(msgspec.Struct, frozen=True):
    """A model that calls have asked for, and whether it has a price."""

    model: str
    priced: bool = False


class Models(msgspec.Struct, frozen=True):
    """`seen`: most recently used first; `priced`: ids, or globs of ids, of the prices in force."""

    seen: tuple[SeenModel, ...] = ()
    priced: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Every model with a price that is known by its name, those in use first."""
        known = [each.model for each in self.seen if each.priced]
        return list(dict.fromkeys([*known, *(name for name in self.priced if "*" not in name)]))


class CostLine(msgspec.Struct, frozen=True):
    """One component of a cost: `usd` = `quantity` × `unit_usd` / the size of `unit` (`per_1m_tokens`)."""

    component: str = ""
    quantity: Decimal | None = None
    unit: str = ""
    unit_usd: Decimal | None = None
    usd: Decimal | None = None


class Cost(msgspec.Struct, frozen=True):
    """The arithmetic of a call's cost, by the catalogue in force."""

    cost_usd: Decimal | None = None
    lines: tuple[CostLine, ...] | None = None
    price_version: str | None = None
    notes: tuple[str, ...] | str | None = None


class Quote(msgspec.Struct, frozen=True):
    """The cost of a call of `model`, line by line; None is unknown, and the notes say why."""

    model: str
    cost_usd: Decimal | None
    lines: tuple[CostLine, ...]
    price_version: str
    notes: tuple[str, ...]
