"""What else HTTP/1.1 has: 100-continue, 1xx, trailers, pipelining, HEAD, HTTP/1.0, content codings."""

from __future__ import annotations

import gzip
import json
import re

import trio
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running
from rig.standin import Reply, StandIn, answer_ok
from rig.wire import connect, exchange, head, read

GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
POST = f"POST {GENERATE}?key=k"
FILES = "/gemini/v1beta/files/x?key=k"
FINE = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'


# Expect: 100-continue


@cases(
    ("framing", "body"),
    [
        ("Content-Length: 2", b"{}"),
        ("Content-Length: 300000", b"x" * 300_000),
        ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"),
    ],
)
async def test_a_client_that_waits_is_told_to_go_on(
    gateway: Running, google: StandIn, framing: str, body: bytes
) -> None:
    async with await connect(gateway.url) as client:
        for _ in range(2):
            await client.send_all(head(POST, [framing, "Expect: 100-continue"]))
            with trio.fail_after(2):
                assert await client.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send_all(body)
            assert (await read(client)).body == FINE
    assert google.asked[0].header("expect") == []


async def test_a_client_that_waits_is_refused_without_its_body(guarded: Running) -> None:
    async with await connect(guarded.url) as client:
        line = f"POST {GENERATE}?key=sk-unknown"
        await client.send_all(head(line, ["Content-Length: 2000000000", "Expect: 100-continue"]))
        with trio.fail_after(2):
            answer = await read(client)
    assert (answer.status, answer.informational, answer.whole) == (401, [], True)
    row = await guarded.row()
    assert (row["outcome"], row["request_bytes"]) == ("refused", 0)


async def test_a_client_that_waits_and_sends_all_the_same_keeps_its_connection(guarded: Running) -> None:
    async with await connect(guarded.url) as client:
        line = f"POST {GENERATE}?key=sk-unknown"
        for _ in range(2):
            await client.send_all(head(line, ["Content-Length: 2", "Expect: 100-continue"]))
            with trio.fail_after(2):
                assert (await read(client)).status == 401
            await client.send_all(b"{}")


# 1xx of the upstream


async def test_informational_responses_come_down_except_100(gateway: Running, google: StandIn) -> None:
    async def hints(reply: Reply) -> None:
        await reply.raw(
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 102 Processing\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nAlt-Svc: h3\r\nX-Key: %b\r\n\r\n"
            % GOOGLE_KEY.encode()
        )
        await answer_ok(reply)

    google.script = hints
    answer = await exchange(gateway.url, POST, body=b"{}")
    assert (answer.status, answer.body) == (200, FINE)
    call_id = {"x-gatekeeper-call-id": (await gateway.row())["id"]}
    link = {"link": "</a>; rel=preload", "x-key": "*" * len(GOOGLE_KEY)}
    assert answer.informational == [
        (102, "Processing", call_id),
        (103, "Early Hints", link | call_id),
    ]


