"""Meters: what is read of an answer by its headers and bytes, for every form of body and every cut.

With GATEKEEPER_RECORDINGS set to a folder of recorded answers (`recorded.jsonl`, `index.csv`), each of these
is read as well and compared with what the index says of it.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples
from rig.recordings import RECORDINGS, recorded_of

from gatekeeper.gemini.meter import BUFFER_QUOTA, MAX_BUFFERED_BYTES, NO_METER, meter_for
from gatekeeper.gemini.meter_layers import GzipMeter, Meter
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.splitters import Delimiters, SingleDocument
from gatekeeper.gemini.upstream_error import TEXT_LIMIT, Quota, UpstreamError

JSON_TYPE, SSE_TYPE = b"application/json; charset=UTF-8", b"text/event-stream"


def read(
    chunks: list[bytes], content_type: bytes = JSON_TYPE, encoding: bytes | None = None
) -> ResponseSummary:
    meter = meter_for(content_type, encoding)
    for chunk in chunks:
        meter.feed(chunk)
    return meter.finish()


def cut(body: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(body) + 1) for position in at), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def slivers(body: bytes, step: int) -> list[bytes]:
    return [body[start : start + step] for start in range(0, len(body), step)]


def unary(*documents: Any) -> tuple[bytes, bytes]:
    return json.dumps(documents[-1], indent=2).encode() + b"\n", JSON_TYPE


def sse(*documents: Any) -> tuple[bytes, bytes]:
    return b"".join(b"data: %s\r\n\r\n" % json.dumps(document).encode() for document in documents), SSE_TYPE


def array(*documents: Any) -> tuple[bytes, bytes]:
    texts = (json.dumps(document, indent=2).encode() for document in documents)
    return b"[" + b"\n,\r\n".join(texts) + b"\n]\n", JSON_TYPE


def chunk(text: str, total: int, finish_reason: str | int | None = None) -> dict[str, Any]:
    """A document as `streamGenerateContent` sends it."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish_reason} if finish_reason is not None else {})],
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": total},
        "modelVersion": "models/gemini-2.5-flash",
        "responseId": "XDDlaIG",
    }


ANSWER = [chunk('"usageMetadata": {', 30), chunk("}]\u2028[{\n", 40), chunk("", 20, "STOP")]

FORMS = pytest.mark.parametrize("form", [unary, sse, array], ids=["unary", "sse", "array"])
STREAMS = pytest.mark.parametrize("form", [sse, array], ids=["sse", "array"])
Form = Callable[..., tuple[bytes, bytes]]


def usage(summary: ResponseSummary) -> Any:
    return None if summary.usage is None else json.loads(summary.usage)


# What an answer says


@FORMS
@pytest.mark.parametrize("step", [1, 3, 50, 100_000])
def test_the_last_word_counts(form: Form, step: int):
    body, content_type = form(*ANSWER)
    summary = read(slivers(body, step), content_type)
    assert usage(summary) == {"promptTokenCount": 8, "totalTokenCount": 20}
    assert (summary.model_version, summary.finish_reason) == ("gemini-2.5-flash", "STOP")
    assert (summary.error, summary.complete, summary.truncated) == (None, True, False)


def test_usage_is_as_received():
    spaced = (
        b'{"candidates": [], "usageMetadata" : {\r\n  "promptTokenCount":\t1,"new":[{"x":"\xc3\xa9"}] } }'
    )
    assert read([spaced]).usage == b'{\r\n  "promptTokenCount":\t1,"new":[{"x":"\xc3\xa9"}] }'


@STREAMS
def test_what_later_documents_leave_out_stays(form: Form):
    body, content_type = form(chunk("a", 9, "MAX_TOKENS"), {"candidates": [{"content": {}}]}, {})
    summary = read([body], content_type)
    assert usage(summary) == {"promptTokenCount": 8, "totalTokenCount": 9}
    assert (summary.model_version, summary.finish_reason) == ("gemini-2.5-flash", "MAX_TOKENS")


