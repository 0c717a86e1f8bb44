"""Which header fields and which reason phrases come down."""

from __future__ import annotations

import json
import os
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time

import pytest
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.proxy.headers import WITHHELD_BY_REASON, downstream_headers

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS")
GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"

CALL_ID = (b"x-gatekeeper-call-id", b"id")
# Of Google's responses of all kinds, as seen; `Location` and the upload's addresses among them.
GOOGLES = [
    b"content-type",
    b"content-length",
    b"content-encoding",
    b"content-disposition",
    b"content-range",
    b"content-language",
    b"accept-ranges",
    b"age",
    b"allow",
    b"cache-control",
    b"date",
    b"etag",
    b"expires",
    b"last-modified",
    b"link",
    b"pragma",
    b"retry-after",
    b"server",
    b"server-timing",
    b"vary",
    b"via",
    b"warning",
    b"x-cloud-trace-context",
    b"x-content-type-options",
    b"x-frame-options",
    b"x-gemini-service-tier",
    b"x-goog-generation",
    b"x-goog-hash",
    b"x-goog-safety-content-type",
    b"x-goog-stored-content-length",
    b"x-goog-upload-chunk-granularity",
    b"x-goog-upload-header-content-type",
    b"x-goog-upload-size-received",
    b"x-goog-upload-status",
    b"x-ratelimit-remaining-tokens",
    b"x-request-id",
    b"x-should-retry",
    b"x-xss-protection",
    b"x-novelty",
]
WITHHELD = [
    # one connection's
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    # credentials
    b"x-goog-api-key",
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"set-cookie2",
    b"www-authenticate",
    b"proxy-authenticate",
    b"authentication-info",
    # past the gateway
    b"location",
    b"refresh",
    b"x-goog-upload-url",
    b"x-goog-upload-control-url",
    b"x-guploader-uploadid",
    # said for Google's host
    b"accept-ch",
    b"alt-svc",
    b"clear-site-data",
    b"content-security-policy",
    b"content-security-policy-report-only",
    b"cross-origin-opener-policy",
    b"cross-origin-resource-policy",
    b"expect-ct",
    b"nel",
    b"permissions-policy",
    b"public-key-pins",
    b"report-to",
    b"reporting-endpoints",
    b"strict-transport-security",
    # said by the gateway
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-allow-private-network",
    b"x-gatekeeper-call-id",
    b"x-gatekeeper-anything",
]


@cases("name", GOOGLES)
def test_a_field_that_comes_down(name: bytes) -> None:
    assert downstream_headers([(name, b"1")], "id") == [(name, b"1"), CALL_ID]


@cases("name", WITHHELD)
def test_a_field_that_does_not_come_down(name: bytes) -> None:
    assert downstream_headers([(name, b"1")], "id") == [CALL_ID]


def test_what_comes_down_keeps_its_order_its_repetitions_and_its_bytes() -> None:
    fields = [
        (b"vary", b"Origin"),
        (b"b", b"\xff "),
        (b"vary", b"X-Origin"),
        (b"b", b""),
        (b"vary", b"Origin"),
    ]
    assert downstream_headers([fields[0], (b"alt-svc", b"h3"), *fields[1:]], "id") == [*fields, CALL_ID]


@cases(
    ("connection", "left"),
    [
        ([b"close"], [b"x-one", b"x-two"]),
        ([b"x-one"], [b"x-two"]),
        ([b"keep-alive, X-One ,x-two"], []),
        ([b"x-two", b", x-one,"], []),
    ],
)
def test_fields_that_the_upstreams_connection_names_do_not_come_down(
    connection: list[bytes], left: list[bytes]
) -> None:
    named = [(b"connection", value) for value in connection]
    sent = [(b"x-one", b""), *named, (b"x-two", b""), (b"content-length", b"5")]
    assert downstream_headers(sent, "id") == [
        *[(name, b"") for name in left],
        (b"content-length", b"5"),
        CALL_ID,
    ]


def test_each_field_is_withheld_for_one_reason() -> None:
    names = [name for group in WITHHELD_BY_REASON.values() for name in group]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.skipif(RECORDINGS is None, reason="needs GATEKEEPER_RECORDINGS")
def test_of_all_recorded_responses_only_addresses_credentials_and_framing_are_withheld() -> None:
    with (Path(RECORDINGS or "") / "recorded.jsonl").open() as lines:
        recorded = [json.loads(line)["response"].get("headers") or {} for line in lines]
    withheld: set[str] = set()
    for headers in recorded:
        fields = [(name.lower().encode(), str(value).encode("latin-1")) for name, value in headers.items()]
        left = {name for name, _ in downstream_headers(fields, "id")}
        withheld |= {name.decode() for name, _ in fields if name not in left}
    assert withheld == {"transfer-encoding", "x-goog-upload-url", "www-authenticate"}


