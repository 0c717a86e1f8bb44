"""What the relay makes of answers that are not as they should be."""

from __future__ import annotations

import pytest
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

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


@pytest.mark.parametrize(
    ("fields", "body", "received", "whole", "outcome"), LENGTHS.values(), ids=LENGTHS.keys()
)
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
    assert gateway.gateway.proxy.upstream.open == (outcome == "ok")


async def test_two_lengths_of_no_body(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await exchange(gateway.url, GENERATE.replace("POST", "HEAD"))
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)
    assert (await gateway.row())["outcome"] == "ok"
