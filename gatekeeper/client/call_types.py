"""The documents of `/calls` and the events of `/calls/stream` as types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from gatekeeper.client.api_types import Cost, PartialResult

T = TypeVar("T")


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


class Calls(PartialResult, frozen=True):
    calls: tuple[Call, ...] = ()
    next_cursor: str | None = None


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


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event of the stream: `id` is what `Last-Event-ID` resumes after, `raw` the data as received."""

    id: str
    value: T
    raw: str


@dataclass(frozen=True, slots=True)
class CallStarted(Event[Call]): ...


@dataclass(frozen=True, slots=True)
class CallFinished(Event[Call]): ...


@dataclass(frozen=True, slots=True)
class CallAmended(Event[Call]):
    """A finished call whose row was completed later, with its cost."""


@dataclass(frozen=True, slots=True)
class StreamGap(Event[Gap]): ...


@dataclass(frozen=True, slots=True)
class StreamTick(Event[Tick]): ...


StreamEvent = CallStarted | CallFinished | CallAmended | StreamGap | StreamTick

CALL = msgspec.json.Decoder(Call)
GAP = msgspec.json.Decoder(Gap)
TICK = msgspec.json.Decoder(Tick)


def read_event(kind: str, id: str, data: str) -> StreamEvent | None:  # noqa: A002 - the API's name
    """Decodes one event; None for kinds that this version does not know. Raises msgspec.DecodeError."""
    match kind:
        case "call.started":
            return CallStarted(id, CALL.decode(data), data)
        case "call.finished":
            return CallFinished(id, CALL.decode(data), data)
        case "call.amended":
            return CallAmended(id, CALL.decode(data), data)
        case "gap":
            return StreamGap(id, GAP.decode(data), data)
        case "tick":
            return StreamTick(id, TICK.decode(data), data)
        case _:
            return None
