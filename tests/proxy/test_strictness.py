"""What is no proper HTTP/1.1 is refused with words and a row; no part of it becomes a request upstream."""

from __future__ import annotations

import contextlib
import json
from typing import NamedTuple

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import PLAIN_AND_TLS, Answer, connect, read

from gatekeeper.server.request_validation import partial_request

PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
BAD, LARGE = "GATEKEEPER_BAD_REQUEST", "GATEKEEPER_TOO_LARGE"
HOST = "Host: localhost"
STATUS = {BAD: 400, LARGE: 413}


class Case(NamedTuple):
    name: str
    sent: bytes
    reason: str = BAD
    row: bool = True


def post(
    *fields: str, body: str = "{}", line: str = f"POST {PATH}?key=k HTTP/1.1", host: str = HOST
) -> bytes:
    lines = [line, *([host] if host else []), *fields, "", body]
    return "\r\n".join(lines).encode("latin-1")


def chunked(body: str, *fields: str) -> bytes:
    return post("Transfer-Encoding: chunked", *fields, body=body)


LENGTH = "Content-Length: 2"
SMUGGLED = f"POST {PATH}?key=smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
HEADS = [
    Case("a length of 2^64 + 130", post(f"Content-Length: {2**64 + 130}")),
    Case("a length of 2^63", post(f"Content-Length: {2**63}")),
    Case("a length of thirty digits", post(f"Content-Length: {'9' * 30}")),
    Case("a length below zero", post("Content-Length: -2")),
    Case("a length with a sign", post("Content-Length: +2")),
    Case("a length in hexadecimal", post("Content-Length: 0x2")),
    Case("a length with a fraction", post("Content-Length: 2.0")),
    Case("a length of nothing", post("Content-Length:")),
    Case("a length with a blank in it", post("Content-Length: 1 2")),
    Case("a length in other digits", post("Content-Length: \xb2")),
    Case("two lengths", post(LENGTH, "Content-Length: 44")),
    Case("two lengths in one field", post("Content-Length: 2, 44")),
    Case("two lengths, the smaller one last", post("Content-Length: 44", LENGTH, body="{}" + SMUGGLED)),
    Case("a length and chunks", post(LENGTH, "Transfer-Encoding: chunked", body="2\r\n{}\r\n0\r\n\r\n")),
    Case("chunks and a length", post("Transfer-Encoding: chunked", LENGTH, body=f"0\r\n\r\n{SMUGGLED}")),
    Case("another coding", post("Transfer-Encoding: gzip")),
    Case("two codings", post("Transfer-Encoding: gzip, chunked")),
    Case("a coding nobody knows", post("Transfer-Encoding: xchunked")),
    Case("a coding that is none", post("Transfer-Encoding: identity", LENGTH)),
    Case("chunked twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n")),
    Case("chunked with a tab behind a letter", post("Transfer-Encoding: chunked\x0b", body="0\r\n\r\n")),
    Case("chunks in HTTP/1.0", post(
        "Transfer-Encoding: chunked", line=f"POST {PATH}?key=k HTTP/1.0", body="0\r\n\r\n"
    )),
    Case("HTTP/2.0", post(LENGTH, line=f"POST {PATH}?key=k HTTP/2.0")),
    Case("HTTP/9.9", post(LENGTH, line=f"POST {PATH}?key=k HTTP/9.9")),
    Case("HTTP/0.9", post(LENGTH, line=f"POST {PATH}?key=k HTTP/0.9")),
    Case("HTTP/1.2", post(LENGTH, line=f"POST {PATH}?key=k HTTP/1.2")),
    Case("HTTP/1.10", post(LENGTH, line=f"POST {PATH}?key=k HTTP/1.10")),
    Case("HTTP/1", post(LENGTH, line=f"POST {PATH}?key=k HTTP/1")),
    Case("http/1.1", post(LENGTH, line=f"POST {PATH}?key=k http/1.1")),
    Case("ICY/1.1", post(LENGTH, line=f"POST {PATH}?key=k ICY/1.1")),
    Case("no version", post(LENGTH, line=f"POST {PATH}?key=k")),
    Case("words behind the version", post(LENGTH, line=f"POST {PATH}?key=k HTTP/1.1 again")),
    Case("a blank in the target", post(LENGTH, line=f"POST {PATH}?key=k and more HTTP/1.1")),
    Case("two blanks before the target", post(LENGTH, line=f"POST  {PATH}?key=k HTTP/1.1")),
    Case("a tab before the target", post(LENGTH, line=f"POST\t{PATH}?key=k HTTP/1.1")),
    Case("letters beyond ASCII in the target", post(LENGTH, line=f"POST {PATH}/\xe9\xff?key=k HTTP/1.1")),
    Case("a control character in the target", post(LENGTH, line=f"POST {PATH}\x01?key=k HTTP/1.1")),
    Case("NUL in the target", post(LENGTH, line=f"POST {PATH}\x00?key=k HTTP/1.1")),
    Case("a method in lower case", post(LENGTH, line=f"post {PATH}?key=k HTTP/1.1")),
    Case("a method in mixed case", post(LENGTH, line=f"Get {PATH}?key=k HTTP/1.1")),
    Case("CONNECT to a path", post(LENGTH, line=f"CONNECT {PATH}?key=k HTTP/1.1")),
    Case("no Host", post(LENGTH, host="")),
    Case("two Hosts", post(LENGTH, "Host: y")),
    Case("a Host with a path", post(LENGTH, host="Host: localhost/a")),
    Case("a Host with a user", post(LENGTH, host="Host: a@localhost")),
    Case("a Host of two words", post(LENGTH, host="Host: local host")),
    Case("a Host of two names", post(LENGTH, host="Host: a,b\"")),
    Case("a Host with a port that is none", post(LENGTH, host="Host: localhost:http")),
    Case("a Host with an open bracket", post(LENGTH, host="Host: [::1")),
    Case("a Host beyond ASCII", post(LENGTH, host="Host: caf\xe9")),
    Case("a Host in chunks", post("Transfer-Encoding: chunked", host="Host: a\\b", body="0\r\n\r\n")),
    Case("a Host of HTTP/1.0", post(LENGTH, host="Host: a?b", line=f"POST {PATH}?key=k HTTP/1.0")),
    Case("a blank before the colon", post(LENGTH, "X-A : b")),
    Case("a blank before the colon of a length", post("Content-Length : 2")),
    Case("a field without a colon", post(LENGTH, "X-A b")),
    Case("a field without a name", post(LENGTH, ": b")),
    Case("a name with a bracket", post(LENGTH, "X(A): b")),
    Case("a name beyond ASCII", post(LENGTH, "X-\xe9: b")),
    Case("a name with NUL", post(LENGTH, "X\x00A: b")),
    Case("a value with NUL", post(LENGTH, "X-A: b\x00c")),
    Case("a value with a control character", post(LENGTH, "X-A: b\x01c")),
    Case("a value with DEL", post(LENGTH, "X-A: b\x7fc")),
    Case("a value with a bare CR", post(LENGTH, "X-A: b\rX-B: c")),
    Case("a folded header", post(LENGTH, "X-A: b\r\n c")),
    Case("a folded length", post("Content-Length:\r\n 2")),
    Case("a folded first header", post(HOST, LENGTH, host=" X: a")),
    Case("a line that ends in LF", post(LENGTH, "X-A: b\nX-B: c")),
    Case("lines that all end in LF", post(LENGTH).replace(b"\r\n", b"\n")),
    Case("a head that ends in LF LF", post(LENGTH, "X-A: b").replace(b"b\r\n\r\n", b"b\n\n")),
    Case("a target of 200 kB", post(LENGTH, line=f"POST {PATH}?key=k&x={'a' * 200_000} HTTP/1.1"), LARGE),
    Case("a path of 200 kB", post(LENGTH, line=f"POST {PATH}{'a' * 200_000} HTTP/1.1"), LARGE),
    Case("a target of 66 kB", post(LENGTH, line=f"POST {PATH}?key=k&x={'a' * 66_000} HTTP/1.1"), LARGE),
    Case("a header of 300 kB", post(LENGTH, f"X-A: {'a' * 300_000}"), LARGE),
    Case("a head without an end", post(*[f"X-{n}: {'a' * 100}" for n in range(2000)])[:-6], LARGE),
    Case("a WebSocket of another version", post(
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 12",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", line=f"GET {PATH} HTTP/1.1", body="",
    )),
    Case("a WebSocket without a key", post(
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", line=f"GET {PATH} HTTP/1.1",
        body="",
    )),
    Case("absolute, and malformed", post(LENGTH, "X-A : b", line=f"POST http://x{PATH}?key=k HTTP/1.1")),
]  # fmt: skip
BODIES = [
    Case("a chunk of 2^64 + 2", chunked("10000000000000002\r\n{}\r\n0\r\n\r\n")),
    Case("a chunk of 2^63", chunked("8000000000000000\r\n{}\r\n0\r\n\r\n")),
    Case("a size of twenty digits", chunked("00000000000000000002\r\n{}\r\n0\r\n\r\n")),
    Case("a size below zero", chunked("-2\r\n{}\r\n0\r\n\r\n")),
    Case("a size with a sign", chunked("+2\r\n{}\r\n0\r\n\r\n")),
    Case("a size with 0x", chunked("0x2\r\n{}\r\n0\r\n\r\n")),
    Case("a size that is none", chunked("two\r\n{}\r\n0\r\n\r\n")),
    Case("no size", chunked("\r\n{}\r\n0\r\n\r\n")),
    Case("a blank before the size", chunked(" 2\r\n{}\r\n0\r\n\r\n")),
    Case("an extension with a bare CR", chunked(f"2;\rx\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}")),
    Case("an extension with LF", chunked(f"2;\nx\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}")),
    Case("an extension with NUL", chunked("2;\x00\r\n{}\r\n0\r\n\r\n")),
    Case("an extension of 8 kB", chunked(f"2;{'x' * 8192}\r\n{{}}\r\n0\r\n\r\n")),
    Case("a size without an end", chunked("2" + "0" * 8192)),
    Case("lines that end in LF", chunked("2\n{}\n0\n\n")),
    Case("a first line that ends in LF", chunked("2\n{}\r\n0\r\n\r\n")),
    Case("a last line that ends in LF", chunked("2\r\n{}\r\n0\n\r\n")),
    Case("a chunk that ends in LF", chunked("2\r\n{}\n0\r\n\r\n")),
    Case("a chunk that is longer than it says", chunked("1\r\n{}\r\n0\r\n\r\n")),
    Case("a trailer without a colon", chunked("2\r\n{}\r\n0\r\nX\r\n\r\n")),
    Case("a trailer that ends in LF", chunked("2\r\n{}\r\n0\r\nX: a\n\r\n")),
    Case("a folded trailer", chunked("2\r\n{}\r\n0\r\nX: a\r\n b\r\n\r\n")),
]
OUTSIDE = [
    Case("junk", b"\x00\x01\x02 junk\r\n\r\n", row=False),
    Case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", row=False),
    Case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", row=False),
    Case("an empty line", b"\r\n", row=False),
    Case("no Host", b"GET /healthz HTTP/1.1\r\n\r\n", row=False),
    Case("a Host with a path", b"GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n", row=False),
    Case("a bad Host of the admin API", post(LENGTH, host="Host: <>", line="POST /sql HTTP/1.1"), row=False),
    Case("HTTP/2.0", b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", row=False),
    Case("CONNECT to a host", b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", row=False),
    Case("a long target", b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 200_000), LARGE, row=False),
    Case("a bad length", post("Content-Length: 2, 3", line="POST /key/generate HTTP/1.1"), row=False),
    Case("a bad chunk", chunked("two\r\n").replace(f"{PATH}?key=k".encode(), b"/key/generate"), row=False),
    Case("a target without a slash", post(LENGTH, line="POST gemini/v1beta HTTP/1.1"), row=False),
    Case("a target of another scheme", post(LENGTH, line="POST ftp://x/gemini/ HTTP/1.1"), row=False),
    Case("a name like ours", post("X-A : b", line="POST /geminix/v1beta HTTP/1.1"), row=False),
]  # fmt: skip


async def say(url: str, sent: bytes) -> Answer:
    async with await connect(url) as client:
        with contextlib.suppress(trio.BrokenResourceError):
            await client.send_all(sent)
        return await read(client, "GET" if sent.startswith(b"HEAD") else "POST")


async def told(gateway: Running, case: Case) -> list[str]:
    """What is wrong with the answer to a malformed request."""
    wrong: list[str] = []
    with trio.move_on_after(5) as waiting:
        answer = await say(gateway.url, case.sent)
    if waiting.cancelled_caught:
        return ["no answer"]
    if (answer.status, answer.whole) != (STATUS[case.reason], True):
        return [f"{answer}"]
    document = json.loads(answer.body)
    if case.row:
        error = document["error"]
        if (error["code"], error["details"][0]["reason"]) != (answer.status, case.reason):
            wrong.append(f"{document}")
        if "x-gatekeeper-call-id" not in answer.headers:
            wrong.append("no id")
    elif document["status"] != answer.status:
        wrong.append(f"{document}")
    if answer.headers.get("connection") != "close":
        wrong.append("the connection goes on")
    if b"k" * 9 in answer.body or b"smuggled" in answer.body:
        wrong.append("it quotes")
    return wrong


@pytest.mark.parametrize("cases", [HEADS, BODIES, OUTSIDE], ids=["heads", "bodies", "outside"])
@PLAIN_AND_TLS
async def test_what_is_malformed_is_refused_in_words(
    gateway: Running, google: StandIn, cases: list[Case]
) -> None:
    wrong = {case.name: found for case in cases if (found := await told(gateway, case))}
    assert wrong == {}
    assert google.asked == []
    expected = [case for case in cases if case.row]
    await gateway.rows() if not expected else await gateway.row(len(expected))
    rows = await gateway.rows()
    seen = [(row["outcome"], row["status"], row["reason"]) for row in rows]
    assert seen == [("refused", STATUS[case.reason], case.reason) for case in expected]
    assert [
        row["path"] for row in rows if not row["path"].startswith("/v1beta/models/gemini-2.5-flash")
    ] == []
    assert len(HEADS + BODIES + OUTSIDE) >= 60


@PLAIN_AND_TLS
async def test_junk_behind_a_request_does_not_become_one(gateway: Running, google: StandIn) -> None:
    for number, junk in enumerate(
        [b"junk\r\n\r\n", b"\x00" * 100, b"0\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n"], 1
    ):
        async with await connect(gateway.url) as client:
            await client.send_all(post(LENGTH) + junk)
            received = b""
            with trio.fail_after(5):
                while data := await client.receive_some():
                    received += data
        first, second = received.split(b"HTTP/1.1 ")[1:]
        assert (first[:3], second[:3]) == (b"200", b"400")
        assert len(google.asked) == number
    assert [row["outcome"] for row in await gateway.rows()] == ["ok"] * 4


@PLAIN_AND_TLS
async def test_junk_behind_the_last_request_is_not_looked_at(gateway: Running, google: StandIn) -> None:
    async with await connect(gateway.url) as client:
        await client.send_all(post(LENGTH, "Connection: close") + SMUGGLED.encode())
        assert (await read(client)).status == 200
    assert len(google.asked) == 1
    assert (await gateway.row())["outcome"] == "ok"


@PLAIN_AND_TLS
async def test_a_body_that_turns_out_malformed_on_its_way(gateway: Running, google: StandIn) -> None:
    """Upstream sees a request that breaks off, which is none."""
    async with await connect(gateway.url) as client:
        await client.send_all(chunked("2\r\n{}\r\n"))
        with trio.fail_after(5):
            while not google.connections:
                await trio.sleep(0.01)
        await client.send_all(b"2;\r\r\n{}\r\n0\r\n\r\n")
        answer = await read(client)
    assert (answer.status, answer.reason) == (400, BAD)
    assert (google.asked, (await gateway.row())["outcome"]) == ([], "refused")


@PLAIN_AND_TLS
async def test_head_has_no_body(gateway: Running) -> None:
    async with await connect(gateway.url) as client:
        await client.send_all(post(LENGTH, "X : a", line=f"HEAD {PATH} HTTP/1.1"))
        received = b""
        with trio.fail_after(5):
            while data := await client.receive_some():
                received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"400", b"")


@cases(
    "sent",
    [
        post(LENGTH, line=f"POST {PATH}?key=k HTTP/1.0"),
        chunked('2;name="va;lue"\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n'),
        chunked("0000000000000002\r\n{}\r\n000\r\n\r\n"),
        post(LENGTH, "X-Empty:", "X-Tab: a\tb", "X-Latin: \xe9"),
        post(LENGTH, "Content-Length: 2"),
        post(LENGTH, "Upgrade: websocket"),
        *[post(LENGTH, host=f"Host: {host}") for host in ("LOCALHOST:4000", "127.0.0.1:", "[::1]:65535")],
    ],
)
@PLAIN_AND_TLS
async def test_what_only_looks_odd_passes(gateway: Running, google: StandIn, sent: bytes) -> None:
    assert (await say(gateway.url, sent)).status == 200
    assert [asked.body for asked in google.asked] == [b"{}"]


@given(st.binary(max_size=200))
def test_an_opening_of_any_bytes_is_read(received: bytes) -> None:
    method, path, headers = partial_request(received)
    assert method.isascii()
    assert all(0x21 <= byte <= 0x7E for byte in path)
    assert all(name == b"origin" and value for name, value in headers)
