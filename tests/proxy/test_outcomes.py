"""How calls end when something goes wrong: what the client sees, and the one row that is written."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running, running
from rig.logs import capture_logs
from rig.standin import Reply, Script, StandIn, standing_in
from rig.wire import Answer, connect, exchange, head, read, reset

from gatekeeper.serve import POLL_INTERVAL, wait_for_calls

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
STREAM = "POST /gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k"
EVENT = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "modelVersion": "gemini-2.5-flash", '
    b'"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}}\r\n\r\n'
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def reason_of(body: bytes) -> str:
    return json.loads(body)["error"]["details"][0]["reason"]


async def never(reply: Reply) -> None:
    await reply.hung_up()


async def slams_the_door(reply: Reply) -> None:
    await reply.stream.aclose()


async def half_a_head(reply: Reply) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-T")
    await reply.stream.aclose()


async def nonsense(reply: Reply) -> None:
    await reply.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await reply.stream.aclose()


async def half_an_event(reply: Reply) -> None:
    await reply.raw(STREAM_HEAD + b"%x\r\n%b\r\n40\r\ndata: {" % (len(EVENT), EVENT))
    await reply.stream.aclose()


async def half_a_body(reply: Reply) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await reply.stream.aclose()


async def bad_chunk(reply: Reply) -> None:
    await reply.raw(STREAM_HEAD + b"%x\r\n%b\r\nnot hex\r\n" % (len(EVENT), EVENT))


@cases("script", [slams_the_door, half_a_head, nonsense])
async def test_no_answer_is_a_502_in_googles_shape(gateway: Running, google: StandIn, script: Script) -> None:
    google.script = script
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, reason_of(answer.body)) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    row = await gateway.row()
    assert (row["outcome"], row["status"], row["reason"]) == (
        "upstream_unreachable",
        502,
        "GATEKEEPER_UPSTREAM_UNREACHABLE",
    )
    assert len(google.asked) == 1, "a request that may have been answered is not sent again"


async def test_nobody_listens_there(tmp_path: Path) -> None:
    async with standing_in() as gone:
        url = gone.url
    async with running(tmp_path / "data", url) as gateway:
        answer = await exchange(gateway.url, GENERATE, body=b"{}")
        assert answer.status == 502
        row = await gateway.row()
        assert (row["outcome"], row["cost_usd"]) == ("upstream_unreachable", "0.000000000000")


@cases("script", [half_an_event, bad_chunk])
async def test_a_broken_stream_ends_uncleanly(gateway: Running, google: StandIn, script: Script) -> None:
    google.script = script
    answer = await exchange(gateway.url, STREAM, body=b"{}")
    assert answer.status == 200
    assert answer.body.startswith(EVENT)
    assert not answer.whole
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == ("upstream_broken", 200)
    assert (row["prompt_tokens"], row["output_tokens"], row["cost_usd"]) == (4, 2, "0.000006200000")


async def test_a_broken_body_ends_uncleanly(gateway: Running, google: StandIn) -> None:
    google.script = half_a_body
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.body, answer.whole) == (b"{", False)
    row = await gateway.row()
    assert (row["outcome"], row["cost_usd"]) == ("upstream_broken", None)


@cases("with_reset", [False, True])
async def test_a_request_that_arrived_is_not_sent_again(
    gateway: Running, google: StandIn, with_reset: bool
) -> None:
    """The upstream takes a request on a connection that was used before, and hangs up without an answer."""

    async def hang_up_on_second(reply: Reply) -> None:
        if len(google.asked) == 1:
            await reply.json(b"{}")
            return
        if with_reset:
            reply.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await reply.stream.aclose()

    google.script = hang_up_on_second
    assert (await exchange(gateway.url, GENERATE, body=b"{}")).status == 200
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, reason_of(answer.body)) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert b"The request may have been processed, and charged." in answer.body
    assert [asked.connection for asked in google.asked] == [1, 1]
    await gateway.row(2)
    assert [row["outcome"] for row in await gateway.rows()] == ["ok", "upstream_unreachable"]


async def test_connections_closed_while_idle_are_not_used(gateway: Running, google: StandIn) -> None:
    async def answer_and_close(reply: Reply) -> None:
        await reply.json(b"{}")
        await reply.stream.aclose()

    google.script = answer_and_close
    for _ in range(3):
        assert (await exchange(gateway.url, GENERATE, body=b"{}")).status == 200
    assert google.connections == 3
    assert len(google.asked) == 3


@pytest.mark.parametrize(
    ("line", "script", "status", "outcome"),
    [
        (GENERATE, never, 504, "upstream_unreachable"),
        (STREAM, never, 504, "upstream_unreachable"),
    ],
)
async def test_a_silent_upstream_is_given_up(
    google: StandIn, tmp_path: Path, line: str, script: Script, status: int, outcome: str
) -> None:
    google.script = script
    async with running(tmp_path / "data", google.url, first_byte_timeout=0.3) as gateway:
        answer = await exchange(gateway.url, line, body=b"{}")
        assert (answer.status, reason_of(answer.body)) == (status, "GATEKEEPER_UPSTREAM_TIMEOUT")
        row = await gateway.row()
        assert row["outcome"] == outcome
        assert row["gateway_ms"] < 200 < row["first_byte_ms"], "the wait was the upstream's"


async def test_a_stream_that_falls_silent_is_cut_with_an_error_event(google: StandIn, tmp_path: Path) -> None:
    async def stalls(reply: Reply) -> None:
        await reply.raw(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await reply.hung_up()

    google.script = stalls
    async with running(tmp_path / "data", google.url, read_timeout=0.3) as gateway:
        answer = await exchange(gateway.url, STREAM, body=b"{}")
        assert not answer.whole, "four of seven SDKs would take it for a whole answer"
        last = answer.body.removeprefix(EVENT)
        assert reason_of(last.removeprefix(b"data: ")) == "GATEKEEPER_UPSTREAM_TIMEOUT"
        row = await gateway.row()
        assert (row["outcome"], row["reason"]) == ("cut", "GATEKEEPER_UPSTREAM_TIMEOUT")


async def before_the_head(reply: Reply) -> None:
    await reply.hung_up()


async def in_the_stream(reply: Reply) -> None:
    await reply.raw(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
    await reply.hung_up()


async def at_full_speed(reply: Reply) -> None:
    await reply.raw(STREAM_HEAD)
    while True:
        await reply.raw(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))


@cases("script", [before_the_head, in_the_stream, at_full_speed])
async def test_a_client_that_goes_cancels_the_call(gateway: Running, google: StandIn, script: Script) -> None:
    google.script = script
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(2):
            while not google.asked:
                await trio.sleep(0.01)
        reset(client)
    with trio.fail_after(1.5):
        while google.open:
            await trio.sleep(0.01)
    row = await gateway.row()
    assert row["outcome"] == "client_disconnected"
    assert gateway.gateway.proxy.context.upstream.open == 0


async def test_a_client_that_goes_while_it_sends(gateway: Running, google: StandIn) -> None:
    for length in (100, 1_000_000):
        async with await connect(gateway.url) as client:
            await client.send_all(head(GENERATE, [f"Content-Length: {length}"]) + b"only this")
    with trio.fail_after(3):
        while len(rows := await gateway.rows()) < 2:
            await trio.sleep(0.01)
    assert {row["outcome"] for row in rows} == {"client_disconnected"}
    assert [asked.body for asked in google.asked] == []


async def test_an_answer_that_comes_before_the_body_is_done(gateway: Running, google: StandIn) -> None:
    """The upstream says no to an upload of which it has read only the head."""

    async def say_no_at_once(stream: trio.SocketStream, number: int) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 413 X\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nbig")
        await stream.aclose()

    google.read = say_no_at_once  # type: ignore[method-assign, assignment]
    answer = await exchange(gateway.url, GENERATE, body=b"x" * 3_000_000)
    assert (answer.status, answer.body) == (413, b"big")
    assert (await gateway.row())["outcome"] == "upstream_error"


async def test_a_refusal_reaches_a_client_that_is_still_sending(guarded: Running, google: StandIn) -> None:
    answer = await exchange(guarded.url, GENERATE, body=b"x" * 4_000_000)
    assert (answer.status, reason_of(answer.body)) == (401, "GATEKEEPER_KEY_UNKNOWN")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert not google.asked


async def test_a_bad_google_key_is_an_alarm_and_not_the_clients_fault(
    gateway: Running, google: StandIn
) -> None:
    body = json.dumps(
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
                    {"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": f"Invalid: {GOOGLE_KEY}"},
                ],
            }
        }
    ).encode()
    google.script = lambda reply: reply.json(body, status=400)
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, reason_of(answer.body)) == (502, "GATEKEEPER_UPSTREAM_KEY_INVALID")
    assert GOOGLE_KEY.encode() not in answer.body
    row = await gateway.row()
    assert (row["outcome"], row["reason"], row["upstream_key"]) == (
        "upstream_error",
        "GATEKEEPER_UPSTREAM_KEY_INVALID",
        "#1",
    )


@cases("status", [400, 403, 404, 429, 500, 503])
async def test_googles_errors_pass_as_they_are(gateway: Running, google: StandIn, status: int) -> None:
    body = b'{\n  "error": {\n    "code": %d, "message": "m", "status": "SOMETHING"}}\n' % status
    google.script = lambda reply: reply.json(body, status=status)
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, answer.body) == (status, body)
    row = await gateway.row()
    assert (row["outcome"], row["reason"], row["cost_usd"]) == (
        "upstream_error",
        "SOMETHING",
        "0.000000000000",
    )


async def test_an_error_inside_a_stream_makes_the_call_an_upstream_error(
    gateway: Running, google: StandIn
) -> None:
    error = b'data: {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}\r\n\r\n'
    google.script = lambda reply: reply.chunked([EVENT, error])
    answer = await exchange(gateway.url, STREAM, body=b"{}")
    assert answer.body == EVENT + error
    row = await gateway.row()
    assert (row["status"], row["outcome"], row["reason"]) == (200, "upstream_error", "UNAVAILABLE")


async def test_a_slow_reader_holds_nobody_up(google: StandIn, tmp_path: Path) -> None:
    google.script = at_full_speed
    async with running(tmp_path / "data", google.url, read_timeout=0.5) as gateway:
        async with await connect(gateway.url) as client:
            await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
            row = await gateway.row()  # nobody reads, and the call ends all the same
            assert row["outcome"] == "client_disconnected"
        assert google.open == 0


async def test_a_head_that_is_too_large(gateway: Running) -> None:
    answer = await exchange(gateway.url, GENERATE, body=b"{}", headers=["x-long: " + "x" * 70_000])
    assert (answer.status, reason_of(answer.body)) == (413, "GATEKEEPER_TOO_LARGE")
    assert (await gateway.row())["outcome"] == "refused"


@cases(
    ("line", "headers"),
    [
        ("POST /gemini/v1beta/models/gemini-2.5-flash%3AgenerateContent?key=k", []),
        ("POST /gemini/v1beta//models/gemini-2.5-flash:generateContent?key=k", []),
        (GENERATE + "&fields=candidates", []),
        (GENERATE + "&%24alt=proto", []),
        (GENERATE, ["X-Goog-FieldMask: candidates"]),
    ],
)
async def test_ways_around_the_meter_are_closed(
    gateway: Running, google: StandIn, line: str, headers: list[str]
) -> None:
    answer = await exchange(gateway.url, line, body=b"{}", headers=headers)
    assert (answer.status, reason_of(answer.body)) == (400, "GATEKEEPER_BAD_REQUEST")
    assert (await gateway.row())["outcome"] == "refused"
    assert not google.asked


async def test_one_connection_carries_calls_after_a_refusal(guarded: Running, google: StandIn) -> None:
    secret = await guarded.key(key_alias="good")
    async with await connect(guarded.url) as client:
        for key, status in (("wrong-key", 401), (secret, 200), ("wrong-key", 401)):
            line = GENERATE.replace("key=k", f"key={key}")
            await client.send_all(head(line, ["Content-Length: 2"]) + b"{}")
            answer = await read(client)
            assert answer.status == status


Cut = Callable[[Running], Awaitable[Any]]


async def test_a_drain_lets_calls_finish_and_refuses_new_ones(gateway: Running, google: StandIn) -> None:
    go_on = trio.Event()

    async def waits(reply: Reply) -> None:
        await reply.raw(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await go_on.wait()
        await reply.raw(b"0\r\n\r\n")

    google.script = waits
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(2):
            while not gateway.gateway.proxy.open_calls:
                await trio.sleep(0.01)
        gateway.gateway.proxy.context.draining = True
        refused = await exchange(gateway.url, GENERATE, body=b"{}")
        assert (refused.status, reason_of(refused.body)) == (503, "GATEKEEPER_DRAINING")
        assert refused.headers["retry-after"] == "5"
        go_on.set()
        assert (await read(client)).whole


async def test_a_stop_waits_for_calls_and_not_for_refusals(guarded: Running, google: StandIn) -> None:
    go_on = trio.Event()

    async def waits(reply: Reply) -> None:
        await go_on.wait()
        await reply.json(b"{}")

    google.script = waits
    proxy, line = guarded.gateway.proxy, GENERATE.replace("key=k", f"key={await guarded.key()}")
    signals = trio.open_memory_channel[int](0)[1]
    async with await connect(guarded.url) as client, await connect(guarded.url) as refused:
        await client.send_all(head(line, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(2):
            while not google.asked:
                await trio.sleep(0.01)
        with trio.move_on_after(3 * POLL_INTERVAL) as waiting:
            await wait_for_calls(guarded.gateway, signals)
        assert waiting.cancelled_caught
        await refused.send_all(head(GENERATE, ["Content-Length: 900"]) + b"{")  # and the rest never comes
        assert (await read(refused)).status == 401
        go_on.set()
        with trio.fail_after(1):
            await wait_for_calls(guarded.gateway, signals)
        assert len(proxy.open_calls) == 1


ELEMENT = b'{"candidates": []}'
SSE, ARRAY = "text/event-stream", "application/json"
CUTS = {
    "between two elements": (ARRAY, [b"[" + ELEMENT], b"[" + ELEMENT + b",\r\n%b\r\n"),
    "after a comma": (ARRAY, [b"[" + ELEMENT, b"\n,\r\n"], b"[" + ELEMENT + b"\n,\r\n%b\r\n"),
    "before the first element": (ARRAY, [b"["], b"[%b\r\n"),
    "within an element": (ARRAY, [b"[" + ELEMENT[:9]], b"[" + ELEMENT[:9]),
    "after the array's end": (ARRAY, [b"[" + ELEMENT + b"]"], b"[" + ELEMENT + b"]"),
    "within a document": (ARRAY, [ELEMENT[:9]], ELEMENT[:9]),
    "between two events": (SSE, [EVENT], EVENT + b"data: %b\r\n\r\n"),
    "an event that came in pieces": (SSE, [EVENT[:-1], EVENT[-1:]], EVENT + b"data: %b\r\n\r\n"),
    "within an event": (SSE, [EVENT, EVENT[:30]], EVENT + EVENT[:30]),
    "before an event's end": (SSE, [EVENT[:-2]], EVENT[:-2]),
}


async def cut_after(gateway: Running, line: str, sent: int, version: str = "1.1") -> tuple[bytes, Answer]:
    """What the client of a call gets, as bytes and as an answer, that is cut once so much was sent to it."""
    async with await connect(gateway.url) as client:
        opening = head(line, ["Content-Length: 2"]).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
        await client.send_all(opening + b"{}")
        with trio.fail_after(2):
            while not any(e.transport.sent_bytes >= sent for e in gateway.gateway.proxy.open_calls):
                await trio.sleep(0.01)
        gateway.gateway.proxy.cut_all()
        received = b""
        try:
            while data := await client.receive_some():
                received += data
        except trio.BrokenResourceError:
            return received, Answer(0, {}, received.partition(b"\r\n\r\n")[2], whole=False)
        receiver, sender = trio.testing.memory_stream_pair()
        await sender.send_all(received)
        await sender.aclose()
        return received, await read(receiver)  # type: ignore[arg-type]


@cases("action", ["streamGenerateContent", "somethingNew"])
@cases(("form", "chunks", "whole"), CUTS.values())
async def test_a_cut_stream_gets_the_error_where_one_more_fits_and_no_end(
    gateway: Running, google: StandIn, form: str, chunks: list[bytes], whole: bytes, action: str
) -> None:
    async def stalls(reply: Reply) -> None:
        await reply.chunked(chunks, content_type=form, end=False)
        await reply.hung_up()

    google.script = stalls
    line = f"POST /gemini/v1beta/models/gemini-2.5-flash:{action}?key=k"
    _, answer = await cut_after(gateway, line, sum(map(len, chunks)))
    assert not answer.whole
    before, has_error, after = whole.partition(b"%b")
    if has_error:
        assert answer.body.startswith(before)
        assert answer.body.endswith(after)
        document = answer.body[len(before) : len(answer.body) - len(after)]
        assert reason_of(document) == "GATEKEEPER_DRAINING"
    else:
        assert answer.body == b"".join(chunks)
    assert (await gateway.row())["outcome"] == "cut"


@cases(("room", "fits"), [(5000, True), (10, False)])
async def test_a_cut_answer_of_known_length_gets_no_more_than_that(
    gateway: Running, google: StandIn, room: int, fits: bool
) -> None:
    async def stalls(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        await reply.raw(b"Content-Length: %d\r\n\r\n%b" % (len(EVENT) + room, EVENT))
        await reply.hung_up()

    google.script = stalls
    _, answer = await cut_after(gateway, STREAM, len(EVENT))
    assert (answer.body == EVENT, answer.whole) == (not fits, False)


async def test_a_cut_stream_ends_in_a_reset_where_closing_is_a_proper_end(
    gateway: Running, google: StandIn
) -> None:
    """HTTP/1.0 has no other end for a body of unknown length."""
    google.script = in_the_stream
    received, answer = await cut_after(gateway, STREAM, len(EVENT), version="1.0")
    assert EVENT in received
    assert not answer.whole


async def test_a_broken_stream_ends_in_a_reset_there_too(gateway: Running, google: StandIn) -> None:
    async def receive_all() -> None:
        while await client.receive_some():
            pass

    google.script = half_an_event
    with capture_logs() as logged:
        async with await connect(gateway.url) as client:
            opening = head(STREAM, ["Content-Length: 2"]).replace(b"HTTP/1.1", b"HTTP/1.0")
            await client.send_all(opening + b"{}")
            with pytest.raises(trio.BrokenResourceError):
                await receive_all()
        assert (await gateway.row())["outcome"] == "upstream_broken"
    assert logged == [], "such an end is no fault of the gateway"


async def test_nothing_is_framed_into_a_chunk_that_was_cut(gateway: Running, google: StandIn) -> None:
    """The client reads nothing until its connection is full, is cut within a chunk, and reads on."""
    google.script = at_full_speed
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        looks: list[int] = []  # bytes sent, at looks that found it waiting
        with trio.fail_after(5):
            while len(looks) < 10 or looks[-10] != looks[-1]:
                await trio.sleep(0.01)
                looks += [
                    e.transport.sent_bytes
                    for e in gateway.gateway.proxy.open_calls
                    if e.transport.write_blocked
                ]
        gateway.gateway.proxy.cut_all()
        answer = await read(client)
    assert not answer.whole
    assert answer.body
    assert (EVENT * (len(answer.body) // len(EVENT) + 1)).startswith(answer.body)
    assert (await gateway.row())["outcome"] == "cut"


async def test_a_drain_that_takes_too_long_cuts_with_an_event(gateway: Running, google: StandIn) -> None:
    google.script = in_the_stream
    async with await connect(gateway.url) as client:
        await client.send_all(head(STREAM, ["Content-Length: 2"]) + b"{}")
        with trio.fail_after(2):
            while not any(e.transport.sent_bytes for e in gateway.gateway.proxy.open_calls):
                await trio.sleep(0.01)
        gateway.gateway.proxy.cut_all()
        answer = await read(client)
        assert not answer.whole
        assert reason_of(answer.body.removeprefix(EVENT + b"data: ")) == "GATEKEEPER_DRAINING"
    assert (await gateway.row())["outcome"] == "cut"
