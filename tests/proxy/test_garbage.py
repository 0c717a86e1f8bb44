"""A call that has ended is freed at once, and a stream does not hold its prompt. What waits for the garbage
collector waits for long: that runs seldom (`gatekeeper.runtime.tune_gc`), most seldom for what has lived for
a while, as a stream has."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import CoroutineType

import httpx2
import pytest
import trio
import trio.testing
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, Script, StandIn, answer_ok
from rig.wire import connect, exchange, head, read

MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
UNARY, STREAM = f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent?alt=sse"
LIMITS = {"max_budget": 1, "budget_duration": "30d", "rpm_limit": 1000, "tpm_limit": 10**9}
SEARCHES = {"searches": 5, "max_output_tokens": 1000}
EVENT = b'data: {"candidates": [], "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": %d}}\r\n\r\n'


async def whole(reply: Reply) -> None:
    if b"stream" in reply.asked.target:
        await reply.chunked([EVENT % tokens for tokens in (5, 9)])
    else:
        await answer_ok(reply)


async def broken(reply: Reply) -> None:
    await reply.chunked([EVENT % 5], end=False)
    await reply.stream.aclose()


async def silent(reply: Reply) -> None:
    await reply.stream.aclose()


async def costly(reply: Reply) -> None:
    await reply.chunked([EVENT % 5, EVENT % 10**9, EVENT % 10**9])


async def unknown(reply: Reply) -> None:
    await reply.json(b'{"error": {"code": 404, "message": "no", "status": "NOT_FOUND"}}', 404)


@pytest.fixture(autouse=True)
def only_what_comes() -> None:
    """The collections of a test look through what came after this: its gateway, and not all that the tests
    before have left."""
    gc.collect()
    gc.freeze()


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """The types of ours that only the garbage collector could have freed at the end of the block."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        types = [type(each) for each in gc.garbage]
        found.update(each.__qualname__ for each in types if str(each.__module__).startswith("gatekeeper."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def all_ended(gateway: Running) -> None:
    with trio.fail_after(5):
        while gateway.gateway.proxy.open_calls:
            await trio.sleep(0.001)
    await trio.testing.wait_all_tasks_blocked()


@cases(
    ("line", "given"),
    [
        (f"POST {UNARY}", {"body": b"{}"}),
        (f"POST {UNARY}", {"chunks": [b"{", b"}"]}),
        (f"POST {STREAM}", {"body": b"{}"}),
        ("GET /healthz", {}),
        ("GET /key/list", {}),
        ("GET /prices", {}),
    ],
)
async def test_nothing_of_a_connection_is_left(
    gateway: Running, google: StandIn, line: str, given: dict[str, object]
) -> None:
    google.script = whole
    for _ in range(2):
        await exchange(gateway.url, line, **given)
    await trio.testing.wait_all_tasks_blocked(0.01)
    with garbage() as found:
        for _ in range(3):
            await exchange(gateway.url, line, **given)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert found == {}


@cases(
    ("path", "script", "fields"),
    [
        (UNARY, whole, {}),
        (UNARY, whole, LIMITS),
        (UNARY, unknown, LIMITS),
        (UNARY, silent, LIMITS),
        (UNARY, whole, {"blocked": True}),
        (STREAM, whole, {}),
        (STREAM, whole, LIMITS),
        (STREAM, whole, LIMITS | SEARCHES),
        (STREAM, broken, LIMITS),
        (STREAM, costly, LIMITS),
    ],
)
async def test_nothing_of_a_call_is_left(
    guarded: Running, google: StandIn, path: str, script: Script, fields: dict[str, object]
) -> None:
    google.script = script
    key = await guarded.key(**fields)

    async def call() -> None:
        with suppress(httpx2.RemoteProtocolError):  # of a response that is cut
            await guarded.client.post(path, headers={"x-goog-api-key": key}, content=b'{"contents": []}')
        await all_ended(guarded)

    await call()  # what is made once, and kept
    with garbage() as found:
        for _ in range(3):
            await call()
    assert found == {}


def holders(size: int) -> list[object]:
    """The gateway's objects, and its waiting functions, that hold so many bytes in one piece."""
    own = [
        each
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("gatekeeper.")
        # Not `isinstance`, which a proxy answers for what it stands for.
        or (type(each) is CoroutineType and "/gatekeeper/" in each.cr_code.co_filename)
    ]
    return [
        each
        for each in own
        if any(isinstance(part, bytes) and len(part) >= size for part in gc.get_referents(each))
    ]


@cases("size", [40_000, 200_000])  # of which the first arrives with its head
async def test_a_stream_does_not_hold_its_prompt(guarded: Running, google: StandIn, size: int) -> None:
    going_on = trio.Event()

    async def wait(reply: Reply) -> None:
        await reply.chunked([EVENT % 5], end=False)
        await going_on.wait()
        await reply.raw(b"0\r\n\r\n")

    google.script = wait
    key = await guarded.key(**LIMITS)
    body = b'{"contents": [{"parts": [{"text": "%b"}]}]}' % (b"word " * (size // 5))
    async with await connect(guarded.url) as client:
        await client.send_all(head(f"POST {STREAM}&key={key}", [f"Content-Length: {len(body)}"]) + body)
        received = b""
        while b"usageMetadata" not in received:
            received += await client.receive_some()
        assert google.asked[-1].body == body
        assert holders(20_000) == []
        going_on.set()
        assert (await read(client, "POST", received)).whole
    assert (await guarded.row())["prompt_tokens"] == 3
