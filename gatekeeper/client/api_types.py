"""The admin API's documents as types: every field optional, so that an older or newer gateway can be read.

Money is a Decimal (JSON has it as a string); None means unknown, never 0. Times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiResponse(Generic[T]):
    """A document, as received (`raw`, the JSON bytes) and decoded (`value`)."""

    value: T
    raw: bytes


class Call(msgspec.Struct, frozen=True):
    """One call; the fields are the ledger's columns. `outcome` is None while it is in flight."""

    id: str = ""
    started_at: datetime | None = None
    duration_ms: float | None = None
    first_byte_ms: float | None = None
    gateway_ms: float | None = None
    key_id: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] | None = None
    method: str | None = None
    path: str | None = None
    action: str | None = None
    model: str | None = None
    model_version: str | None = None
    stream: bool | None = None
    status: int | None = None
    outcome: str | None = None
    reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    thoughts_tokens: int | None = None
    tool_tokens: int | None = None
    total_tokens: int | None = None
    service_tier: str | None = None
    cost_usd: Decimal | None = None
    price_version: str | None = None
    finish_reason: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    upstream_key: str | None = None
    user_agent: str | None = None
    trace_id: str | None = None
    resource: str | None = None
    error_message: str | None = None
    block_reason: str | None = None
    usage_note: str | None = None
    continues: str | None = None
    billed_units: dict[str, int | None] | None = None


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


class ChainTotal(msgspec.Struct, frozen=True):
    """The sums of the calls of a long decode; the cost without the `unpriced_calls`."""

    calls: int = 0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0


class CallDetail(Call, frozen=True):
    """A call with the fields that only `GET /calls/{id}` has. `chain`: the calls of its long decode."""

    usage: object = None
    cost: Cost | None = None
    chain: tuple[Call, ...] = ()
    chain_total: ChainTotal | None = None


class PartialResult(msgspec.Struct, frozen=True, kw_only=True):
    """`partial`: the calls in the analytics file are missing; `partial_reason` says why."""

    partial: bool = False
    partial_reason: str = "the analytics file cannot be read"


class Calls(PartialResult, frozen=True):
    calls: tuple[Call, ...] = ()
    next_cursor: str | None = None


class Key(msgspec.Struct, frozen=True):
    """A virtual key, without its secret."""

    token_id: str = ""
    key_name: str | None = None
    previous_key_name: str | None = None
    previous_expires: datetime | None = None
    previous_used_at: datetime | None = None
    key_alias: str | None = None
    expires: datetime | None = None
    blocked: bool | None = None
    models: tuple[str, ...] | None = None
    max_budget: Decimal | None = None
    soft_budget: Decimal | None = None
    budget_duration: str | None = None
    budget_reset_at: datetime | None = None
    spend: Decimal | None = None
    spend_estimated: Decimal | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    model_max_budget: dict[str, Decimal] | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] | None = None
    metadata: dict[str, object] | None = None
    user_id: str | None = None
    group: str | None = None
    allowed_routes: tuple[str, ...] | None = None
    on_disconnect: str | None = None
    share: str | None = None
    allow_unpriced: bool | None = None
    searches: bool | int | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    service_tiers: tuple[str, ...] | None = None
    allowed_ips: tuple[str, ...] | None = None
    role: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def label(self) -> str:
        """The alias, else the id."""
        return self.key_alias or self.token_id


class NewKey(Key, frozen=True):
    """A key just created, or with a new secret: the only response that holds the secret, in `key`."""

    key: str = ""

    def __repr__(self) -> str:
        # A log or a traceback may show any value, so the secret is left out.
        return f"NewKey({self.label!r}, secret not shown)"


class Keys(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...] = ()
    next_cursor: str | None = None


class MadeKeys(msgspec.Struct, frozen=True):
    """Keys that were created at once, with their secrets; `valid` counts those without a fault."""

    keys: tuple[NewKey, ...] = ()
    valid: int = 0


class KeyInfo(msgspec.Struct, frozen=True):
    """`key` is the token id."""

    key: str = ""
    info: Key = Key()


class Prices(msgspec.Struct, frozen=True):
    """Which prices the gateway has: `checked` is the day of the last comparison with Google's page,
    `own_file` the path of the user's own prices there, `faults` why that file is not used as it is now."""

    version: str
    checked: date
    own_file: str | None = None
    faults: tuple[str, ...] = ()


class FileLoan(msgspec.Struct, frozen=True):
    """The analytics file on loan: its path on the gateway's machine."""

    file: str


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
    `analytics_lag_seconds` (None: not told) are those of a gateway that takes calls."""

    ready: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    google_keys: list[GoogleKey] = []
    analytics_lag_seconds: float | None = None


class Tick(msgspec.Struct, frozen=True):
    """The sums of the last second."""

    calls: int = 0
    errors: int = 0
    in_flight: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = None


class Gap(msgspec.Struct, frozen=True):
    """The number of events that were missed; None where it is unknown, as after a restart."""

    missed: int | None = None