@STREAMS
def test_the_state_peek_grows_with_each_document(form: Form):
    body, content_type = form(*ANSWER)
    meter = meter_for(content_type, None)
    seen: list[Any] = []
    for piece in slivers(body, 1):
        meter.feed(piece)
        seen.append(usage(meter.summary))
        assert not meter.summary.complete
    totals = [found["totalTokenCount"] for found in seen if found]
    assert list(dict.fromkeys(totals)) == [30, 40, 20]


@FORMS
def test_members_below_the_top_are_not_mistaken(form: Form):
    call = {"name": "bill", "args": {"usageMetadata": {"totalTokenCount": 9}, "error": {"code": 1}}}
    parts = {"candidates": [{"content": {"parts": [{"functionCall": call}]}, "modelVersion": "x"}]}
    body, content_type = form(parts)
    assert read([body], content_type) == ResponseSummary(complete=True)


@cases("odd", [None, 5, [], "x", True])
def test_members_of_another_type_say_nothing(odd: Any):
    document = chunk("a", 9) | {"usageMetadata": odd, "error": odd, "modelVersion": None}
    document["candidates"][0]["finishReason"] = None
    note = odd is not None and f"the reported usage is {json.dumps(odd)}, which is no object"
    assert read([unary(document)[0]]) == ResponseSummary(complete=True, usage_note=note or None)


@pytest.mark.parametrize("wrong", ["usageMetadata", "usage"])
def test_the_last_usage_counts_even_if_it_is_none(wrong: str):
    documents = [chunk("a", 9), {wrong: "x" * 99}, {"usageMetadata": None}, chunk("b", 3)]
    assert read([sse(*documents[:1])[0]], SSE_TYPE).usage
    last = read([sse(*documents[:3])[0]], SSE_TYPE)
    note = f'the reported usage is "{"x" * 38}…, which is no object'
    assert (last.usage, last.usage_note) == (None, note)
    assert read([sse(*documents)[0]], SSE_TYPE).usage_note is None


@cases(
    ("reasons", "joined"),
    [
        (["STOP"], "STOP"),
        ([None, "SAFETY"], "SAFETY"),
        (["STOP", "STOP"], "STOP"),
        (["RECITATION", "STOP"], "RECITATION|STOP"),
        (["BRAND_NEW"], "BRAND_NEW"),
        ([1], "STOP"),
        ([2, 5], "MAX_TOKENS|OTHER"),
        ([6, 12, 17], "LANGUAGE|UNEXPECTED_TOOL_CALL|IMAGE_RECITATION"),
        ([0], "FINISH_REASON_UNSPECIFIED"),
        ([99, -1], "99|-1"),
        ([True, 1.5, {}], None),
        ([], None),
    ],
)
def test_how_it_ended(reasons: list[Any], joined: str | None):
    body, content_type = unary({"candidates": [{"finishReason": reason} for reason in reasons]})
    assert read([body], content_type).finish_reason == joined


def test_a_blocked_prompt_has_usage_and_no_finish_reason():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}
    summary = read([unary(blocked)[0]])
    assert (usage(summary), summary.finish_reason) == ({"promptTokenCount": 7}, None)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"embeddings": [{"values": [0.1, -2e-5]}]}, None),
        ({"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 3}}, {"promptTokenCount": 3}),
        ({"totalTokens": 36, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 36}]}, None),
    ],
    ids=["embeddings", "an embedding with usage", "countTokens"],
)
def test_answers_of_other_actions(document: Any, found: Any):
    summary = read([unary(document)[0]])
    assert (usage(summary), summary.complete) == (found, True)


# Errors

INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "23.5s"}
QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]}
SLOW_DOWN = (429, "RESOURCE_EXHAUSTED", "Slow down.", "RESOURCE_EXHAUSTED")
EXHAUSTED = {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}


@FORMS
def test_an_error_is_found_in_every_form(form: Form):
    body, content_type = form(ANSWER[0], {"error": EXHAUSTED})
    summary = read([body], content_type)
    expected = UpstreamError(429, "RESOURCE_EXHAUSTED", "Slow down.", "RESOURCE_EXHAUSTED", None)
    assert (summary.error, summary.complete) == (expected, True)


