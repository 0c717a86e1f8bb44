"""What the journal says of a call before its end: what a killed gateway would know of it."""

from __future__ import annotations

import trio
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange, head, read

from gatekeeper.ledger.call import CallRecord
from gatekeeper.ledger.segments import records

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
BODY = b'{"generationConfig": {"maxOutputTokens": 8}}'


def begins(gateway: Running) -> list[CallRecord]:
    lines = records(gateway.gateway.ledger.journal.folder, 1)
    return [record.begin for _, record in lines if record and record.begin]


async def until_begun(gateway: Running, count: int) -> list[CallRecord]:
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
