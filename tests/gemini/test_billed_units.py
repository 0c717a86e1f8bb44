"""What a call is billed for beside its tokens, by what was asked for and what the response says."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.billed_units import BilledUnits, billed_units, video_units
from gatekeeper.gemini.grounding import counted_searches
from gatekeeper.gemini.json_request import JsonRequestParser
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import RequestedMedia
from gatekeeper.gemini.response_parser import ResponseParser, ResponseSummary
from gatekeeper.pricing.price_components import IMAGE, MUSIC, VIDEO_SECOND, unit_of

Json = dict[str, object]
FLASH, IMAGEN, VEO, LYRIA = "gemini-3-flash", "imagen-4.0-generate-001", "veo-3.1-generate-001", "lyria-3.5"


def said(*documents: Json, complete: bool = True, collection: str | None = None) -> ResponseSummary:
    parser = ResponseParser(collection)
    for document in documents:
        assert parser.read(json.dumps(document).encode())
    return parser.summary(complete=complete, truncated=False)


def asked(body: Json | None = None) -> RequestSummary:
    return read_request(json.dumps(body or {}).encode())


def parameters(**named: object) -> RequestSummary:
    return asked({"instances": [{"prompt": "a cat"}], "parameters": named})


NOTHING = said()
MADE = {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}
WITHHELD = {"raiFilteredReason": "no"}
RATED = {"contentType": "Positive Prompt", "safetyAttributes": {"scores": [0]}}
PICTURES = {
    "as many as were made": (parameters(sampleCount=4), said({"predictions": [MADE, MADE]}), 2),
    "none of them withheld": (parameters(), said({"predictions": [MADE, WITHHELD, RATED]}), 1),
    "all of them withheld": (parameters(), said({"predictions": [WITHHELD]}), 0),
    "as many as were asked for": (parameters(sampleCount=3), said({}), 3),
    "as a string": (parameters(sampleCount="3"), said({}), 3),
    "as a fraction of none": (parameters(sample_count=2.0), said({}), 2),
    "by default": (parameters(), said({}), 4),
    "a number of nothing": (parameters(sampleCount=None), said({}), 4),
    "an answer that ended early": (parameters(sampleCount=3), said(complete=False), None),
    "what is no number": (parameters(sampleCount="many"), said({}), None),
    "0, which proto3 leaves out": (parameters(sampleCount=0), said({}), 4),
    "a negative number": (parameters(sampleCount=-1), said({}), None),
    "a number with a fraction": (parameters(sampleCount=1.5), said({}), None),
    "a number that is too long": (parameters(sampleCount=10**60), said({}), None),
    "two numbers": (
        read_request(b'{"parameters": {"sampleCount": 1, "sample_count": 4}}'),
        said({}),
        None,
    ),
    "a request that was not understood": (read_request(b"{"), said({}), None),
    "Lyria 2": (parameters(), said({"predictions": [MADE]}), 1),
}


@cases(("request_", "response", "count"), PICTURES.values(), ids=PICTURES.keys())
def test_pictures(request_: RequestSummary, response: ResponseSummary, count: int | None) -> None:
    assert billed_units("predict", IMAGEN, request_, response) == {IMAGE: count}
    assert billed_units(None, IMAGEN, request_, response) == {IMAGE: count}
    assert billed_units("predict", "lyria-002", request_, response) == {MUSIC: count}


OPENAI = {
    "made": ({"n": 2}, {"data": [{"b64_json": "AAAA"}, {"b64_json": "AAAA"}]}, {IMAGE: 2}),
    "made, somewhere": ({"n": 2, "size": "1024x1024"}, {"data": [{"url": "https://x"}]}, {IMAGE: 1}),
    "asked for": ({"n": 2, "size": "auto"}, {"created": 1}, {IMAGE: 2}),
    "by default": ({"prompt": "a cat"}, {"created": 1}, {IMAGE: 1}),
    "none": ({"n": 2}, {"data": []}, {IMAGE: 0}),
    "of which none was asked for": ({"n": 0}, {"created": 1}, {IMAGE: 1}),
    "billed by tokens": ({"n": 2}, {"data": [{"url": "x"}], "usage": {"total_tokens": 5}}, {}),
}


@cases(("body", "response", "units"), OPENAI.values(), ids=OPENAI.keys())
@cases("action", ["openai.images.generations", "openai.images.edits"])
def test_pictures_in_openais_form(action: str, body: Json, response: Json, units: BilledUnits) -> None:
    assert billed_units(action, IMAGEN, asked(body), said(response)) == units


VIDEOS: dict[str, tuple[RequestSummary, BilledUnits]] = {
    "by default for 0, which proto3 leaves out": (
        parameters(durationSeconds=0, sampleCount=0),
        {"output_video_second_720p": 8},
    ),
    "by default": (parameters(), {"output_video_second_720p": 8}),
    "as asked for": (
        parameters(durationSeconds=6, resolution="1080p", sampleCount=2),
        {"output_video_second_1080p": 12},
    ),
    "in the other spelling": (
        parameters(duration_seconds="4", numberOfVideos=3, resolution="4K"),
        {"output_video_second_4k": 12},
    ),
    "in OpenAI's form": (asked({"seconds": "12", "size": "1080x1920"}), {"output_video_second_1080p": 12}),
    "in a size without a price": (asked({"size": "640x480"}), {"output_video_second_640x480": 8}),
    "in no size at all": (asked({"size": "a b"}), {"output_video_second_unknown": 8}),
    "in two": (
        asked({"size": "1280x720", "parameters": {"resolution": "4k"}}),
        {"output_video_second_different ones": 8},
    ),
    "the same twice": (
        asked({"size": "1280x720", "parameters": {"resolution": "720p"}}),
        {"output_video_second_720p": 8},
    ),
    "of no length": (parameters(durationSeconds="long"), {"output_video_second_720p": None}),
    "not understood": (read_request(b""), {"output_video_second_720p": None}),
}


@cases(("request_", "units"), VIDEOS.values(), ids=VIDEOS.keys())
@cases("action", ["predictLongRunning", "openai.videos", None])
def test_videos(action: str | None, request_: RequestSummary, units: BilledUnits) -> None:
    assert billed_units(action, VEO, request_, NOTHING) == units


def test_videos_that_were_made_of_those_that_were_asked_for() -> None:
    request = parameters(durationSeconds=6, sampleCount=4)
    assert video_units(request, 3) == {"output_video_second_720p": 18}
    assert video_units(request, 0) == {"output_video_second_720p": 0}


STOPPED = {"candidates": [{"finishReason": "STOP"}]}
SONGS = {
    "one": (said(STOPPED), 1),
    "one that was asked for": (said({}), 1),
    "one that was stopped": (said({"candidates": [{"finishReason": "SAFETY"}]}), None),
    "none": (said({"promptFeedback": {"blockReason": "SAFETY"}}), 0),
    "one that nobody heard to its end": (said(complete=False), None),
}


@cases(("response", "count"), SONGS.values(), ids=SONGS.keys())
@cases("action", ["generateContent", "interactions.create", None])
def test_songs(action: str | None, response: ResponseSummary, count: int | None) -> None:
    assert billed_units(action, LYRIA, asked(), response) == {MUSIC: count}


def test_other_calls_have_none() -> None:
    assert billed_units("generateContent", FLASH, asked({"n": 3}), said(STOPPED)) == {}
    assert billed_units("countTokens", LYRIA, asked(), said({"totalTokens": 5})) == {}
    assert billed_units(None, None, asked(), said(STOPPED)) == {}


def usage(counted: object) -> bytes:
    return json.dumps({"total_tokens": 5, "grounding_tool_count": counted}).encode()


COUNTED = {
    "a search": ([{"type": "google_search", "count": 2}], {"grounding_search_query": 2}),
    "several": (
        [
            {"type": "google_search", "count": 2},
            {"type": "google_maps", "count": 1},
            {"type": "retrieval", "count": 9},
            {"type": "google_search", "count": 3},
        ],
        {"grounding_search_query": 5, "grounding_maps_query": 1},
    ),
    "none": ([], {}),
    "nothing": (None, {}),
    "no list": ({"google_search": 1}, {"grounding_search_query": None}),
    "no number": (
        [{"type": "google_search", "count": "x"}, {"type": "google_search", "count": 1}],
        {"grounding_search_query": None},
    ),
    "no objects": (["google_search", {"count": 1}], {}),
}


@cases(("counted", "units"), COUNTED.values(), ids=COUNTED.keys())
def test_searches_that_an_interactions_usage_counts(counted: object, units: BilledUnits) -> None:
    interaction: Json = {"id": "i", "usage": json.loads(usage(counted))}
    response = said(interaction, collection="interactions")
    assert billed_units("interactions.create", FLASH, asked(), response) == units


def test_the_last_total_counts_and_steps_are_not_added() -> None:
    events: list[Json] = [
        {"event_type": "step.stop", "usage": json.loads(usage([{"type": "google_search", "count": count}]))}
        for count in (1, 3)
    ]
    step = {"step_usage": {"grounding_tool_count": [{"type": "google_search", "count": 2}]}}
    response = said(*events, {"event_type": "step.stop", **step}, collection="interactions")
    assert billed_units("interactions.create", FLASH, asked(), response) == {"grounding_search_query": 3}


def test_maps_alone_has_all_queries() -> None:
    grounding = {"webSearchQueries": ["a", "b", "a", ""], "groundingChunks": [{"maps": {}}]}
    response = said({"candidates": [{"groundingMetadata": grounding}]})
    assert response.billed_units == {"grounding_maps_query": 2}


def test_of_what_is_no_usage_no_searches_are_known() -> None:
    assert counted_searches(b"{") == {}


@given(st.binary())
def test_no_usage_raises(raw: bytes) -> None:
    counted_searches(raw)
    counted_searches(b'{"grounding_tool_count": ' + raw)


def search(*queries: object) -> Json:
    return {"type": "google_search_call", "arguments": {"queries": [*queries]}}


STEPS: dict[str, tuple[list[Json], BilledUnits]] = {
    "steps": ([{"steps": [search("a", "b"), {"type": "text"}]}], {"grounding_search_query": 2}),
    "outputs, as they were called": ([{"outputs": [search("a")]}], {"grounding_search_query": 1}),
    "of an event": (
        [{"step": search("a")}, {"content": search("b", "")}, {"interaction": {"steps": [search("a")]}}],
        {"grounding_search_query": 2},
    ),
    "of Maps": ([{"steps": [{"type": "google_maps_call"}]}], {"grounding_maps_query": None}),
    "not a search": ([{"steps": [{"type": "function_call", "arguments": {"queries": ["a"]}}]}], {}),
    "no steps": ([{"steps": 5, "content": ["x"], "outputs": [1]}], {}),
}


@cases(("documents", "units"), STEPS.values(), ids=STEPS.keys())
def test_searches_among_the_steps_count_where_the_usage_has_no_number(
    documents: list[Json], units: BilledUnits
) -> None:
    response = said(*documents, {"usage": {"total_tokens": 3}}, collection="interactions")
    assert billed_units("interactions.create", FLASH, asked(), response) == units


@pytest.mark.parametrize("kinds", [["web", "maps"], ["maps", "web"]])
def test_of_searches_of_both_kinds_nobody_knows_which_had_which_queries(kinds: list[str]) -> None:
    grounding = {"webSearchQueries": ["a"], "groundingChunks": [{kind: {}} for kind in kinds]}
    response = said({"candidates": [{"groundingMetadata": grounding}]})
    assert response.billed_units == {"grounding_search_query": None, "grounding_maps_query": None}


@pytest.mark.parametrize(
    ("name", "unit"), [(IMAGE, "each"), (MUSIC, "each"), (VIDEO_SECOND + "4k", "per_second")]
)
def test_each_unit_is_a_price_component(name: str, unit: str) -> None:
    assert unit_of(name).name == unit


numbers = st.integers(0, 10**6 - 1) | st.sampled_from(["3", "3.0"])


@given(
    named=st.fixed_dictionaries(
        {}, optional={"sampleCount": numbers, "durationSeconds": numbers, "resolution": st.just("1080p")}
    ),
    prompt=st.text(max_size=300),
    indent=st.none() | st.integers(0, 80),
    cuts=st.lists(st.integers(0, 900), max_size=8),
)
def test_what_was_asked_for_is_read_at_any_chunking(
    named: dict[str, Any], prompt: str, indent: int | None, cuts: list[int]
) -> None:
    body = json.dumps({"instances": [{"prompt": prompt}], "parameters": named}, indent=indent).encode()
    parser = JsonRequestParser()
    for start, end in pairwise([0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]):
        parser.feed(body[start:end])
    samples, seconds = (
        int(float(named[name])) if name in named else None for name in ("sampleCount", "durationSeconds")
    )
    assert parser.summary.media == RequestedMedia(samples, seconds, named.get("resolution"))
    assert parser.summary.understood