@cases(
    ("error", "expected"),
    [
        pytest.param(
            EXHAUSTED | {"details": [QUOTA, RETRY]},
            UpstreamError(*SLOW_DOWN, 23.5, "PerDay", (Quota("PerDay"),)),
            id="a pause",
        ),
        pytest.param(
            EXHAUSTED | {"details": [QUOTA | {"violations": [None, {"quotaId": "A"}, {}, {"quotaId": "B"}]}]},
            UpstreamError(*SLOW_DOWN, None, "A, B", (Quota("A"), Quota("B"))),
            id="two quotas",
        ),
        pytest.param(
            {"code": 400, "status": "INVALID_ARGUMENT", "message": "Bad key.", "details": [INFO]},
            UpstreamError(400, "INVALID_ARGUMENT", "Bad key.", "API_KEY_INVALID", None),
            id="a reason of its own",
        ),
        pytest.param(
            {"message": "Exhausted.", "code": "too_many_requests"},
            UpstreamError(None, "too_many_requests", "Exhausted.", "too_many_requests", None),
            id="Interactions",
        ),
        pytest.param({}, UpstreamError(None, None, "", None, None), id="empty"),
        pytest.param(
            {"code": 1.5, "status": [], "message": {}, "details": [None, "x", {"@type": 1}]},
            UpstreamError(None, None, "", None, None),
            id="other types",
        ),
        pytest.param(
            {"code": 500, "details": {}, "message": "x" * 5000},
            UpstreamError(500, None, "x" * TEXT_LIMIT, None, None),
            id="a long message",
        ),
    ],
)
def test_what_an_error_says(error: Any, expected: UpstreamError):
    assert read([unary({"error": error})[0]]).error == expected


@cases(
    ("delay", "seconds"),
    [
        ("0s", 0.0),
        ("7s", 7.0),
        ("0.000000001s", 1e-9),
        ("-1s", None),
        ("1m", None),
        ("infs", None),
        (7, None),
    ],
)
def test_how_long_to_wait(delay: Any, seconds: float | None):
    error = read([unary({"error": {"details": [RETRY | {"retryDelay": delay}]}})[0]]).error
    assert error is not None
    assert error.retry_delay == seconds


def test_a_resource_that_failed_is_no_error_of_the_call():
    operation = {"name": "operations/1", "done": True, "error": {"code": 3, "message": "No video."}}
    assert read([unary(operation)[0]]).error is None


def test_an_error_in_place_of_a_stream_is_one_object():
    body = unary({"error": EXHAUSTED})[0]
    summary = read(slivers(body, 10), SSE_TYPE)
    assert (summary.error is not None, summary.complete) == (True, True)


def test_a_bare_error_breaks_a_stream_off():
    body = sse(chunk("a", 9))[0] + unary({"error": EXHAUSTED})[0]
    summary = read([body], SSE_TYPE)
    assert usage(summary) == {"promptTokenCount": 8, "totalTokenCount": 9}
    assert (summary.error is not None, summary.complete) == (True, False)


def test_a_unary_answer_that_has_arrived_is_read_before_its_end_is_known():
    meter = meter_for(JSON_TYPE, None)
    assert meter.summary == ResponseSummary()
    body = unary({"error": EXHAUSTED})[0]
    meter.feed(body[:30])
    assert meter.summary.error is None
    meter.feed(body[30:])
    assert meter.summary.error is not None
    assert not meter.summary.complete


# Bodies that are not as they should be


@cases(
    "event",
    [
        b"[DONE]",
        b"",
        b"null",
        b'"usageMetadata"',
        b'{"usageMetadata":{"totalTokenCount":1},}',
        b'{"usageMetadata":{"totalTokenCount":1}',
        b'{"usageMetadata":{"totalTokenCount":"\xff"}}',
        b'{"modelVersion":"\xff\xfe"}',
        b'{"candidates":{"finishReason":"OTHER"}}',
        b'{"modelVersion":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"error":{"code":' + b"9" * 10_000 + b"}}",
    ],
)
def test_an_event_that_is_no_answer_is_passed_over(event: bytes):
    before, after = sse(ANSWER[0])[0], sse(ANSWER[2])[0]
    for body, found in (
        (before + b"data: " + event + b"\n\n", 30),
        (b"data: " + event + b"\n\n" + after, 20),
    ):
        summary = read([body], SSE_TYPE)
        assert usage(summary)["totalTokenCount"] == found
        assert (summary.model_version, summary.complete) == ("gemini-2.5-flash", True)


