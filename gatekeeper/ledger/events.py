"""Publishes call events to subscribers: the events behind `/calls/stream`, and the calls in flight.

The last `capacity` events, or as many as fit in `max_bytes` of memory, are kept in one ring buffer; a
subscriber is a cursor into it, so it has no queue, costs the publisher nothing, and needs no clean-up. One
that is too slow gets a `gap` event with the number of events it missed, and continues with the oldest left.

Ids are consecutive, so the number of missed events is a difference. They start at the microseconds since
1970, so they grow over restarts (unless a process published more than a million events a second) and a
`Last-Event-ID` shows whether it is from before this start. Ticks are not in the ring and have no id: only the
latest matters, and ticks of idle hours must not evict calls from the ring.

Rejected: a memory channel for each subscriber (a full one must block the relay or lose events without a
count) and encoding when publishing (most of the time there is no subscriber).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from itertools import islice
from typing import Literal

import msgspec
import trio

from gatekeeper.gemini.actions import CACHE_STORAGE_ACTION
from gatekeeper.ledger.call import CallRecord, Outcome, call_document, memory_size
from gatekeeper.money import usd

Kind = Literal["call.started", "call.finished", "call.amended", "budget.warning"]
CallPredicate = Callable[[CallRecord], bool]


class CallEvent(msgspec.Struct, gc=False):
    """A call that started (a snapshot, without later changes), finished, or was amended; or one by which a
    soft budget was reached, with a document about that."""

    id: int
    kind: Kind
    call: CallRecord
    size: int = 0
    """Bytes of memory, those of its text included."""
    warning: dict[str, str | None] | None = None
    encoded: bytes | None = None
    """The result of `encode_sse`; it is the same for all subscribers, so it is encoded once."""


class Gap(msgspec.Struct, frozen=True):
    """Events that this subscriber will not see, whatever its filter.

    `id` is that of the last of them; `missed` counts them, None if unknown.
    """

    id: int
    missed: int | None


class Tick(msgspec.Struct, frozen=True):
    """The calls finished since the previous tick, and the number in flight; `cost_usd` is the sum of known
    costs."""

    calls: int
    errors: int
    in_flight: int
    tokens: int
    cost_usd: str


Event = CallEvent | Gap | Tick

ENCODER = msgspec.json.Encoder()
LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def encode_sse(event: Event) -> bytes:
    """The event in the format of `text/event-stream`: `id:` (not for a tick), `event:`, `data:` on one
    line."""
    match event:
        case CallEvent():
            event.encoded = event.encoded or sse_with_id(
                event.id, sse_fields(event.kind, event.warning or call_document(event.call))
            )
            return event.encoded
        case Gap():
            return sse_with_id(event.id, sse_fields("gap", {"missed": event.missed}))
        case Tick():
            return sse_fields("tick", event)


def sse_with_id(event_id: int, lines: bytes) -> bytes:
    return b"id: %d\n%b" % (event_id, lines)


def sse_fields(name: str, content: object) -> bytes:
    # Line ends inside JSON (Google's `usage` is pretty-printed) are white space, but would end an SSE field.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), ENCODER.encode(content).translate(LINE_ENDS))


class Statistics(msgspec.Struct, frozen=True):
    """For debugging: `published` counts events since the start, `waiting` subscribers that have read all."""

    published: int
    ring: int
    capacity: int
    in_flight: int
    waiting: int
    closed: bool


class EventStream:
    """The publisher. To be used in the event loop's thread only."""

    def __init__(
        self, capacity: int = 10_000, now: Callable[[], float] = time.time, max_bytes: int = 64 << 20
    ) -> None:
        self.in_flight: dict[str, CallRecord] = {}
        """The calls that have started and not finished: the live objects, which still change."""
        self.first_id = int(now() * 1_000_000)
        self.next_id = self.first_id
        self.ring: deque[CallEvent] = deque()
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._used_bytes = 0  # bytes
        self.closed = False
        self.ticks = 0
        self.tick: Tick | None = None
        self.wakeup = trio.lowlevel.ParkingLot()
        self._calls = self._errors = self._tokens = self._cost_pico = 0

    @property
    def oldest_id(self) -> int:
        return self.next_id - len(self.ring)

    def publish(self, kind: Kind, call: CallRecord, size: int) -> None:
        """Publishes an event. A finished call must not be changed any more. `size` is its `memory_size`."""
        if kind == "call.started":
            self.in_flight[call.id] = call
            call = copy(call)
        elif kind == "call.finished":
            self.in_flight.pop(call.id, None)
            self._count(call)
        # Twice: its text as SSE, which it keeps once a subscriber has read it, is about as large.
        self._publish(CallEvent(self.next_id, kind, call, 2 * size))

    def publish_warning(self, call: CallRecord, warning: dict[str, str | None]) -> None:
        """Publishes that this call has reached a soft budget."""
        self._publish(CallEvent(self.next_id, "budget.warning", call, memory_size(call), warning))

    def _publish(self, event: CallEvent) -> None:
        self._append(event)
        self.next_id += 1
        if self.wakeup:
            self.wakeup.unpark_all()

    def _append(self, event: CallEvent) -> None:
        self.ring.append(event)
        self._used_bytes += event.size
        while len(self.ring) > self._capacity or self._used_bytes > self._max_bytes:
            self._used_bytes -= self.ring.popleft().size

    def _count(self, call: CallRecord) -> None:
        self._calls += call.action != CACHE_STORAGE_ACTION  # which no request made
        self._errors += call.outcome is not Outcome.OK
        self._tokens += call.total_tokens or 0
        self._cost_pico += call.cost_pico or 0

    def publish_tick(self) -> Tick:
        """Publishes the sums of the calls finished since its last call, and resets them."""
        self.tick = Tick(self._calls, self._errors, len(self.in_flight), self._tokens, usd(self._cost_pico))
        self._calls = self._errors = self._tokens = self._cost_pico = 0
        self.ticks += 1
        self.wakeup.unpark_all()
        return self.tick

    def subscribe(
        self,
        filter: CallPredicate | None = None,  # noqa: A002
        last_event_id: int | None = None,
    ) -> EventSubscription:
        """The events from now on, after a `call.started` for each call in flight, or those after
        `last_event_id`; only events of calls for which `filter` is true."""
        return EventSubscription(self, filter, last_event_id)

    def close(self) -> None:
        """Ends the stream: a subscription ends when it has read the remaining events."""
        self.closed = True
        self.wakeup.unpark_all()

    def statistics(self) -> Statistics:
        return Statistics(
            published=self.next_id - self.first_id,
            ring=len(self.ring),
            capacity=self._capacity,
            in_flight=len(self.in_flight),
            waiting=len(self.wakeup),
            closed=self.closed,
        )


