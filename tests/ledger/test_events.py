"""Live events: every subscriber sees each event once, in order, or is told exactly how many it missed."""

import json

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from trio.testing import wait_all_tasks_blocked

from gatekeeper.ledger.call import CallRecord, Outcome, call_document, memory_size
from gatekeeper.ledger.events import (
    CallEvent,
    Event,
    EventStream,
    EventSubscription,
    Gap,
    Kind,
    Tick,
    encode_sse,
)

FIRST = 1_764_000_000_000_000


def a_call(number: int = 1, **fields: object) -> CallRecord:
    return msgspec.structs.replace(
        CallRecord(
            id=f"call-{number}", started_at=number, method="POST", path="/v1beta/models/m:generateContent"
        ),
        **fields,
    )


def live_from(first_id: int = FIRST, capacity: int = 10_000) -> EventStream:
    return EventStream(capacity, now=lambda: first_id / 1_000_000)


def publish(live: EventStream, kind: Kind, call: CallRecord) -> None:
    live.publish(kind, call, memory_size(call))


def finish(live: EventStream, *numbers: int) -> None:
    for number in numbers:
        publish(live, "call.finished", a_call(number, outcome=Outcome.OK))


async def what_is_there(subscription: EventSubscription) -> list[Event]:
    """All that the subscriber gets before it would have to wait."""
    events: list[Event] = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                while batch := await subscription.batch(100):
                    events.extend(batch)
                scope.cancel()

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            scope.cancel()
    return events


def brief(events: list[Event]) -> list[str | Gap | Tick]:
    return [event.call.id if isinstance(event, CallEvent) else event for event in events]


def test_the_ring_is_bounded_in_memory_too() -> None:
    live = EventStream(max_bytes=1_000_000)
    for number in range(100):
        publish(live, "call.finished", a_call(number, path="/" * 50_000))
    publish(live, "call.finished", a_call(100))
    assert [event.call.id for event in live.ring] == [f"call-{number}" for number in range(96, 101)]
    assert live.oldest_id == live.next_id - 5


# Subscribers


async def test_a_subscriber_gets_what_happens_from_now_on() -> None:
    live = live_from()
    finish(live, 1)
    subscription = live.subscribe(None, None)
    publish(live, "call.started", a_call(2))
    finish(live, 2)
    events = await what_is_there(subscription)
    assert [(e.id, e.kind, e.call.id) for e in events if isinstance(e, CallEvent)] == [
        (FIRST + 1, "call.started", "call-2"),
        (FIRST + 2, "call.finished", "call-2"),
    ]
    assert len(events) == 2


async def test_a_waiting_subscriber_is_woken() -> None:
    live = live_from()
    seen: list[Event] = []

    async def listen() -> None:
        seen.append(await anext(live.subscribe(None, None)))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            assert live.statistics().waiting == 2
            finish(live, 1)
    assert brief(seen) == ["call-1", "call-1"]
    assert live.statistics().waiting == 0


async def test_only_calls_that_pass_the_filter_are_told() -> None:
    live = live_from()
    subscription = live.subscribe(lambda call: call.id.endswith("3"), None)
    finish(live, *range(1000))
    assert brief(await what_is_there(subscription)) == [f"call-{n}" for n in range(3, 1000, 10)]