def test_a_usage_in_what_is_no_json_is_noted_unless_it_was_cut():
    before = sse(ANSWER[0])[0]
    event = b'data: {"candidates": [], "usageMetadata": {"totalTokenCount": NaN}'
    noted = "the reported usage cannot be read as JSON"
    alone = read([event + b"}\n\n"], SSE_TYPE)
    assert (alone.usage, alone.usage_note) == (None, noted)
    for end, note in ((b"}\n\n", noted), (b"", None)):
        summary = read([before, event + end], SSE_TYPE)
        assert (usage(summary)["totalTokenCount"], summary.usage_note) == (30, note)
    assert read([event + b"}\n\n", before], SSE_TYPE).usage_note is None


def test_a_usage_that_is_nested_too_deeply_is_the_last_one_and_unknown():
    deep = b'data: {"usageMetadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"
    summary = read([sse(ANSWER[0])[0], deep], SSE_TYPE)
    assert (summary.usage, summary.usage_note) == (None, "the reported usage cannot be read as JSON")
    assert usage(read([deep, sse(ANSWER[0])[0]], SSE_TYPE))["totalTokenCount"] == 30


@cases(
    ("body", "content_type", "complete"),
    [
        (b"", JSON_TYPE, False),
        (b" \r\n", JSON_TYPE, False),
        (b'{"a":1', JSON_TYPE, False),
        (b"<html>", JSON_TYPE, False),
        (b"null", JSON_TYPE, False),
        (b"{}\n", JSON_TYPE, True),
        (b"[{}", JSON_TYPE, False),
        (b"[]", JSON_TYPE, True),
        (b"", SSE_TYPE, True),
        (b"data: {}\n\n", SSE_TYPE, True),
        (b"data: {}\n", SSE_TYPE, False),
        (b"data: {}\n\nda", SSE_TYPE, False),
    ],
)
def test_whether_the_body_ended_properly(body: bytes, content_type: bytes, complete: bool):
    assert read([body], content_type) == ResponseSummary(complete=complete)


@FORMS
@pytest.mark.parametrize("step", [1, 2, 100_000])
def test_a_byte_order_mark_and_blank_lines_come_before_nothing(form: Form, step: int):
    body, content_type = form(*ANSWER)
    assert read(slivers(b"\xef\xbb\xbf\r\n " + body, step), content_type) == read([body], content_type)


def test_the_last_event_counts_though_it_was_cut_off_after_its_data():
    summary = read([sse(*ANSWER)[0].removesuffix(b"\r\n\r\n")], SSE_TYPE)
    assert (usage(summary)["totalTokenCount"], summary.complete) == (20, False)