async def test_what_a_strict_client_reads_comes_down(gateway: Running, google: StandIn) -> None:
    sent = [
        "Vary: Origin",
        "Vary: X-Origin",
        "Allow: GET, POST",
        "Retry-After: 3",
        "Server: scaffolding on HTTPServer2",
        "Server-Timing: gfet4t7; dur=71",
        "X-Goog-Hash: crc32c=AAAAAA==",
        f"X-Echo: key={GOOGLE_KEY};",
    ]
    google.script = lambda reply: reply.json(b"{}", 405, (*sent, "Location: https://google", "Alt-Svc: h3"))
    answer = await exchange(gateway.url, f"POST {GENERATE}?key=k", body=b"{}")
    assert answer.status == 405
    expected = [tuple(line.replace(GOOGLE_KEY, "*" * len(GOOGLE_KEY)).split(": ", 1)) for line in sent]
    date = answer.fields.pop()
    assert date[0] == "date"
    assert answer.fields == [
        ("content-type", "application/json; charset=UTF-8"),
        *[(name.lower(), value) for name, value in expected],
        ("content-length", "2"),
        ("x-gatekeeper-call-id", (await gateway.row())["id"]),
    ]


@cases(
    ("line", "headers"),
    [
        (f"POST {GENERATE}?key=k", []),
        (f"POST {GENERATE}?key=k", ["Connection: close"]),
        (f"POST {GENERATE}?key=k&$alt=x", []),
        (f"OPTIONS {GENERATE}", ["Origin: https://x.example", "Access-Control-Request-Method: POST"]),
        (f"GET {GENERATE}?key=k", ["X : malformed"]),
        ("GET /healthz", []),
        ("GET /key/list", []),
        ("GET /docs", []),
        ("GET /nothing", []),
        ("GET /nothing", ["X : malformed"]),
    ],
)
async def test_every_response_has_one_date(
    gateway: Running, google: StandIn, line: str, headers: list[str]
) -> None:
    """RFC 9110 §6.6.1: of its own responses, and of those that come without from upstream."""
    google.script = lambda reply: reply.json(b"{}")
    answer = await exchange(gateway.url, line, headers=headers)
    (date,) = [value for name, value in answer.fields if name == "date"]
    assert abs(parsedate_to_datetime(date).timestamp() - time()) < 5


async def test_the_upstreams_date_comes_down(gateway: Running, google: StandIn) -> None:
    date = "Tue, 24 Nov 2026 14:07:21 GMT"
    google.script = lambda reply: reply.json(b"{}", 200, (f"Date: {date}",))
    for headers in ([], ["Connection: close"]):
        answer = await exchange(gateway.url, f"POST {GENERATE}?key=k", headers=headers)
        assert [value for name, value in answer.fields if name == "date"] == [date]


@cases(
    ("line", "sent"),
    [
        ("200 OK", "OK"),
        ("200 Quite All Right", "Quite All Right"),
        ("429 Too Many Requests", "Too Many Requests"),
        ("429 ", ""),
        ("404 Nicht gefunden (\u00e4)", "Nicht gefunden (ä)"),
        ("599 Novelty", "Novelty"),
        (f"500 For {GOOGLE_KEY}!", f"For {'*' * len(GOOGLE_KEY)}!"),
        ("204 Nothing", "Nothing"),
    ],
)
async def test_the_upstreams_reason_phrase_comes_down(
    gateway: Running, google: StandIn, line: str, sent: str
) -> None:
    async def script(reply: Reply) -> None:
        length = b"" if line.startswith("204") else b"Content-Length: 0\r\n"
        await reply.raw(f"HTTP/1.1 {line}\r\n".encode("latin-1") + length + b"\r\n")

    google.script = script
    for method in ("POST", "HEAD"):
        answer = await exchange(gateway.url, f"{method} {GENERATE}?key=k")
        assert (answer.status, answer.phrase) == (int(line[:3]), sent)


@cases(
    ("line", "headers", "status", "phrase"),
    [
        (f"POST {GENERATE}", [], 401, "Unauthorized"),
        (f"HEAD {GENERATE}", [], 401, "Unauthorized"),
        ("POST /gemini/nothing", ["x-goog-api-key: master-of-the-tests"], 404, "Not Found"),
        (f"POST {GENERATE}", ["X : malformed"], 400, "Bad Request"),
        ("POST /v1beta/models/m:generateContent", [], 404, "Not Found"),
        ("GET /nothing", ["Authorization: Bearer master-of-the-tests"], 404, "Not Found"),
        ("GET /healthz", [], 200, "OK"),
        ("GET /healthz", ["X : malformed"], 400, "Bad Request"),
    ],
)
async def test_the_gateways_own_responses_have_the_standard_phrase(
    guarded: Running, line: str, headers: list[str], status: int, phrase: str
) -> None:
    answer = await exchange(guarded.url, line, headers=headers)
    assert (answer.status, answer.phrase) == (status, phrase)