async def test_http_1_0_has_no_informational_responses(gateway: Running, google: StandIn) -> None:
    async def hints(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await answer_ok(reply)

    google.script = hints
    async with await connect(gateway.url) as client:
        await client.send_all(head(POST, ["Content-Length: 2"]).replace(b"HTTP/1.1", b"HTTP/1.0") + b"{}")
        answer = await read(client)
    assert (answer.status, answer.informational, answer.body) == (200, [], FINE)


async def test_a_switch_of_protocols_that_nobody_asked_for_is_no_response(
    gateway: Running, google: StandIn
) -> None:
    google.script = lambda reply: reply.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
    answer = await exchange(gateway.url, POST, body=b"{}")
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")


# Trailers


async def test_the_trailers_of_a_request_go_up(gateway: Running, google: StandIn) -> None:
    trailers = [
        "X-Checksum: 1",
        "X-Checksum: 2",
        "x-goog-api-key: AIzaMine",
        "Authorization: Bearer mine",
        "Connection: close",
        "Content-Length: 5",
        "X-Forwarded-For: 1.2.3.4",
        "x_goog_api_key: AIzaMine",
        "X-Goog-FieldMask: candidates",
        "X-HTTP-Method-Override: GET",
        "tags: a",
    ]
    async with await connect(gateway.url) as client:
        await client.send_all(head(POST, ["Transfer-Encoding: chunked"]) + b"2\r\n{}\r\n0\r\n")
        await client.send_all("".join(f"{line}\r\n" for line in [*trailers, ""]).encode())
        assert (await read(client)).body == FINE
    (asked,) = google.asked
    assert (asked.body, asked.trailers) == (b"{}", [(b"x-checksum", b"1"), (b"x-checksum", b"2")])


TRAILERS = (
    b"0\r\nX-Checksum: 1\r\nX-Goog-Api-Key: AIza\r\nSet-Cookie: a\r\nContent-Type: text/html\r\n"
    b"X-Key: %b\r\nAccess-Control-Allow-Origin: *\r\n\r\n" % GOOGLE_KEY.encode()
)


@cases("status", [200, 404])
@cases("together", [True, False])
async def test_the_trailers_of_a_response_come_down(
    gateway: Running, google: StandIn, status: int, together: bool
) -> None:
    async def trailed(reply: Reply) -> None:
        start = b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" % status
        await reply.raw(start + (TRAILERS if together else b""))
        if not together:
            await trio.lowlevel.checkpoint()
            await reply.raw(TRAILERS)

    google.script = trailed
    async with await connect(gateway.url) as client:
        for _ in range(2):  # the next response has its own
            await client.send_all(head(POST, ["Content-Length: 2"]) + b"{}")
            answer = await read(client)
            assert (answer.status, answer.body, answer.whole) == (status, b"{}", True)
            assert answer.trailers == [("x-checksum", "1"), ("x-key", "*" * len(GOOGLE_KEY))]
        google.script = answer_ok
        await client.send_all(head(POST, ["Content-Length: 2"]) + b"{}")
        assert (await read(client)).trailers == []
    assert google.connections == 1


@cases("method", ["POST", "HEAD"])
async def test_trailers_where_the_client_has_no_chunks(
    gateway: Running, google: StandIn, method: str
) -> None:
    async def trailed(reply: Reply) -> None:
        body = b"" if reply.asked.method == "HEAD" else b"2\r\n{}\r\n" + TRAILERS
        await reply.raw(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    google.script = trailed
    async with await connect(gateway.url) as client:
        line = POST.replace("POST", method)
        await client.send_all(head(line, ["Content-Length: 0"]).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await read(client, method)
        assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"{}")
        assert await client.receive_some() == b""
    assert (await gateway.row())["outcome"] == "ok"


# Without a body


@cases(
    ("method", "status", "headers"),
    [
        ("HEAD", 200, ["Content-Length: 12345", "ETag: e"]),
        ("HEAD", 200, ["Transfer-Encoding: chunked"]),
        ("HEAD", 404, ["Content-Length: 77"]),
        ("GET", 204, ["ETag: e"]),
        ("GET", 304, ["ETag: e", "Content-Length: 12345"]),
        ("DELETE", 204, []),
    ],
)
async def test_a_response_without_a_body_keeps_its_headers_and_the_connection(
    gateway: Running, google: StandIn, method: str, status: int, headers: list[str]
) -> None:
    google.script = lambda reply: reply.raw("\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""]).encode())
    async with await connect(gateway.url) as client:
        for _ in range(2):
            await client.send_all(head(f"{method} {FILES}", []))
            answer = await read(client, method)
            assert (answer.status, answer.body, answer.whole) == (status, b"", True)
            kept = [(name.lower(), value) for name, value in (line.split(": ") for line in headers)]
            added = ("x-gatekeeper-call-id", "date")
            assert [field for field in answer.fields if field[0] not in added] == kept
    await gateway.row(2)
    assert {row["outcome"] for row in await gateway.rows()} == (
        {"ok"} if status < 400 else {"upstream_error"}
    )


async def test_what_must_not_have_a_length_has_none(gateway: Running, google: StandIn) -> None:
    """RFC 9110 §8.6: a client that takes it for the length of a body waits for one."""
    length = b"Content-Length: 5\r\n\r\n"
    hint, last = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" + length, b"HTTP/1.1 204 X\r\n" + length
    google.script = lambda reply: reply.raw(hint + last)
    answer = await exchange(gateway.url, f"DELETE {FILES}")
    assert (answer.status, [name for name, _ in answer.fields]) == (204, ["x-gatekeeper-call-id", "date"])
    ((_, _, hinted),) = answer.informational
    assert set(hinted) == {"link", "x-gatekeeper-call-id"}


# One after the other, and HTTP/1.0


async def test_pipelined_requests_are_answered_in_order(gateway: Running, google: StandIn) -> None:
    async def echoes(reply: Reply) -> None:
        await reply.json(json.dumps(reply.asked.target.decode()).encode())

    google.script = echoes
    lines = [
        head("GET /gemini/v1beta/files/1?key=k", []),
        head(f"POST {GENERATE}?key=k", ["Content-Length: 2"]) + b"{}",
        head("GET /healthz", []),
        head(f"POST {GENERATE}?key=k", ["Transfer-Encoding: chunked"]) + b"2\r\n{}\r\n0\r\n\r\n",
        head("GET /gemini/nothing", []),
        head("HEAD /gemini/v1beta/files/2?key=k", ["Connection: close"]),
    ]
    received = b""
    async with await connect(gateway.url) as client:
        await client.send_all(b"".join(lines))
        with trio.fail_after(5):
            while data := await client.receive_some():
                received += data
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200", b"200", b"200", b"404", b"200"]
    assert received.index(b"files/1") < received.index(b"generateContent") < received.index(b"nothing")
    await gateway.row(5)


@cases("framing", ["length", "chunked"])
async def test_http_1_0(gateway: Running, google: StandIn, framing: str) -> None:
    if framing == "chunked":
        google.script = lambda reply: reply.chunked([FINE], "application/json")
    async with await connect(gateway.url) as client:
        line = f"POST {GENERATE}?key=k HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"
        await client.send_all(line.encode())
        received = b""
        with trio.fail_after(5):
            while data := await client.receive_some():
                received += data
    start, _, body = received.partition(b"\r\n\r\n")
    assert (start[:12], body) == (b"HTTP/1.1 200", FINE)
    assert (b"content-length" in start.lower()) == (framing == "length")
    assert b"transfer-encoding" not in start.lower()
    assert google.asked[0].header("host") == [google.url.removeprefix("http://")]
    assert (await gateway.row())["outcome"] == "ok"


# Codings


@cases("coding", ["gzip", "br", "zstd", "deflate", "x-novelty"])
@cases("chunked", [True, False])
async def test_a_compressed_request_is_untouched(
    gateway: Running, google: StandIn, coding: str, chunked: bool
) -> None:
    body = gzip.compress(b"{}") if coding == "gzip" else b"\x28\xb5\x2f\xfd\x00\x00" * 3
    sent = {"chunks": [body[:7], body[7:]]} if chunked else {"body": body}
    answer = await exchange(gateway.url, POST, headers=[f"Content-Encoding: {coding}"], **sent)
    assert answer.status == 200
    assert (google.asked[0].body, google.asked[0].header("content-encoding")) == (body, [coding])


@cases(("accepted", "coding"), [("gzip, br", "gzip"), ("br", None)])
async def test_a_response_comes_as_the_upstream_coded_it(
    gateway: Running, google: StandIn, accepted: str, coding: str | None
) -> None:
    async def as_asked(reply: Reply) -> None:
        if reply.asked.header("accept-encoding") == ["gzip"]:
            await reply.json(gzip.compress(FINE, mtime=0), headers=("Content-Encoding: gzip",))
        else:
            await reply.json(FINE)

    google.script = as_asked
    answer = await exchange(gateway.url, POST, body=b"{}", headers=[f"Accept-Encoding: {accepted}"])
    assert answer.headers.get("content-encoding") == coding
    assert answer.body == (gzip.compress(FINE, mtime=0) if coding else FINE)
    assert (await gateway.row())["total_tokens"] == 1
