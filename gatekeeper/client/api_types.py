"""The admin API's documents as types: every field optional, so that an older or newer gateway can be read.

Money is a Decimal (JSON has it as a string); None means unknown, never 0. Times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A document as it came (`raw`, the JSON bytes) and as it reads (`value`)."""

    value: T
    raw: bytes


class Call(msgspec.Struct, frozen=True):
    """One call; the fields are the columns of the contract. `outcome` is None while it is in flight."""

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
    error_message: str | None = None
    usage_note: str | None = None


class CostLine(msgspec.Struct, frozen=True):
    """One component of a cost: `usd` = `quantity` × `unit_usd` / the size of `unit` (`per_1m_tokens`)."""

    component: str = ""
    quantity: Decimal | None = None
    unit: str = ""
    unit_usd: Decimal | None = None
    usd: Decimal | None = None


class Cost(msgspec.Struct, frozen=True):
    """The arithmetic of a call's cost."""

    lines: tuple[CostLine, ...] | None = None
    price_version: str | None = None
    notes: tuple[str, ...] | str | None = None


class CallDetail(Call, frozen=True):
    """A call with what only `GET /calls/{id}` tells."""

    usage: object = None
    cost: Cost | None = None


class Calls(msgspec.Struct, frozen=True):
    """`partial`: another program has the analytics file, so that older calls are missing."""

    calls: tuple[Call, ...] = ()
    next_cursor: str | None = None
    partial: bool = False


# What is said of a limit in `not_enforced`: nobody can rely on it.
STORED = "stored, not enforced yet"


class Key(msgspec.Struct, frozen=True):
    """A virtual key, without its secret."""

    token_id: str = ""
    key_name: str | None = None
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
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] | None = None
    metadata: dict[str, object] | None = None
    user_id: str | None = None
    group: str | None = None
    allowed_routes: tuple[str, ...] | None = None
    on_disconnect: str | None = None
    not_enforced: tuple[str, ...] = ()
    created_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def label(self) -> str:
        """What a person calls it: the alias, else the id."""
        return self.key_alias or self.token_id


class NewKey(Key, frozen=True):
    """A key just made, or just given a new secret: the one answer that holds the secret, in `key`."""

    key: str = ""

    def __repr__(self) -> str:
        # A log or a traceback may show any value: not this one's secret.
        return f"NewKey({self.label!r}, secret not shown)"


class Keys(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...] = ()
    next_cursor: str | None = None


class KeyInfo(msgspec.Struct, frozen=True):
    """`key` is the token id."""

    key: str = ""
    info: Key = Key()


# Finds the `unpriced_calls`: no cost is below 0, so only one that nobody knows is not at least 0.
UNPRICED = "-cost:>=0"


class SpendRow(msgspec.Struct, frozen=True):
    """One group's sums. The group's own fields are those that `by` named; None there is "without one".

    With `other` these are the sums of all groups outside the top that was asked for: `groups` of them.
    """

    tag: str | None = None
    model: str | None = None
    key: str | None = None
    user: str | None = None
    day: str | None = None
    hour: str | None = None
    calls: int = 0
    errors: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0
    other: bool = False
    groups: int | None = None

    @property
    def spent(self) -> Decimal:
        """What is known to be spent."""
        return self.cost_usd or Decimal(0)

    @property
    def known_cost(self) -> Decimal | None:
        """What it cost; None where no price is known of any call that is charged for: that 0 is no sum."""
        return self.cost_usd if self.cost_usd or not self.unpriced_calls else None


class SpendRest(SpendRow, frozen=True):
    """The sums of so many rows that an answer left out."""

    rows: int = 0


class Spend(msgspec.Struct, frozen=True):
    """`partial` as with calls. `since` and `until` are the points of time that were meant, `timezone` that of
    the days and hours; `rest` is there where the answer is `truncated`."""

    rows: tuple[SpendRow, ...] = ()
    total: SpendRow = SpendRow()
    truncated: bool = False
    rest: SpendRest | None = None
    since: datetime | None = None
    until: datetime | None = None
    timezone: str = "UTC"
    partial: bool = False


class Loan(msgspec.Struct, frozen=True):
    """The analytics file, lent: its path on the gateway's machine."""

    file: str


class Gateway(msgspec.Struct, frozen=True):
    """What `GET /` tells of the gateway. `mode` is `open` or `master key`, `timezone` that of its days."""

    name: str = "gatekeeper"
    version: str = ""
    mode: str = ""
    sandbox: bool = False
    timezone: str = ""


class Tick(msgspec.Struct, frozen=True):
    """The last second, summed."""

    calls: int = 0
    errors: int = 0
    in_flight: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = None


class Gap(msgspec.Struct, frozen=True):
    """So many events are lost to this reader; None where nobody knows, as after a restart."""

    missed: int | None = None


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event of the stream: `id` is what `Last-Event-ID` resumes after, `raw` the data as it came."""

    id: str
    value: T
    raw: str


@dataclass(frozen=True, slots=True)
class CallStarted(Event[Call]): ...


@dataclass(frozen=True, slots=True)
class CallFinished(Event[Call]): ...


@dataclass(frozen=True, slots=True)
class StreamGap(Event[Gap]): ...


@dataclass(frozen=True, slots=True)
class StreamTick(Event[Tick]): ...


StreamEvent = CallStarted | CallFinished | StreamGap | StreamTick

CALL = msgspec.json.Decoder(Call)
GAP = msgspec.json.Decoder(Gap)
TICK = msgspec.json.Decoder(Tick)


def read_event(kind: str, id: str, data: str) -> StreamEvent | None:  # noqa: A002 - the contract's name
    """One event as a type; None for kinds that this version does not know. Raises msgspec.DecodeError."""
    match kind:
        case "call.started":
            return CallStarted(id, CALL.decode(data), data)
        case "call.finished":
            return CallFinished(id, CALL.decode(data), data)
        case "gap":
            return StreamGap(id, GAP.decode(data), data)
        case "tick":
            return StreamTick(id, TICK.decode(data), data)
        case _:
            return None
