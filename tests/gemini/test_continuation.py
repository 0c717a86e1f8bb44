"""The token of a long decode: the same digest on its way down and on its way up again, whatever the SDK in
between has done to its spelling, and however the bytes are cut."""

from __future__ import annotations

import base64
import json
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.continuation import DIGEST_LENGTH, MAX_TOKENS, token_digest
from gatekeeper.gemini.inline_data import MAX_RUN_BYTES
from gatekeeper.gemini.json_request import JsonRequestParser
from gatekeeper.gemini.json_tokens import MAX_STRING_BYTES
from gatekeeper.gemini.meter import BUFFER_QUOTA, JsonMeter, meter_for
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.response_parser import ResponseSummary

TOKEN = base64.b64encode(b"\xfb\xff\xfe\x01 some state of a decode").decode()
SIZES = [1, 700, MAX_STRING_BYTES, MAX_STRING_BYTES + 1, MAX_RUN_BYTES, MAX_RUN_BYTES + 1, 3 * MAX_RUN_BYTES]
CUTS = st.lists(st.integers(0, 40_000), max_size=6)


def cut(body: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in at), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def metered(
    body: bytes, media_type: bytes = b"application/json", at: list[int] | None = None
) -> ResponseSummary:
    meter = meter_for(media_type, None)
    assert isinstance(meter, JsonMeter)
    for chunk in cut(body, at or []):
        meter.feed(chunk)
    return meter.finish()


def asked(body: bytes, at: list[int] | None = None) -> str | None:
    parser = JsonRequestParser()
    for chunk in cut(body, at or []):
        parser.feed(chunk)
    return parser.summary.continuation


def response(token: str, **more: object) -> dict[str, object]:
    candidate = {"content": {"parts": [{"text": "a"}]}, "continuationToken": token, **more}
    return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}}


def test_a_digest_is_short_and_of_all_of_the_token() -> None:
    same = "A" * 5000
    assert len(token_digest(same)) == DIGEST_LENGTH
    assert token_digest(same + "B") != token_digest(same + "C")
    assert token_digest(same) not in same


@cases(
    "spelled",
    [
        TOKEN,
        TOKEN.rstrip("="),
        TOKEN.replace("+", "-").replace("/", "_"),
        base64.urlsafe_b64encode(base64.b64decode(TOKEN)).decode(),
    ],
)
def test_the_spelling_of_base64_does_not_count(spelled: str) -> None:
    assert token_digest(spelled) == token_digest(TOKEN)
    assert asked(json.dumps({"continuationToken": spelled}).encode()) == token_digest(TOKEN)


@pytest.mark.parametrize(
    "escaped",
    [
        TOKEN.replace("=", "\\u003d"),
        TOKEN.replace("/", "\\/"),
        "".join(f"\\u{ord(letter):04X}" for letter in TOKEN),
    ],
)
def test_escapes_do_not_count(escaped: str) -> None:
    assert asked(b'{"continuationToken": "%b"}' % escaped.encode()) == token_digest(TOKEN)
    body = json.dumps(response(TOKEN)).replace(TOKEN, escaped)
    assert metered(body.encode()).continuations == (token_digest(TOKEN),)


@pytest.mark.parametrize("plain", ["=", "/", "\\", '"', "\n"])
@given(at=CUTS)
def test_escapes_in_a_long_token_may_be_cut(plain: str, at: list[int]) -> None:
    body, expected = escaped_token(plain)
    assert asked(body, at) == expected


@cache
def escaped_token(plain: str) -> tuple[bytes, str]:
    token = f"ab{plain}" * 700
    escaped = json.dumps(token).replace("=", "\\u003d").replace("/", "\\/")
    return b'{"continuationToken": %b}' % escaped.encode(), token_digest(token)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.booleans(), CUTS)
def test_any_text_has_one_digest(token: str, ascii_only: bool, at: list[int]) -> None:
    """Interactions do not say that theirs is base64."""
    body = json.dumps({"continuation_token": token}, ensure_ascii=ascii_only).encode()
    if ascii_only and not token.isascii():
        return  # pairs of surrogates: no token has them
    assert asked(body, at) == token_digest(token)