@FORMS
def test_a_document_beyond_the_limit_is_given_up(form: Form):
    body, content_type = form(chunk("@", 5), chunk("@", 6))
    meter = meter_for(content_type, None)
    head, at, tail = body.rpartition(b"@")
    megabyte = at * 2**20
    meter.feed(head)
    for _ in range(MAX_BUFFERED_BYTES // len(megabyte)):
        meter.feed(megabyte)
    assert meter.summary.truncated
    meter.feed(tail)
    summary = meter.finish()
    assert summary.truncated
    assert usage(summary) == (None if form is unary else {"promptTokenCount": 8, "totalTokenCount": 5})


def test_a_body_beyond_the_limit_is_held_no_longer():
    body = SingleDocument(limit=4)
    body.feed(b'{"')
    body.feed(b'a"')
    assert (body._body, body.truncated) == (b'{"a"', False)
    body.feed(b":{}")
    body.feed(b"}")
    assert (body.peek(), body.finish()) == ((), ([b""], False))


@FORMS
@pytest.mark.parametrize("missing", [0, 9])
def test_nothing_large_is_held_after_the_end(form: Form, missing: int):
    body, content_type = form(chunk("x" * 2**21, 5))
    tracemalloc.start()
    try:
        meter = meter_for(content_type, None)
        for piece in slivers(body[: len(body) - missing], 2**16):
            meter.feed(piece)
        meter.finish()
        assert tracemalloc.get_traced_memory()[0] < 2**16
    finally:
        tracemalloc.stop()


@FORMS
@pytest.mark.parametrize("encoding", [None, b"gzip"])
def test_images_of_many_answers_at_once_are_read_and_not_held(form: Form, encoding: bytes | None):
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo/+" * 80_000}}
    answer = chunk("", 1290, "STOP")
    answer["candidates"][0]["content"]["parts"] = [image, {"text": "a"}]
    body, content_type = form(answer)
    pieces = slivers(gzip.compress(body, 1) if encoding else body, 2**16)
    meters = [meter_for(content_type, encoding) for _ in range(50)]
    tracemalloc.start()
    try:
        for piece in pieces[:-1]:
            for meter in meters:
                meter.feed(piece)
        assert tracemalloc.get_traced_memory()[0] < 2**21
    finally:
        tracemalloc.stop()
    for meter in meters:
        meter.feed(pieces[-1])
        summary = meter.finish()
        assert usage(summary) == {"promptTokenCount": 8, "totalTokenCount": 1290}
        assert (summary.finish_reason, summary.complete, summary.truncated) == ("STOP", True, False)


@FORMS
def test_what_all_meters_hold_is_bounded(form: Form, monkeypatch: pytest.MonkeyPatch):
    """The one that passes the bound is given up, and the others are not."""
    monkeypatch.setattr(BUFFER_QUOTA, "used", 0)
    monkeypatch.setattr(BUFFER_QUOTA, "limit", 2500)
    body, content_type = form(chunk("@" * 2000, 5), chunk("@" * 2000, 6))
    first, second = meter_for(content_type, None), meter_for(content_type, None)
    for meter in (first, second):
        for piece in slivers(body[:-700], 300):
            meter.feed(piece)
            assert BUFFER_QUOTA.used <= BUFFER_QUOTA.limit
    for meter in (first, second):
        for piece in slivers(body[-700:], 300):
            meter.feed(piece)
    assert not first.finish().truncated
    summary = second.finish()
    assert (summary.truncated, summary.usage) == (True, None)
    assert BUFFER_QUOTA.used == 0
    assert read([body], content_type).truncated is False, "there is room again"


# Which meter, and compression


@cases(
    ("content_type", "encoding", "metered"),
    [
        (b"application/json", None, True),
        (b"Application/JSON ;charset=utf-8", b"", True),
        (b"text/event-stream", b"identity", True),
        (b"application/json", b" GZIP ", True),
        (b"text/event-stream", b"x-gzip", True),
        (b"application/json", b"br", False),
        (b"application/json", b"gzip, gzip", False),
        (b"text/html", None, False),
        (b"application/x-protobuf", b"gzip", False),
        (b"", None, True),
        (None, b"gzip", True),
        (b"text/plain; charset=utf-8", None, True),
        (None, b"br", False),
    ],
)
def test_which_answers_are_read(content_type: bytes | None, encoding: bytes | None, metered: bool):
    assert (meter_for(content_type, encoding) is not NO_METER) is metered


def test_nothing_reads_nothing():
    NO_METER.feed(unary(*ANSWER)[0])
    assert NO_METER.summary == NO_METER.finish() == ResponseSummary(complete=True)


@FORMS
@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip"])
@pytest.mark.parametrize("step", [1, 17, 100_000])
def test_gzip_changes_nothing(form: Form, encoding: bytes, step: int):
    body, content_type = form(*ANSWER)
    assert read(slivers(gzip.compress(body), step), content_type, encoding) == read([body], content_type)


@FORMS
@pytest.mark.parametrize("told", [None, b"text/plain", b"application/octet-stream", b"application/json"])
def test_a_body_whose_format_nobody_told_is_read_by_its_first_byte(form: Form, told: bytes | None):
    body, content_type = form(*ANSWER)
    meter = meter_for(told, None)
    meter.feed(body)
    assert meter.finish() == read([body], content_type)


def test_gzip_is_read_as_far_as_it_goes():
    body, content_type = sse(*ANSWER)
    packed = gzip.compress(body)
    meter = meter_for(content_type, b"gzip")
    meter.feed(packed[:-4])
    assert usage(meter.summary)["totalTokenCount"] == 20
    assert not meter.finish().complete


@pytest.mark.parametrize(
    "damaged",
    [b"data: {}\n\n", gzip.compress(b"", mtime=0)[:-8] + b"\xff" * 50, b"\x1f\x8b\x08"],
    ids=["not gzip", "rubbish", "head only"],
)
def test_damaged_gzip_is_not_read_on(damaged: bytes):
    assert read([damaged, gzip.compress(sse(*ANSWER)[0])], SSE_TYPE, b"gzip") == ResponseSummary()


def test_what_follows_gzip_is_ignored_and_not_held():
    body, content_type = unary(*ANSWER)
    meter = GzipMeter(meter_for(content_type, None))
    for piece in (gzip.compress(body) + b"x", b"y" * 100):
        meter.feed(piece)
    assert not meter._gzip.unused_data
    assert meter.finish() == read([body])


@pytest.mark.parametrize("step", [1, 17, 100_000])
def test_gzip_may_have_several_members(step: int):
    body, content_type = sse(*ANSWER)
    for cut in range(0, len(body) + 1, 50):
        members = gzip.compress(body[:cut]) + gzip.compress(b"") + gzip.compress(body[cut:])
        assert read(slivers(members, step), content_type, b"gzip") == read([body], content_type)
    assert not read([gzip.compress(body), gzip.compress(body)[:-9]], content_type, b"gzip").complete


EVENT, ELEMENT, NEXT = (
    Delimiters(b"data: ", b"\r\n\r\n"),
    Delimiters(b"", b"\r\n"),
    Delimiters(b",\r\n", b"\r\n"),
)


@cases(
    ("sent", "content_type", "encoding", "delimiters"),
    [
        (b"", SSE_TYPE, None, EVENT),
        (b"data: {}\r\n\r\n", SSE_TYPE, None, EVENT),
        (b"data: {}\n\ndata: [DONE]\n\n", SSE_TYPE, None, EVENT),
        (b"data: {}\r\n\r", SSE_TYPE, None, None),
        (b"data: {}\r\n", SSE_TYPE, None, None),
        (b"data: {}\n\nda", SSE_TYPE, None, None),
        (b"[", JSON_TYPE, None, ELEMENT),
        (b"[{}", JSON_TYPE, None, NEXT),
        (b"[{}\n,\r\n", JSON_TYPE, None, ELEMENT),
        (b'[{"a": [1, {}', JSON_TYPE, None, None),
        (b"[{}]", JSON_TYPE, None, None),
        (b"[{}]\r\n", JSON_TYPE, None, None),
        (b"", JSON_TYPE, None, None),
        (b'{"a": 1', JSON_TYPE, None, None),
        (b'{"a": 1}', SSE_TYPE, None, None),
        (b"data: {}\n\n", SSE_TYPE, b"gzip", None),
        (b"<html>", b"text/html", None, None),
    ],
)
@cases("step", [1, 100])
def test_where_one_more_document_may_stand(
    sent: bytes, content_type: bytes, encoding: bytes | None, delimiters: Delimiters | None, step: int
):
    meter = meter_for(content_type, encoding)
    for piece in slivers(sent, step):
        meter.feed(piece)
    assert meter.delimiters == delimiters


@STREAMS
@given(st.lists(st.sampled_from(ANSWER), min_size=1, max_size=3), st.integers(0, 2000))
def test_what_is_added_at_a_seam_is_one_more_document(form: Form, documents: list[Any], at: int):
    body, content_type = form(*documents)
    sent = body[:at]
    meter = meter_for(content_type, None)
    meter.feed(sent)
    before, delimiters = meter.summary, meter.delimiters
    if delimiters is not None:
        meter.feed(delimiters.prefix + b'{"error": {"code": 503}}' + delimiters.suffix)
        after = meter.summary
        assert after.error is not None
        assert msgspec.structs.replace(after, error=None) == before


class Sizes:
    """A meter that notes how much it is fed at once."""

    summary = ResponseSummary(complete=True)
    delimiters = None

    def __init__(self) -> None:
        self.fed: list[int] = []

    def feed(self, chunk: bytes) -> None:
        self.fed.append(len(chunk))

    def finish(self) -> ResponseSummary:
        return self.summary


@cases("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2**20 + 100, 5 * 2**20])
def test_inflated_bytes_come_in_bounded_pieces_and_none_is_kept_back(size: int):
    sizes = Sizes()
    meter = GzipMeter(sizes)
    packed = gzip.compress(bytes(size))
    meter.feed(packed[:-8])
    assert sum(sizes.fed) == size
    assert max(sizes.fed) <= 2**20
    meter.feed(packed[-8:])
    assert meter.finish().complete


# Any stream, any cut


def members(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


TEXT = st.text(max_size=8) | st.sampled_from(['"}]', "\\", '\\"', "\n\n", "data: {", '"usageMetadata":{'])
COUNTS = st.dictionaries(st.sampled_from(["promptTokenCount", "totalTokenCount"]), st.integers(0, 10**6))
CANDIDATES = st.lists(members(content=TEXT, finishReason=st.sampled_from(["STOP", "SAFETY", 2])), max_size=2)
DOCUMENTS = st.lists(
    members(
        candidates=CANDIDATES,
        usageMetadata=COUNTS,
        modelVersion=st.sampled_from(["models/a", "b"]),
        error=st.just(EXHAUSTED),
        other=TEXT,
    ),
    min_size=1,
    max_size=5,
)
CUTS = st.lists(st.integers(0, 100_000), max_size=12)


def last(documents: list[dict[str, Any]], member: str) -> Any:
    return next((found[member] for found in reversed(documents) if member in found), None)


@given(DOCUMENTS, st.sampled_from([unary, sse, array]), CUTS)
def test_any_answer_is_read_alike_whole_and_in_pieces(
    documents: list[dict[str, Any]], form: Form, at: list[int]
):
    body, content_type = form(*documents)
    summary = read(cut(body, at), content_type)
    assert summary == read([body], content_type)
    told = documents[-1:] if form is unary else documents
    version = last(told, "modelVersion")
    assert usage(summary) == last(told, "usageMetadata")
    assert summary.model_version == (version and version.removeprefix("models/"))
    assert (summary.error is None) == (last(told, "error") is None)
    assert summary.complete


RUBBISH = st.binary(max_size=30) | st.text('"\\{}[]:, \n1adt', max_size=30).map(str.encode)


@settings(max_examples=examples(60))
@given(
    st.sampled_from([b"", b"{", b"[", b"data: {", b'{"usageMetadata":', b'[{"error":{', b"data: {}\n\n"]),
    RUBBISH,
    st.sampled_from([JSON_TYPE, SSE_TYPE]),
    st.sampled_from([None, b"gzip"]),
    CUTS,
)
def test_no_bytes_raise(
    start: bytes, rubbish: bytes, content_type: bytes, encoding: bytes | None, at: list[int]
):
    body = gzip.compress(start + rubbish) if encoding else start + rubbish
    assert read(cut(body, at), content_type, encoding) == read([body], content_type, encoding)


def bytes_worked_on(meter: Meter, chunks: list[bytes]) -> int:
    """How many bytes the methods called on bytes had before them, a searched chunk or buffer as a whole."""
    work = 0

    def count(_frame: FrameType, event: str, called: Any) -> None:
        nonlocal work
        if event == "c_call":
            owner = getattr(called, "__self__", None)
            work += len(owner) if isinstance(owner, bytes | bytearray) else 1

    sys.setprofile(count)
    try:
        for piece in chunks:
            meter.feed(piece)
        meter.finish()
    finally:
        sys.setprofile(None)
    return work


@FORMS
def test_work_grows_with_the_bytes_and_not_with_how_they_are_cut(form: Form):
    def work(size: int) -> int:
        body, content_type = form(chunk("\\" * size, 5))
        return bytes_worked_on(meter_for(content_type, None), slivers(body, 1))

    assert work(8000) < 5 * work(2000)


# Recordings

KINDS = ("unary", "sse", "json_array_stream", "embed", "error")
COLUMNS = {
    "prompt": "promptTokenCount",
    "cached": "cachedContentTokenCount",
    "candidates": "candidatesTokenCount",
    "thoughts": "thoughtsTokenCount",
    "tool_use": "toolUsePromptTokenCount",
    "total": "totalTokenCount",
}
NUMBERS = {"1": "STOP", "2": "MAX_TOKENS"}
BARE_ERRORS = {"g2282e86bb0090ff": "CANCELLED"}
"""Errors within a stream that the index has not seen, because they come without `data:`."""


def indexed(row: dict[str, str], body: bytes) -> tuple[dict[str, str], str | None, str | None]:
    """Counts, finish reason and error status as the index has them. It joins a stream's reasons, of which the
    last counts here, and says `HTTP_400` where it did not look into the body.
    """
    reason = row["finish_reasons"].split("|")[-1]
    status: str | None = BARE_ERRORS.get(row["id"], row["error_status"] or None)
    if status and status.startswith("HTTP_"):
        try:
            status = json.loads(body)["error"]["status"]
        except (ValueError, KeyError):
            status = None
    return {column: row[column] for column in COLUMNS}, NUMBERS.get(reason, reason) or None, status


def understood(summary: ResponseSummary) -> tuple[dict[str, str], str | None, str | None]:
    found: dict[str, Any] = usage(summary) or {}
    counts = {column: found.get(name) for column, name in COLUMNS.items()}
    texts = {column: "" if count is None else str(count) for column, count in counts.items()}
    return texts, summary.finish_reason, summary.error.status if summary.error else None


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recorded answers")
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_answers_are_read_as_indexed(kind: str):
    compared = 0
    for each in recorded_of(kind):
        row, body, content_type = each.indexed, each.body, each.content_type.encode()
        whole = read([body], content_type)
        assert understood(whole) == indexed(row, body), row["id"]
        assert (whole.usage is not None) == (row["has_usage"] == "true"), row["id"]
        assert whole.model_version is None or whole.model_version.startswith(("gemini-", "gemma-")), row["id"]
        draw = random.Random(row["id"])
        pieces = cut(body, [draw.randrange(10**9) for _ in range(10)])
        assert read(pieces, content_type) == whole, row["id"]
        if len(body) < 800:
            assert read(slivers(body, 1), content_type) == whole, row["id"]
        compared += 1
    assert compared


@cases(
    ("grounding", "billed_units"),
    [
        ({"webSearchQueries": ["a", "", "b", "a"]}, {"grounding_search_query": 2}),
        ({"webSearchQueries": [""], "groundingChunks": [{"retrievedContext": {}}]}, {}),
        ({"groundingChunks": [{"web": {"uri": "x"}}]}, {"grounding_search_query": None}),
        ({"webSearchQueries": ["cafes"], "groundingChunks": [{"maps": {}}]}, {"grounding_maps_query": 1}),
        ({}, {}),
        ("nonsense", {}),
        ({"webSearchQueries": "nonsense", "groundingChunks": ["x"]}, {}),
    ],
)
def test_searches_that_ran_are_charges(grounding: object, billed_units: dict[str, int | None]) -> None:
    body = json.dumps({"candidates": [{"groundingMetadata": grounding}]}).encode()
    meter = meter_for(b"application/json", None)
    meter.feed(body)
    assert meter.finish().billed_units == billed_units


@pytest.mark.parametrize("coding", [None, b"gzip"])
def test_an_error_in_plain_text_is_its_own_message(coding: bytes | None) -> None:
    body = b"\nUpload has already been terminated. " + b"x" * 5000
    meter = meter_for(b"text/plain; charset=utf-8", coding, status=400)
    assert meter.delimiters is None
    for piece in (b"", gzip.compress(body) if coding else body):
        meter.feed(piece)
    summary = meter.finish()
    assert summary.complete
    assert summary.error is not None
    assert summary.error.message.startswith("Upload has already been terminated. xxx")
    assert len(summary.error.message) < 1001
    assert summary.error.reason is None
    assert meter_for(b"text/plain", None, status=400).finish().error is None
