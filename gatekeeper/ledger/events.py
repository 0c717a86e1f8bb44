"""What happens now, told to whoever listens: the events behind `/calls/stream`, the calls in flight.

The last `capacity` events, or as many as `room` bytes of memory hold, lie in one ring; a subscriber is a
cursor into it, so it holds no queue, costs the publisher nothing, and needs no clean-up. One that is slower
than the ring learns in a `gap` event how many events it missed and goes on with the oldest that is left.

Ids are consecutive, so what was missed is a subtraction. They start at the microseconds since 1970, so
they grow over restarts (unless a process published more than a million events a second) and a
`Last-Event-ID` tells whether it is from before this start. Ticks are not in the ring and have no id: only
the latest is worth telling, and a quiet night of ticks must not push the calls out.

Rejected: a memory channel for each subscriber (a full one must block the relay or lose events without a
count) and encoding when publishing (nobody listens most of the time).
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

from gatekeeper.ledger.call import Call, Outcome, document, weight
from gatekeeper.money import usd

Kind = Literal["call.started", "call.finished"]
Filter = Callable[[Call], bool]


class CallEvent(msgspec.Struct):
    """A call that started (a snapshot: what becomes of it later does not show) or finished."""

    id: int
    kind: Kind
    call: Call
    size: int = 0
    """Bytes of memory, those of its text included."""
    text: bytes | None = None
    """What `sse` made of it; all subscribers are sent the same, so it is made once."""


class Gap(msgspec.Struct, frozen=True):
    """Events that this subscriber will not see, whatever its filter.

    `id` is that of the last of them; `missed` counts them, None where nobody knows.
    """

    id: int
    missed: int | None


class Tick(msgspec.Struct, frozen=True):
    """What finished since the tick before, and how many calls run; `cost_usd` adds the known costs."""

    calls: int
    errors: int
    in_flight: int
    tokens: int
    cost_usd: str


Event = CallEvent | Gap | Tick

ENCODER = msgspec.json.Encoder()
LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def sse(event: Event) -> bytes:
    """The event as `text/event-stream` has it: `id:` (a tick has none), `event:`, `data:` on one line."""
    match event:
        case CallEvent():
            event.text = event.text or numbered(event.id, fields(event.kind, document(event.call)))
            return event.text
        case Gap():
            return numbered(event.id, fields("gap", {"missed": event.missed}))
        case Tick():
            return fields("tick", event)


def numbered(event_id: int, lines: bytes) -> bytes:
    return b"id: %d\n%b" % (event_id, lines)


def fields(name: str, content: object) -> bytes:
    # Line ends inside JSON (Google's `usage` comes pretty-printed) are white space; here they end the field.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), ENCODER.encode(content).translate(LINE_ENDS))


class Statistics(msgspec.Struct, frozen=True):
    """For debugging: `published` counts since the start, `waiting` the subscribers that have read all."""

    published: int
    ring: int
    capacity: int
    in_flight: int
    waiting: int
    closed: bool


class Live:
    """The publisher. All of it belongs to the event loop's thread."""

    def __init__(
        self, capacity: int = 10_000, now: Callable[[], float] = time.time, room: int = 64 << 20
    ) -> None:
        self.in_flight: dict[str, Call] = {}
        """The calls that have started and not finished: the very objects, as far as they have come."""
        self.first_id = int(now() * 1_000_000)
        self.next_id = self.first_id
        self.ring: deque[CallEvent] = deque()
        self._capacity = capacity
        self._room = room
        self._taken = 0  # bytes
        self.closed = False
        self.ticks = 0
        self.tick: Tick | None = None
        self.news = trio.lowlevel.ParkingLot()
        self._calls = self._errors = self._tokens = self._cost_pico = 0

    @property
    def oldest_id(self) -> int:
        return self.next_id - len(self.ring)

    def publish(self, kind: Kind, call: Call) -> None:
        """Tells of a call. A finished call must not be changed any more."""
        if kind == "call.started":
            self.in_flight[call.id] = call
            call = copy(call)
        else:
            self.in_flight.pop(call.id, None)
            self._count(call)
        self._keep(CallEvent(self.next_id, kind, call, 2 * weight(call)))
        self.next_id += 1
        if self.news:
            self.news.unpark_all()

    def _keep(self, event: CallEvent) -> None:
        self.ring.append(event)
        self._taken += event.size
        while len(self.ring) > self._capacity or self._taken > self._room:
            self._taken -= self.ring.popleft().size

    def _count(self, call: Call) -> None:
        self._calls += 1
        self._errors += call.outcome is not Outcome.OK
        self._tokens += call.total_tokens or 0
        self._cost_pico += call.cost_pico or 0

    def take_tick(self) -> Tick:
        """Adds up what finished since it was last called, starts anew, and tells the subscribers."""
        self.tick = Tick(self._calls, self._errors, len(self.in_flight), self._tokens, usd(self._cost_pico))
        self._calls = self._errors = self._tokens = self._cost_pico = 0
        self.ticks += 1
        self.news.unpark_all()
        return self.tick

    def subscribe(self, filter: Filter | None = None, last_event_id: int | None = None) -> Subscription:  # noqa: A002
        """The events from now on, after a `call.started` for each call that runs, or those after
        `last_event_id`; of calls, those for which `filter` is true."""
        return Subscription(self, filter, last_event_id)

    def close(self) -> None:
        """No more events will come; a subscription ends when it has read what is there."""
        self.closed = True
        self.news.unpark_all()

    def statistics(self) -> Statistics:
        return Statistics(
            published=self.next_id - self.first_id,
            ring=len(self.ring),
            capacity=self._capacity,
            in_flight=len(self.in_flight),
            waiting=len(self.news),
            closed=self.closed,
        )