class EventSubscription:
    """One subscriber's cursor: `async for event in stream.subscribe(…)`.

    It can be dropped at any time. A cancelled `batch` loses no event, so it can be given a deadline, to send
    a comment when there are no events.
    """

    SCAN_LIMIT = 256  # events scanned before yielding to the event loop

    def __init__(self, stream: EventStream, matches: CallPredicate | None, last_event_id: int | None) -> None:
        self._stream = stream
        self._filter = matches
        self._ticks = stream.ticks
        self._resume_unknown = False
        self._in_flight: deque[CallRecord] = deque()
        if last_event_id is None:
            self._next = stream.next_id
            self._in_flight.extend(stream.in_flight.values())
        # One before the first: the id of the calls in flight that a subscription begins with
        # (`_in_flight_events`).
        elif stream.first_id - 1 <= last_event_id < stream.next_id:
            self._next = last_event_id + 1
        else:  # from before this start, or unknown: send everything in the ring
            self._next = stream.oldest_id
            self._resume_unknown = True

    def __aiter__(self) -> EventSubscription:
        return self

    async def __anext__(self) -> Event:
        for event in await self.batch(1):
            return event
        raise StopAsyncIteration

    async def batch(self, limit: int) -> list[Event]:
        """Up to `limit` available events; waits for the first. Empty if the stream is closed."""
        # Also where events wait already: a subscriber of a busy gateway must not keep others from running.
        await trio.lowlevel.checkpoint()
        while not (events := list(islice(self._pending(), limit))):
            if self._in_flight or self._next < self._stream.next_id:
                await trio.lowlevel.checkpoint()
            elif self._stream.closed:
                break
            else:
                await self._stream.wakeup.park()
        return events

    def _pending(self) -> Iterator[Event]:
        """The available events within one scan; those yielded count as read."""
        yield from self._in_flight_events()
        if gap := self._gap():
            yield gap
        if self._stream.tick and self._ticks < self._stream.ticks:
            self._ticks = self._stream.ticks
            yield self._stream.tick
        yield from self._calls()

    def _in_flight_events(self) -> Iterator[CallEvent]:
        """The calls in flight when the subscription began. One that has ended since is in the ring."""
        before = self._next - 1
        for _ in range(min(len(self._in_flight), self.SCAN_LIMIT)):
            call = self._in_flight.popleft()
            if call.id in self._stream.in_flight and (self._filter is None or self._filter(call)):
                yield CallEvent(before, "call.started", copy(call))

    def _gap(self) -> Gap | None:
        missed = self._stream.oldest_id - self._next
        if missed <= 0 and not self._resume_unknown:
            return None
        self._next = max(self._next, self._stream.oldest_id)
        known = None if self._resume_unknown else missed
        self._resume_unknown = False
        return Gap(self._next - 1, known)

    def _calls(self) -> Iterator[CallEvent]:
        ring = self._stream.ring
        start = self._next - self._stream.oldest_id
        for index in range(start, min(start + self.SCAN_LIMIT, len(ring))):
            self._next += 1
            if self._filter is None or self._filter(ring[index].call):
                yield ring[index]