async def test_a_filter_that_passes_nothing_does_not_hold_up_the_event_loop() -> None:
    live = live_from()
    looked_at = 0

    def none(_: CallRecord) -> bool:
        nonlocal looked_at
        looked_at += 1
        return False

    subscription = live.subscribe(none, None)
    finish(live, *range(10_000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anext, subscription)
        while looked_at == 0:
            await trio.lowlevel.checkpoint()
        assert looked_at < 1000
        await wait_all_tasks_blocked()
        assert looked_at == 10_000
        nursery.cancel_scope.cancel()


async def test_a_batch_is_what_is_there_up_to_its_limit() -> None:
    live = live_from()
    subscription = live.subscribe(None, None)
    finish(live, *range(5))
    assert brief(await subscription.batch(3)) == ["call-0", "call-1", "call-2"]
    assert brief(await subscription.batch(3)) == ["call-3", "call-4"]


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_cancelled_wait_loses_nothing(cancelled_first: bool) -> None:
    live = live_from()
    subscription = live.subscribe(None, None)
    told: list[Event] = []

    async def listen() -> None:
        told.append(await anext(subscription))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        steps = [nursery.cancel_scope.cancel, lambda: finish(live, 1)]
        for step in steps if cancelled_first else reversed(steps):
            step()
    assert brief(told + await what_is_there(subscription)) == ["call-1"]


@cases(
    ("last_event_id", "told"),
    [
        (None, []),
        (FIRST + 4, []),
        (FIRST + 2, ["call-3", "call-4"]),
        (FIRST + 1, ["call-2", "call-3", "call-4"]),
        (FIRST, [Gap(FIRST + 1, 1), "call-2", "call-3", "call-4"]),
        (FIRST - 1, [Gap(FIRST + 1, 2), "call-2", "call-3", "call-4"]),
        (FIRST - 2, [Gap(FIRST + 1, None), "call-2", "call-3", "call-4"]),
        (FIRST + 5, [Gap(FIRST + 1, None), "call-2", "call-3", "call-4"]),
        (-1, [Gap(FIRST + 1, None), "call-2", "call-3", "call-4"]),
    ],
)
async def test_a_last_event_id_resumes(last_event_id: int | None, told: list[str | Gap]) -> None:
    live = live_from(capacity=3)
    finish(live, 0, 1, 2, 3, 4)
    assert brief(await what_is_there(live.subscribe(None, last_event_id))) == told


async def test_a_gap_of_an_earlier_life_comes_even_if_nothing_has_happened_since() -> None:
    live = live_from()
    subscription = live.subscribe(None, 7)
    assert await what_is_there(subscription) == [Gap(FIRST - 1, None)]
    finish(live, 1)
    assert brief(await what_is_there(subscription)) == ["call-1"]


async def test_resuming_after_a_gap_does_not_tell_it_again() -> None:
    live = live_from(capacity=2)
    finish(live, 1, 2, 3)
    gap = await anext(live.subscribe(None, 7))
    assert isinstance(gap, Gap)
    assert brief(await what_is_there(live.subscribe(None, gap.id))) == ["call-2", "call-3"]


def test_ids_grow_over_restarts() -> None:
    before = live_from(FIRST)
    finish(before, *range(100))
    after = live_from(FIRST + 1_000_000)
    finish(after, 1)
    assert after.ring[0].id > before.ring[-1].id


@given(
    capacity=st.integers(1, 6),
    start=st.integers(0, 8),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 9)),
            st.tuples(st.just("read"), st.integers(1, 5)),
            st.tuples(st.just("tick"), st.just(0)),
        ),
        max_size=25,
    ),
    divisor=st.integers(1, 3),
)
async def test_any_interleaving_tells_each_event_once_or_counts_it(
    capacity: int, start: int, steps: list[tuple[str, int]], divisor: int
) -> None:
    live = live_from(0, capacity)
    finish(live, *range(start))
    subscription = live.subscribe(lambda call: call.started_at % divisor == 0, start - 1)
    published = start
    unread = start  # the subscriber has been told of, or was right not to be told of, all before it

    async def read(limit: int) -> None:
        nonlocal unread
        oldest = max(unread, published - capacity)
        gaps = [Gap(oldest - 1, oldest - unread)] if oldest > unread else []
        wanted = [number for number in range(oldest, published) if number % divisor == 0]
        expected = [*gaps, *(f"call-{number}" for number in wanted)]
        if not expected:
            return  # it would wait
        batch = await subscription.batch(limit)
        told = [event for event in batch if not isinstance(event, Tick)]
        assert brief(told) == expected[: len(told)]
        assert len(told) == len(expected) or len(batch) == limit
        assert all(event.id == event.call.started_at for event in told if isinstance(event, CallEvent))
        if len(batch) < limit:
            unread = published
        elif told:
            unread = told[-1].id + 1

    for step, count in steps:
        if step == "publish":
            finish(live, *range(published, published + count))
            published += count
        elif step == "tick":
            live.publish_tick()
        else:
            await read(count)
    await read(100)


# The end


async def test_closing_ends_a_waiting_subscription() -> None:
    live = live_from()

    async def listen() -> None:
        assert await live.subscribe(None, None).batch(10) == []

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            live.close()


async def test_what_was_published_before_closing_is_still_told() -> None:
    live = live_from()
    subscription = live.subscribe(None, None)
    finish(live, 1, 2)
    live.close()
    with trio.fail_after(5):
        assert brief([event async for event in subscription]) == ["call-1", "call-2"]
    assert live.statistics().closed


# Calls in flight


def test_a_call_is_in_flight_from_its_start_to_its_finish() -> None:
    live = live_from()
    call = a_call(1)
    publish(live, "call.started", call)
    publish(live, "call.started", a_call(2))
    call.status = 200
    assert live.in_flight["call-1"].status == 200
    publish(live, "call.finished", call)
    finish(live, 3)
    assert list(live.in_flight) == ["call-2"]


async def test_a_started_event_shows_the_call_as_it_was() -> None:
    live = live_from()
    subscription = live.subscribe(None, None)
    call = a_call(1)
    publish(live, "call.started", call)
    call.outcome, call.status, call.tags = Outcome.OK, 200, ["late"]
    publish(live, "call.finished", call)
    started, finished = await what_is_there(subscription)
    assert b'"outcome":null' in encode_sse(started)
    assert b'"late"' not in encode_sse(started)
    assert b'"outcome":"ok"' in encode_sse(finished)


# Ticks


