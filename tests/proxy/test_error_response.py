"""Answers that are no success: what Google says of the gateway's own key, and that the key stays here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running, running
from rig.standin import Reply, StandIn
from rig.wire import Answer, connect, exchange, head, read

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
SECOND_KEY = "AQ.Second-Google_Key"


def error(status: int, message: str = "m", reason: str | None = None, **more: Any) -> bytes:
    details = [{"@type": INFO, "reason": reason}] if reason else []
    return json.dumps(
        {"error": {"code": status, "message": message, "status": "S", "details": details, **more}}
    ).encode()


def reason_of(answer: Answer) -> str:
    return json.loads(answer.body)["error"]["details"][0]["reason"]


OURS = {
    "a bad AIza key": (400, error(400, "API key not valid.", "API_KEY_INVALID")),
    "the same in an array": (400, b"[" + error(400, "API key not valid.", "API_KEY_INVALID") + b"]"),
    "in words alone": (400, error(400, "API key not valid. Please pass a valid API key.")),
    "expired": (400, error(400, "API key expired. Please renew the API key.")),
    "a bad AQ. key": (401, error(401, "Request had invalid credentials.", "ACCESS_TOKEN_TYPE_UNSUPPORTED")),
    "401 without details": (401, error(401)),
    "401 in HTML": (401, b"<html>"),
    "401 and nothing": (401, b""),
    "leaked": (403, error(403, "Your API key was reported as leaked. Please use another API key.")),
    "suspended": (403, error(403, "Permission denied: Consumer has been suspended.")),
    "suspended, by its reason": (403, error(403, "m", "CONSUMER_SUSPENDED")),
    "not for this service": (403, error(403, "m", "API_KEY_SERVICE_BLOCKED")),
    "no key came": (403, error(403, "Method doesn't allow unregistered callers.")),
    "it names the key": (403, error(403, f"Consumer 'api_key:{GOOGLE_KEY}' is in trouble.")),
}


@cases("zipped", [False, True])
@cases(("status", "body"), OURS.values(), ids=OURS.keys())
async def test_what_google_says_of_our_key_is_our_fault(
    gateway: Running,
    google: StandIn,
    capfd: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
    zipped: bool,
) -> None:
    sent, coding = (gzip.compress(body), ("Content-Encoding: gzip",)) if zipped else (body, ())
    google.script = lambda reply: reply.json(sent, status, coding)
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, reason_of(answer)) == (502, "GATEKEEPER_UPSTREAM_KEY_INVALID")
    row = await gateway.row()
    assert (row["status"], row["outcome"], row["cost_usd"]) == (502, "upstream_error", "0.000000000000")
    logged = "".join(capfd.readouterr())
    assert "google_key_refused" in logged
    assert GOOGLE_KEY not in logged


@cases(
    ("status", "body"),
    [
        (400, error(400, 'Invalid value: "API key not valid", or "has been suspended"')),
        (403, error(403, "The caller does not have permission", "SERVICE_DISABLED")),
        (404, error(404, "API key not valid")),
        (429, error(429, "Your API key was reported as leaked", "RATE_LIMIT_EXCEEDED")),
    ],
)
async def test_other_errors_pass(gateway: Running, google: StandIn, status: int, body: bytes) -> None:
    google.script = lambda reply: reply.json(body, status)
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, answer.body) == (status, body)


@cases(
    ("status", "text"),
    [(400, b"API key not valid. Please pass a valid API key."), (403, b"Consumer has been suspended.")],
)
@cases("zipped", [False, True])
async def test_what_google_says_of_our_key_in_plain_text_is_our_fault_too(
    gateway: Running, google: StandIn, status: int, text: bytes, zipped: bool
) -> None:
    """As its upload servers do."""
    sent, coding = (gzip.compress(text), b"Content-Encoding: gzip\r\n") if zipped else (text, b"")
    head = b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\n%bContent-Length: %d\r\n\r\n"
    google.script = lambda reply: reply.raw(head % (status, coding, len(sent)) + sent)
    answer = await exchange(gateway.url, "POST /gemini/upload/v1beta/files?key=k", body=b"x")
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_KEY_INVALID")


KEY = GOOGLE_KEY.encode()
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in GOOGLE_KEY).encode()
JSON_TYPE = "Content-Type: application/json"
ECHOES = {
    "in a 404": (404, JSON_TYPE, error(404, f"No key {GOOGLE_KEY}.")),
    "in a 429's details": (429, JSON_TYPE, error(429, metadata={"consumer": f"api_key:{GOOGLE_KEY}"})),
    "as the reason": (500, JSON_TYPE, error(500, "m", GOOGLE_KEY)),
    "escaped": (503, JSON_TYPE, b'{"error": {"message": "' + ESCAPED + b'"}}'),
    "in HTML": (502, "Content-Type: text/html", b"<a href='/?key=" + KEY + b"'>502</a>"),
    "in a redirect": (302, "Location: /?key=" + GOOGLE_KEY, b"Moved to /?key=" + KEY),
    "in a redirect's HTML": (307, "Content-Type: text/html", b"<a href='/?key=" + KEY + b"'>here</a>"),
    "as bytes": (500, "Content-Type: application/octet-stream", b"\xff\x00" + KEY),
    "without a type": (500, "X-Echo: " + GOOGLE_KEY, KEY),
    "in an etag": (404, f'ETag: "{GOOGLE_KEY}"', error(404)),
    "in a 200's etag": (200, f'ETag: "{GOOGLE_KEY}"', b"{}"),
    "in a 200's disposition": (200, f"Content-Disposition: attachment; filename={GOOGLE_KEY}", b"{}"),
    "in two places": (500, JSON_TYPE, KEY * 2 + b" " * 70_000 + KEY),
    "far into a long error": (500, JSON_TYPE, b" " * 200_000 + KEY),
    "across the limit": (500, JSON_TYPE, b" " * (64 * 1024 - 9) + KEY + b" " * 40_000),
}


async def raw_answer(gateway: Running, coding: str) -> tuple[bytes, Answer]:
    """All bytes of an answer, and what they say."""
    received = b""
    async with await connect(gateway.url) as client:
        fields = ["Content-Length: 2", f"Accept-Encoding: {coding}", "Connection: close"]
        await client.send_all(head(GENERATE, fields) + b"{}")
        while data := await client.receive_some():
            received += data
    receiver, sender = trio.testing.memory_stream_pair()
    await sender.send_all(received)
    await sender.aclose()
    return received, await read(receiver)  # type: ignore[arg-type]


@cases("zipped", [False, True])
@cases(("status", "field", "body"), ECHOES.values())
async def test_the_google_key_stays_here(
    gateway: Running, google: StandIn, status: int, field: str, body: bytes, zipped: bool
) -> None:
    async def script(reply: Reply) -> None:
        coding = ["Content-Encoding: gzip"] if zipped else []
        sent = gzip.compress(body) if zipped else body
        fields = "\r\n".join([field, *coding, f"Content-Length: {len(sent)}", "", ""])
        await reply.raw(f"HTTP/1.1 {status} {GOOGLE_KEY}\r\n{fields}".encode() + sent)

    google.script = script
    received, answer = await raw_answer(gateway, "gzip")
    assert answer.status == status
    assert answer.whole
    body_down = gzip.decompress(answer.body) if "content-encoding" in answer.headers else answer.body
    masked = body.replace(KEY, b"*" * len(KEY)).replace(ESCAPED, b"*" * len(ESCAPED))
    assert body_down == masked
    assert ("content-encoding" in answer.headers) == (zipped and masked == body)
    assert KEY not in received
    assert GOOGLE_KEY not in json.dumps(await gateway.row())


async def test_every_key_of_a_pool_stays_here(google: StandIn, tmp_path: Path) -> None:
    google.script = lambda reply: reply.json(f"{GOOGLE_KEY} {SECOND_KEY}".encode(), 500)
    keys = f"{GOOGLE_KEY},{SECOND_KEY}"
    async with running(tmp_path / "data", google.url, gemini_api_key=keys) as gateway:
        answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert answer.body == b"*" * len(GOOGLE_KEY) + b" " + b"*" * len(SECOND_KEY)


async def test_an_error_inside_a_stream_brings_no_key_into_the_row(gateway: Running, google: StandIn) -> None:
    google.script = lambda reply: reply.chunked(
        [b"data: " + error(500, GOOGLE_KEY, GOOGLE_KEY) + b"\r\n\r\n"]
    )
    await exchange(gateway.url, GENERATE, body=b"{}")
    row = await gateway.row()
    assert row["outcome"] == "upstream_error"
    assert GOOGLE_KEY not in json.dumps(row)


@cases(
    ("coding", "body"),
    [
        ("br", b"whatever"),
        ("gzip, gzip", b""),
        ("gzip", b"not zipped"),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"and more"),
    ],
)
async def test_an_error_that_cannot_be_read_is_not_passed_on(
    gateway: Running, google: StandIn, coding: str, body: bytes
) -> None:
    google.script = lambda reply: reply.json(body or b"x", 404, (f"Content-Encoding: {coding}",))
    answer = await exchange(gateway.url, GENERATE, body=b"{}")
    assert (answer.status, reason_of(answer)) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert (await gateway.row())["outcome"] == "upstream_broken"


@cases("echo", [b"", KEY])
@cases("size", [10, 100_000])
@cases("zipped", [False, True])
async def test_an_error_that_breaks_off_is_passed_on_as_far_as_it_came(
    gateway: Running, google: StandIn, echo: bytes, size: int, zipped: bool
) -> None:
    body = echo + b"." * size
    sent = gzip.compress(body)[:-4] if zipped else body  # all of it, but for its check sum's end

    async def breaks_off(reply: Reply) -> None:
        coding = "Content-Encoding: gzip\r\n" if zipped else ""
        await reply.raw(f"HTTP/1.1 500 X\r\n{coding}Content-Length: {len(sent) + 4}\r\n\r\n".encode() + sent)
        await reply.stream.aclose()

    google.script = breaks_off
    received, answer = await raw_answer(gateway, "gzip")
    assert (answer.status, answer.whole) == (500, False)
    if "content-encoding" in answer.headers:
        assert answer.body == sent
    else:
        masked = body.replace(KEY, b"*" * len(KEY))
        assert masked.startswith(answer.body)
        assert len(answer.body) > len(body) - 300
    assert KEY not in received
    assert (await gateway.row())["outcome"] == "upstream_broken"


@cases("method", ["TRACE", "CONNECT"])
async def test_trace_and_connect_are_refused(gateway: Running, google: StandIn, method: str) -> None:
    answer = await exchange(gateway.url, f"{method} /gemini/v1beta/models?key=k")
    assert (answer.status, reason_of(answer)) == (400, "GATEKEEPER_BAD_REQUEST")
    assert (await gateway.row())["outcome"] == "refused"
    assert not google.asked