class Subscription:
    """One subscriber's cursor: `async for event in live.subscribe(…)`.

    It can be dropped at any time. A cancelled wait loses nothing, so a deadline around `batch` is the way to
    send a comment when nothing happens.
    """

    STRIDE = 256  # events that are looked at in one turn of the event loop

    def __init__(self, live: Live, passes: Filter | None, last_event_id: int | None) -> None:
        self._live = live
        self._passes = passes
        self._ticks = live.ticks
        self._stranger = False
        self._running: deque[Call] = deque()
        if last_event_id is None:
            self._next = live.next_id
            self._running.extend(live.in_flight.values())
        elif live.first_id - 1 <= last_event_id < live.next_id:
            self._next = last_event_id + 1
        else:  # from before this start, or from nowhere: all that is left is news to it
            self._next = live.oldest_id
            self._stranger = True

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        for event in await self.batch(1):
            return event
        raise StopAsyncIteration

    async def batch(self, limit: int) -> list[Event]:
        """What is there, up to `limit` events, to be sent in one go; waits for the first. Empty: closed."""
        await trio.lowlevel.checkpoint()
        while not (events := list(islice(self._pending(), limit))):
            if self._running or self._next < self._live.next_id:
                await trio.lowlevel.checkpoint()
            elif self._live.closed:
                break
            else:
                await self._live.news.park()
        return events

    def _pending(self) -> Iterator[Event]:
        """What is there within one stride; whatever is yielded counts as read."""
        yield from self._started()
        if gap := self._gap():
            yield gap
        if self._live.tick and self._ticks < self._live.ticks:
            self._ticks = self._live.ticks
            yield self._live.tick
        yield from self._calls()

    def _started(self) -> Iterator[CallEvent]:
        """The calls that ran when the subscription began. One that has ended since is told by the ring."""
        before = self._next - 1
        for _ in range(min(len(self._running), self.STRIDE)):
            call = self._running.popleft()
            if call.id in self._live.in_flight and (self._passes is None or self._passes(call)):
                yield CallEvent(before, "call.started", copy(call))

    def _gap(self) -> Gap | None:
        missed = self._live.oldest_id - self._next
        if missed <= 0 and not self._stranger:
            return None
        self._next = max(self._next, self._live.oldest_id)
        known = None if self._stranger else missed
        self._stranger = False
        return Gap(self._next - 1, known)

    def _calls(self) -> Iterator[CallEvent]:
        ring = self._live.ring
        start = self._next - self._live.oldest_id
        for index in range(start, min(start + self.STRIDE, len(ring))):
            self._next += 1
            if self._passes is None or self._passes(ring[index].call):
                yield ring[index]