def test_a_tick_adds_up_what_finished_since_the_last() -> None:
    live = live_from()
    publish(live, "call.started", a_call(1))
    publish(live, "call.started", a_call(2))
    publish(live, "call.finished", a_call(1, outcome=Outcome.OK, total_tokens=10, cost_pico=1_500_000))
    publish(live, "call.finished", a_call(3, outcome=Outcome.REFUSED, cost_pico=0))
    publish(live, "call.finished", a_call(4, outcome=Outcome.CUT, total_tokens=5))
    assert live.publish_tick() == Tick(3, 2, 1, 15, "0.000001500000")
    assert live.publish_tick() == Tick(0, 0, 1, 0, "0.000000000000")


async def test_a_subscriber_gets_the_latest_tick_only() -> None:
    live = live_from()
    live.publish_tick()
    subscription = live.subscribe(lambda _: False, None)
    assert await what_is_there(subscription) == []
    live.publish_tick()
    finish(live, 1)
    tick = live.publish_tick()
    assert await what_is_there(subscription) == [tick]
    assert await what_is_there(subscription) == []


async def test_a_tick_wakes_and_displaces_no_event() -> None:
    live = live_from(capacity=1)
    finish(live, 1)
    subscription = live.subscribe(None, None)
    ticks: list[Event] = []

    async def listen() -> None:
        ticks.append(await anext(subscription))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            live.publish_tick()
    assert ticks == [Tick(1, 0, 0, 0, "0.000000000000")]
    assert brief(await what_is_there(live.subscribe(None, FIRST - 1))) == ["call-1"]


def test_statistics_tell_the_state() -> None:
    live = live_from(capacity=3)
    publish(live, "call.started", a_call(9))
    finish(live, 1, 2, 3)
    assert msgspec.structs.asdict(live.statistics()) == {
        "published": 4,
        "ring": 3,
        "capacity": 3,
        "in_flight": 1,
        "waiting": 0,
        "closed": False,
    }


# Server-Sent Events


@cases(
    ("event", "text"),
    [
        (Gap(41, 7), b'id: 41\nevent: gap\ndata: {"missed":7}\n\n'),
        (Gap(41, None), b'id: 41\nevent: gap\ndata: {"missed":null}\n\n'),
        (
            Tick(3, 1, 2, 100, "0.000001500000"),
            b"event: tick\n"
            b'data: {"calls":3,"errors":1,"in_flight":2,"tokens":100,"cost_usd":"0.000001500000"}\n\n',
        ),
    ],
    ids=["gap", "gap of unknown size", "tick"],
)
def test_gaps_and_ticks_as_server_sent_events(event: Event, text: bytes) -> None:
    assert encode_sse(event) == text


@cases("line_end", ["\n", "\r\n", "\r"])
@cases("kind", ["call.started", "call.finished"])
def test_a_call_is_one_event_with_its_document_on_one_line(kind: str, line_end: str) -> None:
    usage = msgspec.Raw(f'{{{line_end}  "promptTokenCount": 3{line_end}}}'.encode())
    call = a_call(1, usage=usage, user_agent="odd\r\nagent", cost_pico=1_500_000)
    id_line, event_line, data_line, *rest = encode_sse(CallEvent(41, kind, call)).decode().splitlines()
    assert (id_line, event_line, rest) == ("id: 41", f"event: {kind}", [""])
    shown = json.loads(data_line.removeprefix("data: "))
    assert shown == json.loads(msgspec.json.encode(call_document(call)))
    assert (shown["usage"], shown["cost_usd"]) == ({"promptTokenCount": 3}, "0.000001500000")


def test_an_event_is_encoded_once_for_all_subscribers() -> None:
    event = CallEvent(41, "call.finished", a_call(1))
    assert encode_sse(event) is encode_sse(event)


async def test_a_new_subscriber_is_told_of_the_calls_that_run() -> None:
    live = live_from()
    for number in (1, 2, 3):
        publish(live, "call.started", a_call(number))
    finish(live, 1)
    new = live.subscribe()
    tagged = live.subscribe(lambda call: call.id == "call-3")
    back = live.subscribe(last_event_id=live.next_id - 1)
    finish(live, 2)
    told = [(event.id, event.kind, event.call.id) for event in await what_is_there(new)]
    assert told == [(FIRST + 3, "call.started", "call-3"), (FIRST + 4, "call.finished", "call-2")]
    assert brief(await what_is_there(tagged)) == ["call-3"]
    assert brief(await what_is_there(back)) == ["call-2"]


@given(st.integers(0, 3 * EventSubscription.SCAN_LIMIT), st.integers(1, 50))
@settings(max_examples=30)
def test_each_running_call_is_told_once_whatever_the_batches(running: int, limit: int) -> None:
    async def told() -> list[str]:
        live, ids = live_from(), []
        for number in range(running):
            publish(live, "call.started", a_call(number))
        subscription = live.subscribe()
        live.close()
        while batch := await subscription.batch(limit):
            ids += brief(batch)
        return ids

    assert trio.run(told) == [f"call-{number}" for number in range(running)]
