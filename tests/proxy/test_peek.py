"""What is told of a call while it runs."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from rig.gateway import Running
from rig.standin import Reply, StandIn

USAGE = b'"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": %d, "totalTokenCount": %d}'
EVENT = b'data: {"candidates": [{"content": {"parts": [{"text": "x"}]}}], ' + USAGE + b"}\n\n"
BODY = b'{"contents": [{"parts": [{"text": "Hello"}]}]}'
PATH = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k"
BYTES = ("request_bytes", "response_bytes")
TOKENS = ("prompt_tokens", "output_tokens", "total_tokens", "cached_tokens")


async def test_a_running_call_shows_its_first_byte_bytes_and_tokens_so_far(
    gateway: Running, google: StandIn
) -> None:
    """And none of them before there are any: unknown is null, never 0."""
    asked, go_on = trio.Event(), trio.Event()
    first, last = EVENT % (3, 10), EVENT % (9, 16)

    async def answer(reply: Reply) -> None:
        asked.set()
        await go_on.wait()
        await reply.chunked([first], end=False)
        await finish.wait()
        await reply.raw(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))

    google.script, finish = answer, trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: gateway.client.post(PATH, content=BODY))
        await asked.wait()
        (call_id,) = gateway.gateway.ledger.events.in_flight
        before = (await gateway.client.get(f"/calls/{call_id}")).json()
        assert [before[name] for name in ("outcome", "first_byte_ms", *BYTES)] == [None, None, len(BODY), 0]
        assert [before[name] for name in TOKENS] == [None] * len(TOKENS)
        go_on.set()
        with trio.fail_after(5):
            while (now := (await gateway.client.get(f"/calls/{call_id}")).json())["response_bytes"] == 0:
                await trio.sleep(0.01)
        assert now["first_byte_ms"] > 0
        assert [now[name] for name in ("outcome", "duration_ms", "status", *BYTES)] == [
            None,
            None,
            200,
            len(BODY),
            len(first),
        ]
        assert [now[name] for name in TOKENS] == [7, 3, 10, None]
        for q, found in (("", [now]), ("output:3", [now]), ("output:>3", [])):
            listed = (await gateway.client.get("/calls", params={"running": "true", "q": q})).json()["calls"]
            assert listed == [{name: call[name] for name in listed[0]} for call in found]
        finish.set()
    row = await gateway.row()
    assert [row[name] for name in ("outcome", *BYTES)] == ["ok", len(BODY), len(first) + len(last)]
    assert [row[name] for name in TOKENS] == [7, 9, 16, None]


@pytest.mark.parametrize(
    ("line", "cost"),
    [("GET /v1beta/files", "0.000000000000"), ("POST /v1beta/models/gemini-2.5-flash:generateContent", None)],
)
async def test_what_is_free_is_known_to_be_from_the_start(
    gateway: Running, google: StandIn, line: str, cost: str | None
) -> None:
    """So a call that is killed, whose row is what its begin was, has its cost."""
    asked = trio.Event()

    async def never(reply: Reply) -> None:
        asked.set()
        await trio.sleep_forever()

    google.script = never
    method, _, path = line.partition(" ")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(gateway.client.request, method, f"/gemini{path}?key=k"))
        await asked.wait()
        (call_id,) = gateway.gateway.ledger.events.in_flight
        assert (await gateway.client.get(f"/calls/{call_id}")).json()["cost_usd"] == cost
        nursery.cancel_scope.cancel()
