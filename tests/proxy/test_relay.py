"""What the relay makes of answers that are not as they should be."""

from __future__ import annotations

from functools import partial

import trio
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Asked, Reply, StandIn, answer_ok
from rig.wire import PLAIN_AND_TLS, connect, exchange, head, read

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"

CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b'4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n'
LENGTHS = {
    "both, and they agree": (["Content-Length: 8", CHUNKED], IN_CHUNKS, b'{"a": 1}', True, "ok"),
    "the other order": ([CHUNKED, "Content-Length: 8"], IN_CHUNKS, b'{"a": 1}', True, "ok"),
    "shorter than said": (
        ["Content-Length: 9", CHUNKED], IN_CHUNKS, b'{"a": 1}', False, "upstream_broken",
    ),
    "longer than said": (
        ["Content-Length: 7", CHUNKED], IN_CHUNKS, b'{"a": 1}', False, "upstream_broken",
    ),
    "it said nothing": ([CHUNKED], IN_CHUNKS, b'{"a": 1}', True, "ok"),
    "one length, more bytes": (["Content-Length: 8"], b'{"a": 1}{}', b'{"a": 1}', True, "upstream_broken"),
    "one length, and fewer": (["Content-Length: 8"], b'{"a": ', b'{"a": ', False, "upstream_broken"),
}  # fmt: skip


@cases(("fields", "body", "received", "whole", "outcome"), LENGTHS.values())
@PLAIN_AND_TLS
async def test_a_body_is_as_long_as_it_said_or_broken(
    gateway: Running,
    google: StandIn,
    fields: list[str],
    body: bytes,
    received: bytes,
    whole: bool,
    outcome: str,
) -> None:
    async def answer(reply: Reply) -> None:
        await reply.raw("\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode() + body)
        if outcome != "ok":
            await reply.stream.aclose()

    google.script = answer
    answer_ = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer_.status, answer_.body, answer_.whole) == (200, received, whole)
    framed = {name for name in ("content-length", "transfer-encoding") if name in answer_.headers}
    assert framed == ({"transfer-encoding"} if CHUNKED in fields else {"content-length"})
    assert (await gateway.row())["outcome"] == outcome
    assert gateway.gateway.proxy.context.upstream.open == (outcome == "ok")


@PLAIN_AND_TLS
async def test_two_lengths_of_no_body(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await exchange(gateway.url, GENERATE.replace("POST", "HEAD"))
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)
    assert (await gateway.row())["outcome"] == "ok"


UPLOAD = 1_000_000


async def answers_early(reply: Reply) -> None:
    """An answer in chunks, whose end waits for nothing."""
    await reply.chunked([b"early"], content_type="text/plain")


async def reads_the_head(stream: trio.SocketStream, number: int) -> Asked | None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += (data := await stream.receive_some())
        if not data:
            return None
    return Asked("POST", b"/", [], connection=number)


@PLAIN_AND_TLS
async def test_an_early_answer_ends_before_the_request_does(gateway: Running, google: StandIn) -> None:
    """The client waits for the answer's end with the rest of what it sends, and its connection lives on."""
    google.read, google.script = reads_the_head, answers_early  # type: ignore[method-assign]
    async with await connect(gateway.url) as client:
        await client.send_all(head(GENERATE, [f"Content-Length: {UPLOAD}"]) + bytes(UPLOAD // 2))
        with trio.fail_after(1):
            answer = await read(client)
        assert (answer.body, answer.whole) == (b"early", True)
        await client.send_all(bytes(UPLOAD // 2))
        google.read, google.script = partial(StandIn.read, google), answer_ok  # type: ignore[method-assign]
        await client.send_all(head(GENERATE, ["Content-Length: 2"]) + b"{}")
        assert (await read(client)).status == 200
    await gateway.row(2)
    assert [row["outcome"] for row in await gateway.rows()] == ["ok", "ok"]
    assert (await gateway.rows())[0]["request_bytes"] == UPLOAD


@PLAIN_AND_TLS
async def test_a_client_that_has_its_whole_answer_may_go(gateway: Running, google: StandIn) -> None:
    google.read, google.script = reads_the_head, answers_early  # type: ignore[method-assign]
    async with await connect(gateway.url) as client:
        await client.send_all(head(GENERATE, [f"Content-Length: {UPLOAD}"]) + bytes(UPLOAD // 2))
        assert (await read(client)).whole
    with trio.fail_after(1):
        assert (await gateway.row())["outcome"] == "ok"


@cases("size", [300_000, 3_000_000])
@PLAIN_AND_TLS
async def test_an_upload_has_its_answer_at_once(gateway: Running, google: StandIn, size: int) -> None:
    """Also where the body's end and the answer cross: nobody but the pump reads the request."""
    google.script = lambda reply: reply.chunked([b"done"], content_type="text/plain")
    for _ in range(10):
        with trio.fail_after(2):
            answer = await exchange(gateway.url, GENERATE, chunks=[bytes(size // 10)] * 10)
        assert (answer.body, answer.whole) == (b"done", True)
    await gateway.row(10)
    assert {row["outcome"] for row in await gateway.rows()} == {"ok"}


@PLAIN_AND_TLS
async def test_a_slow_upload_is_not_the_upstreams_time(gateway: Running, google: StandIn) -> None:
    """The client takes its time for the upload, and the upstream its own for the answer."""

    async def thinks(reply: Reply) -> None:
        await trio.sleep(0.2)
        await answer_ok(reply)

    google.script = thinks
    async with await connect(gateway.url) as client:
        await client.send_all(head(GENERATE, ["Transfer-Encoding: chunked"]))
        while not gateway.gateway.proxy.open_calls:
            await trio.sleep(0.001)
        for _ in range(3):
            await trio.sleep(0.1)
            await client.send_all(b"2\r\n{}\r\n")
        await client.send_all(b"0\r\n\r\n")
        assert (await read(client)).status == 200
    row = await gateway.row()
    assert row["first_byte_ms"] > 490
    assert 290 < row["gateway_ms"] < row["first_byte_ms"] - 190


@PLAIN_AND_TLS
async def test_what_the_upstream_takes_to_take_an_upload_is_its_own_time(
    gateway: Running, google: StandIn
) -> None:
    """More than what fits into sockets' buffers, so that the pieces wait for it in the middle."""

    async def stalls(stream: trio.SocketStream, number: int) -> Asked | None:
        asked = await reads_the_head(stream, number)
        await trio.sleep(0.4)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received = received[-8:] + await stream.receive_some()
        return asked

    google.read = stalls  # type: ignore[method-assign]
    assert (await exchange(gateway.url, GENERATE, chunks=[bytes(1_000_000)] * 16)).status == 200
    row = await gateway.row()
    assert row["first_byte_ms"] > 390
    assert row["gateway_ms"] < row["first_byte_ms"] - 350
