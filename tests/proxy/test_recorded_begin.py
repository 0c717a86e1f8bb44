"""What the journal says of a call before its end: what a killed gateway would know of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange, head, read
from trio.testing import wait_all_tasks_blocked

from gatekeeper.ledger.call import Call
from gatekeeper.ledger.segments import records
from gatekeeper.proxy.first_wait import before_waiting

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
BODY = b'{"generationConfig": {"maxOutputTokens": 8}}'


def begins(gateway: Running) -> list[Call]:
    lines = records(gateway.gateway.ledger.journal.folder, 1)
    return [record.begin for _, record in lines if record and record.begin]


async def until_begun(gateway: Running, count: int) -> list[Call]:
    with trio.fail_after(5):
        while len(found := begins(gateway)) < count:
            await trio.sleep(0.001)
    return found


async def test_a_call_is_recorded_once_with_what_is_reserved(guarded: Running, google: StandIn) -> None:
    secret = await guarded.key(max_budget=1)
    answer = await exchange(guarded.url, LINE, body=BODY, headers=[f"x-goog-api-key: {secret}"])
    assert answer.status == 200
    (begun,) = begins(guarded)
    assert begun.charged_pico
    assert len(google.asked) == 1


async def test_a_call_is_recorded_while_it_waits_for_its_body(guarded: Running, google: StandIn) -> None:
    secret = await guarded.key(max_budget=1)
    async with await connect(guarded.url) as client:
        fields = [f"Content-Length: {len(BODY)}", f"x-goog-api-key: {secret}"]
        await client.send_all(head(LINE, fields) + BODY[:9])
        (waiting,) = await until_begun(guarded, 1)
        assert waiting.charged_pico is None
        assert waiting.id in guarded.gateway.ledger.events.in_flight
        await client.send_all(BODY[9:])
        assert (await read(client)).status == 200
    first, second = begins(guarded)
    assert first.id == second.id
    assert second.charged_pico
    assert len(google.asked) == 1


async def test_a_call_is_recorded_while_it_waits_for_its_budget(guarded: Running, google: StandIn) -> None:
    secret = await guarded.key(max_budget="0.00005")  # for one such call at a time
    google.script = lambda reply: reply.hung_up()
    fields = [f"Content-Length: {len(BODY)}", f"x-goog-api-key: {secret}"]
    async with await connect(guarded.url) as one, await connect(guarded.url) as other:
        for client in (one, other):
            await client.send_all(head(LINE, fields) + BODY)
        running, waiting = await until_begun(guarded, 2)
        assert running.charged_pico
        assert waiting.charged_pico is None
        assert len(google.asked) <= 1


async def test_a_call_that_its_body_has_refused_is_an_end_only(guarded: Running) -> None:
    secret = await guarded.key(max_output_tokens=4)
    answer = await exchange(guarded.url, LINE, body=BODY, headers=[f"x-goog-api-key: {secret}"])
    assert answer.status == 403
    assert begins(guarded) == []
    assert (await guarded.row())["outcome"] == "refused"


# The first wait of any coroutine


class Broken(Exception):
    pass


async def never_waits(_: list[str]) -> None:
    pass


async def fails_at_once(_: list[str]) -> None:
    raise Broken


async def waits(seen: list[str]) -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    seen.append("went on")


async def fails_later(seen: list[str]) -> None:
    await waits(seen)
    raise Broken


async def is_cancelled(seen: list[str]) -> None:
    with trio.move_on_after(0):
        await trio.sleep_forever()
    seen.append("went on")


async def has_children(seen: list[str]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0)
    seen.append("went on")


@pytest.mark.parametrize(
    ("work", "seen"),
    [
        (never_waits, []),
        (fails_at_once, ["failed"]),
        (waits, ["acted", "went on"]),
        (fails_later, ["acted", "went on", "failed"]),
        (is_cancelled, ["acted", "went on"]),
        (has_children, ["acted", "went on"]),
    ],
)
async def test_what_is_done_before_waiting_is_done_once(
    work: Callable[[list[str]], object], seen: list[str]
) -> None:
    found: list[str] = []
    try:
        await before_waiting(work(found), lambda: found.append("acted"))  # type: ignore[arg-type]
    except Broken:
        found.append("failed")
    assert found == seen


async def test_it_is_done_before_any_other_task_runs() -> None:
    found: list[str] = []

    async def other() -> None:
        found.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await before_waiting(wait_all_tasks_blocked(), lambda: found.append("acted"))
    assert found == ["acted", "other"]


async def test_where_it_cannot_be_done_the_work_ends_too() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("ended")

    def fail() -> None:
        raise Broken

    with pytest.raises(Broken):
        await before_waiting(work(), fail)
    assert ended == ["ended"]
