"""The events of `/calls/stream` as types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from gatekeeper.client.api_types import Call, Gap, Tick

T = TypeVar("T")


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
    """A finished call of which more is known now: what it costs."""


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