@pytest.mark.parametrize("size", SIZES)
@given(at=CUTS)
def test_both_ways_at_every_length_and_cut(size: int, at: list[int]) -> None:
    document, request, expected = with_token(size)
    assert metered(document, at=at).continuations == (expected,)
    assert metered(b"[" + document + b"\n]", at=at).continuations == (expected,)
    events = b"data: " + document + b"\r\n\r\n"
    assert metered(events, b"text/event-stream", at).continuations == (expected,)
    assert asked(request, at) == expected


@cache
def with_token(size: int) -> tuple[bytes, bytes, str]:
    """A response and a request with a token of so many bytes, and its digest."""
    token = base64.b64encode(bytes(number % 251 for number in range(size))).decode()
    request = {"contents": [{"parts": [{"text": "x" * 3000}]}], "continuationToken": token, "model": "m"}
    return json.dumps(response(token)).encode(), json.dumps(request).encode(), token_digest(token)


@cases("step", [1, 7, 64, 4096, 10**6])
def test_a_picture_beside_the_token_is_still_truncated(step: int) -> None:
    token, picture = "T" * 9000, "i" * 50_000
    parts = [{"inlineData": {"data": picture}}, {"thoughtSignature": picture}]
    body = json.dumps(response(token, content={"parts": parts}, after=picture)).encode()
    meter = meter_for(b"application/json", None)
    before, buffered = BUFFER_QUOTA.used, 0
    for at in range(0, len(body), step):
        meter.feed(body[at : at + step])
        buffered = max(buffered, BUFFER_QUOTA.used - before)
    assert buffered < len(token) + 4 * MAX_RUN_BYTES
    assert meter.finish().continuations == (token_digest(token),)


@cases(
    "body",
    [
        {"continuationToken": TOKEN},
        {"continuation_token": TOKEN},
        {"generationConfig": {"continuationToken": TOKEN}},
        {"generation_config": {"temperature": 1, "continuation_token": TOKEN}},
        {"continuationToken": "another", "input": [], "continuation_token": TOKEN},
    ],
)
def test_where_a_request_has_it(body: dict[str, object]) -> None:
    assert read_request(json.dumps(body).encode()).continuation == token_digest(TOKEN)


@cases(
    "body",
    [
        {"continuationToken": ""},
        {"continuationToken": None},
        {"continuationToken": 4},
        {"continuationToken": {"continuationToken": "a" * 2000}},
        {"continuationToken": ["a", ["b"]], "x": "b" * 3000},
        {"contents": [{"parts": [{"functionCall": {"args": {"continuationToken": TOKEN}}}]}]},
        {"toolConfig": {"continuationToken": TOKEN}},
    ],
)
def test_what_is_no_token_of_a_request(body: dict[str, object]) -> None:
    found = read_request(json.dumps(body).encode())
    assert found.understood
    assert found.continuation in (None, token_digest("a"))


@cases(
    "event",
    [
        {"event_type": "interaction.status_update", "status": "in_progress", "continuation_token": TOKEN},
        {"interaction": {"id": "i", "status": "requires_continuation", "continuation_token": TOKEN}},
        {"id": "i", "status": "requires_continuation", "continuation_token": TOKEN},
        {"continuationToken": TOKEN, "candidates": [{"finishReason": "CONTINUATION"}]},
    ],
)
def test_where_a_response_has_it(event: dict[str, object]) -> None:
    assert metered(json.dumps(event).encode()).continuations == (token_digest(TOKEN),)


@cases("token", [4, {"a": 1}, [TOKEN], "", None])
def test_what_is_no_token_of_a_response(token: object) -> None:
    assert metered(json.dumps(response(token)).encode()).continuations == ()  # type: ignore[arg-type]


def test_the_last_tokens_of_a_stream_are_kept() -> None:
    tokens = [f"checkpoint{number}" for number in range(MAX_TOKENS + 3)]
    order = [*tokens, tokens[-2]]  # the one before the last again
    events = b"".join(b"data: " + json.dumps(response(token)).encode() + b"\n\n" for token in order)
    kept = [*tokens[-MAX_TOKENS:-2], tokens[-1], tokens[-2]]
    assert metered(events, b"text/event-stream").continuations == tuple(map(token_digest, kept))
