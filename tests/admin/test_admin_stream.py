"""The live stream over HTTP: what comes, in which order, and what a client that comes back has missed."""

from __future__ import annotations

from collections.abc import Callable

import trio
from rig.event_stream import listening

from gatekeeper.admin import calls
from gatekeeper.ledger.events import EventStream


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.01)


async def test_calls_are_told_as_they_start_and_finish(admin):
    async with listening(admin) as stream:
        call = admin.priced()
        started, finished = await stream.event(), await stream.event()
    assert (started["event"], finished["event"]) == ("call.started", "call.finished")
    assert int(finished["id"]) == int(started["id"]) + 1
    assert call.id in started["data"]
    assert '"cost_usd":"0.001188700000"' in finished["data"]


async def test_a_filter_lets_pass_what_it_matches(admin):
    async with listening(admin, q="status:4xx") as stream:
        admin.finish(status=200)
        call = admin.finish(status=429)
        event = await stream.event()
    assert event["event"] == "call.finished"
    assert call.id in event["data"]


async def test_a_client_that_comes_back_gets_what_it_missed(admin):
    async with listening(admin) as stream:
        admin.finish()
        await stream.event()
        last = (await stream.event())["id"]
    missed = admin.finish()
    async with listening(admin, last) as stream:
        assert missed.id in (await stream.event())["data"]
        assert (await stream.event())["event"] == "call.finished"


async def test_what_is_no_longer_there_is_a_gap_with_its_size(admin):
    admin.ledger.events = EventStream(capacity=2)
    first = admin.ledger.events.first_id
    for _ in range(3):
        admin.finish()
    async with listening(admin, str(first)) as stream:
        gap, *rest = [await stream.event() for _ in range(3)]
    assert (gap["event"], gap["data"], gap["id"]) == ("gap", '{"missed":3}', str(first + 3))
    assert [event["id"] for event in rest] == [str(first + 4), str(first + 5)]


async def test_an_id_from_before_a_restart_is_a_gap_of_unknown_size(admin):
    async with listening(admin, "17") as stream:
        assert (await stream.event())["data"] == '{"missed":null}'


async def test_a_tick_adds_up_the_last_second(admin):
    async with listening(admin) as stream:
        admin.priced()
        admin.ledger.events.publish_tick()
        while "event: tick" not in (block := await stream.block()):
            pass
    assert '"calls":1' in block
    assert '"tokens":1535' in block
    assert '"cost_usd":"0.001188700000"' in block


async def test_the_stream_ends_whole_when_the_gateway_stops(admin):
    async with listening(admin) as stream:
        admin.finish()
        admin.ledger.events.close()
        assert (await stream.event())["event"] == "call.started"
        assert (await stream.event())["event"] == "call.finished"
        assert await stream.event() is None


async def test_a_client_that_leaves_leaves_nothing_behind(admin):
    stream = admin.ledger.events
    async with listening(admin):
        await until(lambda: stream.statistics().waiting == 1)
    await until(lambda: stream.statistics().waiting == 0)


async def test_a_quiet_stream_has_a_comment_every_15_seconds(autojump_clock):
    began = trio.current_time()
    heard = []
    stream = calls.event_bytes(EventStream().subscribe())
    async for chunk in stream:
        heard.append((trio.current_time() - began, chunk))
        if len(heard) == 4:
            break
    await stream.aclose()
    assert heard == [(after, b":\n\n") for after in (0, 15, 30, 45)]


async def test_a_busy_stream_has_them_too(autojump_clock):
    live = EventStream()
    stream = calls.event_bytes(live.subscribe())
    await anext(stream)
    comments = 0
    for _ in range(40):
        await trio.sleep(1)
        live.publish_tick()
        comments += await anext(stream) == b":\n\n"
    await stream.aclose()
    assert comments == 2


async def test_a_last_event_id_that_is_none_is_refused(admin):
    for last in ("one", "-1", "1.5", "9" * 20):
        answer = await admin.client.get("/calls/stream", headers={"Last-Event-ID": last})
        assert (answer.status_code, answer.json()["field"]) == (400, "Last-Event-ID")


async def test_the_head_of_the_stream_alone_is_an_answer(admin):
    answer = await admin.client.head("/calls/stream")
    assert answer.headers["content-type"] == "text/event-stream"
    assert await admin.get("/healthz")  # on the same connection
