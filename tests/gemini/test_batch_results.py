"""What a batch's result says, whether it is inline or in a file, however it is cut into chunks."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases
from rig.recordings import RECORDINGS, recorded_of

from gatekeeper.gemini.batch_results import (
    MAX_BATCH_BYTES,
    MAX_RESULT_BYTES,
    BatchDocumentReader,
    BatchReader,
    ResultFileReader,
)
from gatekeeper.gemini.billed_resources import BatchState, BatchSummary
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.usage import read_usage

Json = dict[str, object]


def usage(prompt: int, output: int) -> Json:
    return {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}


def answer(prompt: int, output: int, **more: object) -> Json:
    candidate = {"content": {"parts": [{"text": 'a "]} \\'}]}, "finishReason": "STOP", **more}
    return {"candidates": [candidate], "usageMetadata": usage(prompt, output), "modelVersion": "m-001"}


SEARCHED = {"groundingMetadata": {"webSearchQueries": ["a", "b", "a"]}}
PICTURE = {"content": {"parts": [{"inlineData": {"data": "A" * 6000}}]}}
FAILED = {"error": {"code": 400, "message": "no", "details": [{"@type": "x", "response": {}}]}}
RESULTS: list[Json] = [
    {"response": answer(13, 1), "metadata": {"custom_id": "0"}},
    FAILED,
    {"response": answer(13, 2, **SEARCHED)},
    {"response": answer(5, 3, **PICTURE)},
]


def batch(state: object = "BATCH_STATE_SUCCEEDED", results: list[Json] | None = None, **more: object) -> Json:
    """As Google writes it: with the same output twice."""
    output = {} if results is None else {"inlinedResponses": {"inlinedResponses": results}}
    metadata = {"model": "models/m", "output": output, "batchStats": {"requestCount": "4"}, "state": state}
    document: Json = {"name": "batches/b", "metadata": metadata}
    return document | ({"done": True, "response": output} if results is not None else {}) | more


def written(document: object) -> bytes:
    return json.dumps(document, indent=1).encode()


def lines(results: list[Json]) -> bytes:
    return b"\n".join(json.dumps(result).encode() for result in results)


def read(reader: BatchReader, *chunks: bytes) -> tuple[list[ResponseSummary], BatchSummary]:
    found = [response for chunk in chunks for response in reader.feed(chunk)]
    last, summary = reader.finish()
    return found + last, summary


INLINE = written(batch(results=RESULTS))
IN_FILE = lines([{"key": str(at), **result} for at, result in enumerate(RESULTS)])


@pytest.mark.parametrize(("reader", "body"), [(BatchDocumentReader, INLINE), (ResultFileReader, IN_FILE)])
@given(cuts=st.lists(st.integers(0, len(INLINE)), max_size=12))
def test_each_response_is_read_once_at_any_chunking(
    reader: type[BatchReader], body: bytes, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(body)]
    responses, summary = read(reader(), *[body[a:b] for a, b in pairwise(edges)])
    assert [read_usage(each.usage or b"") for each in responses] == [
        read_usage(json.dumps(usage(*counts)).encode()) for counts in [(13, 1), (13, 2), (5, 3)]
    ]
    assert [each.billed_units for each in responses] == [{}, {"grounding_search_query": 2}, {}]
    assert {each.model_version for each in responses} == {"m-001"}
    assert (summary.responses, summary.failed, summary.unread, summary.complete) == (3, 1, 0, True)


def test_an_empty_chunk_after_an_escape_changes_nothing() -> None:
    at = INLINE.index(b"\\") + 1
    whole = read(BatchDocumentReader(), INLINE)
    assert read(BatchDocumentReader(), INLINE[:at], b"", INLINE[at:]) == whole


def test_byte_by_byte_it_is_the_same() -> None:
    for reader, body in ((BatchDocumentReader, INLINE), (ResultFileReader, IN_FILE + b"\r\n\n")):
        single = read(reader(), *[body[at : at + 1] for at in range(len(body))])
        assert single == read(reader(), body)


def summary(**known: object) -> BatchSummary:
    return BatchSummary(**{"complete": True, **known})  # pyright: ignore[reportArgumentType]


OPENAI = {"id": "batches/b", "object": "batch", "request_counts": {"total": 3, "completed": 2, "failed": 1}}
OF_GOOGLE = {"name": "batches/b", "model": "m", "requests": 4}
ENDED = {**OF_GOOGLE, "done": True}
STATES = {
    "just made": (batch("BATCH_STATE_PENDING"), summary(**OF_GOOGLE, state=BatchState.PENDING)),
    "under way": (batch("BATCH_STATE_RUNNING"), summary(**OF_GOOGLE, state=BatchState.RUNNING)),
    "with numbers for names": (batch(2), summary(**OF_GOOGLE, state=BatchState.RUNNING)),
    "a number that is none": (batch(99), summary(**OF_GOOGLE)),
    "cancelled": (
        batch("BATCH_STATE_CANCELLED", done=True, error={"code": 1}),
        summary(**ENDED, state=BatchState.CANCELLED),
    ),
    "expired, without saying that it is done": (
        batch("JOB_STATE_EXPIRED"),
        summary(**ENDED, state=BatchState.EXPIRED),
    ),
    "failed as a whole": (
        batch("", done=True, error={"code": 13}),
        summary(**ENDED, state=BatchState.FAILED),
    ),
    "in a file": (
        batch(response={"responsesFile": "files/r"}),
        summary(**ENDED, state=BatchState.SUCCEEDED, responses_file="files/r"),
    ),
    "in a file, by the metadata": (
        {"name": "batches/b", "metadata": {"output": {"responsesFile": "files/r"}}},
        summary(name="batches/b", responses_file="files/r"),
    ),
    "the resource itself": (
        {"name": "batches/b", "state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/r"}},
        summary(name="batches/b", state=BatchState.SUCCEEDED, done=True, responses_file="files/r"),
    ),
    "OpenAI's": (
        {**OPENAI, "status": "in_progress"},
        summary(name="batches/b", state=BatchState.RUNNING, requests=3),
    ),
    "OpenAI's, ended": (
        {**OPENAI, "id": "b", "status": "completed", "output_file_id": "files/r"},
        summary(
            name="batches/b", state=BatchState.SUCCEEDED, done=True, requests=3, responses_file="files/r"
        ),
    ),
    "OpenAI's, failed": (
        {"object": "batch", "status": "failed", "request_counts": 3},
        summary(state=BatchState.FAILED, done=True),
    ),
    "nothing": ({}, summary()),
}


@cases(("document", "expected"), STATES.values(), ids=STATES.keys())
def test_what_a_batch_says_of_itself(document: Json, expected: BatchSummary) -> None:
    assert read(BatchDocumentReader(), written(document)) == ([], expected)


def test_embeddings_have_usage_in_their_responses() -> None:
    one = {"response": {"embedding": {"values": [0.1] * 99}, "usageMetadata": {"promptTokenCount": 4}}}
    responses, _ = read(BatchDocumentReader(), written(batch(results=[one, one])))
    assert [read_usage(each.usage or b"") for each in responses] == [Usage(prompt=4)] * 2


TOKEN_COUNTS = {
    "a count": (b'{"embedding": {"values": [0.1]}, "tokenCount": "5"}', b'{"promptTokenCount":"5"}'),
    "what is none": (b'{"tokenCount": -5, "embedding": {}}', b'{"promptTokenCount":-5}'),
    "null": (b'{"embedding": {}, "tokenCount": null}', None),
    "no embedding": (b'{"tokenCount": 5}', None),
    "not at its place": (b'{"embedding": {"tokenCount": 5}}', None),
    "a usage, too": (
        b'{"embedding": {}, "tokenCount": 5, "usageMetadata": {"promptTokenCount": 6}}',
        b'{"promptTokenCount": 6}',
    ),
}


@cases(("response", "usage_"), TOKEN_COUNTS.values(), ids=TOKEN_COUNTS.keys())
def test_the_token_count_of_an_embedding_is_its_usage(response: bytes, usage_: bytes | None) -> None:
    (found,), said = read(ResultFileReader(), b'{"response": %b}\n' % response)
    assert (found.usage, said.responses) == (usage_, 1)


def test_a_file_in_openais_form() -> None:
    used = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9}
    body = {"id": "c", "model": "models/m", "usage": used, "choices": []}
    results: list[Json] = [
        {"id": "1", "custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None},
        {"id": "2", "custom_id": "b", "response": None, "error": {"message": "no"}},
        {"id": "3", "response": {"status_code": 400, "body": {"error": {"message": "no"}}}, "error": None},
    ]
    responses, said = read(ResultFileReader(), lines(results))
    assert [(each.usage, each.model_version) for each in responses] == [(json.dumps(used).encode(), "m")]
    assert (said.responses, said.failed, said.unread) == (1, 2, 0)


UNREADABLE = {
    "too long": b'{"response": {"text": "%b"}}' % (b"a b " * (MAX_RESULT_BYTES // 4)),
    "no JSON": b'{"response": {"usageMetadata": }}',
    "a response that is no JSON": b'{"response": {"usageMetadata": {}, "modelVersion": "\xff"}}',
    "deep": b'{"response": {"a": %b1%b}}' % (b"[" * 5000, b"]" * 5000),
}


@cases("line", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_counted_and_the_next_one_is_read(line: bytes) -> None:
    good = json.dumps(RESULTS[0]).encode()
    responses, said = read(ResultFileReader(), line + b"\n" + good)
    assert (len(responses), said.unread) == (1, 1)
    inline = b'{"response": {"inlinedResponses": {"inlinedResponses": [%b, 5, "x", %b]}}}' % (line, good)
    responses, said = read(BatchDocumentReader(), inline)
    assert (len(responses), said.unread) == (1, 1)


def test_a_line_that_is_no_result_is_unread() -> None:
    assert read(ResultFileReader(), b'{"key": "1"}\n5')[1].unread == 2


@cases("body", [b"", b"[]]]", b'{"a": ', b'{"a": "' + b"x y " * MAX_BATCH_BYTES, b"5", INLINE[:-50]])
def test_what_is_no_batch_says_nothing_and_does_not_raise(body: bytes) -> None:
    _, said = read(BatchDocumentReader(), body)
    assert (said.name, said.done, said.complete) == (None, False, body == b"5" and said.complete)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"{", b"[", b"]", b"}", b'"', INLINE]), max_size=9))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    read(BatchDocumentReader(), *chunks)
    read(ResultFileReader(), *chunks)


@pytest.mark.skipif(not RECORDINGS, reason="needs recordings")
def test_recorded_batches() -> None:
    recordings = list(recorded_of("batch"))
    for recording in recordings:
        responses, said = read(BatchDocumentReader(), recording.body)
        usages = [found for each in responses if (found := read_usage(each.usage or b""))]
        total = int(recording.indexed["nested_total_sum"] or 0)
        # The index counts both lists.
        assert sum(found.total or 0 for found in usages) * 2 == total
        assert said.done == bool(responses)
        assert (said.requests, said.complete) == (2, True)
