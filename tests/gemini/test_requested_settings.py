"""What a request asks for beside its contents: output, tier, storage, tools, stores."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.json_request import JsonRequestParser
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import whole_number

CONTENTS = [{"parts": [{"text": "hi"}]}]


def batch(*requests: Any) -> dict[str, Any]:
    inlined = [{"request": request, "metadata": {"maxOutputTokens": 1}} for request in requests]
    return {"batch": {"displayName": "b", "inputConfig": {"requests": {"requests": inlined}}}}


def limited(tokens: object) -> dict[str, Any]:
    return {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": tokens}}


ASKED = [
    # (body, what it asks for)
    (limited(100), {"max_output_tokens": 100}),
    ({"generation_config": {"max_output_tokens": "64"}}, {"max_output_tokens": 64}),
    ({"generationConfig": {"maxOutputTokens": 8e2}}, {"max_output_tokens": 800}),
    ({"input": "hi", "generation_config": {"max_output_tokens": 7}}, {"max_output_tokens": 7}),
    ({"messages": [{"content": "hi"}], "max_tokens": 5}, {"max_output_tokens": 5}),
    ({"max_tokens": 5, "max_completion_tokens": 50}, {"max_output_tokens": 50}),
    ({"input": "hi", "max_output_tokens": 9}, {"max_output_tokens": 9}),
    ({"setup": {"generationConfig": {"maxOutputTokens": 3}}}, {"max_output_tokens": 3}),
    (batch(limited(10), limited(30), limited(20)), {"max_output_tokens": 30}),
    (batch(limited(10), {"contents": CONTENTS}), {}),
    (batch(limited(10)) | limited(20), {"max_output_tokens": 20}),
    (batch(limited(10)) | {"contents": CONTENTS}, {}),
    (limited(0), {}),
    (limited(-1), {}),
    (limited(None), {}),
    (limited("many"), {}),
    (limited([5]), {}),
    (limited(1.5), {}),
    ({"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": None}}, {}),
    ({"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"topK": 1}}, {}),
    ({"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"max_output_tokens": 6}},
     {"max_output_tokens": 6}),
    ({"contents": CONTENTS, "maxOutputTokens": 4, "tools": []}, {"max_output_tokens": 4}),
    ({"generationConfig": {"candidateCount": 3}}, {"candidate_count": 3}),
    ({"generationConfig": {"candidateCount": "no"}}, {}),
    ({"extra_body": {"google": {"tools": [{"google_search": {}}]}}}, {"tools": ("google_search",)}),
    ({"google": {"cached_content": "cachedContents/c"}}, {"cached_contents": ("cachedContents/c",)}),
    ({"serviceTier": "SERVICE_TIER_FLEX"}, {"service_tiers": ("flex",)}),
    ({"service_tier": "Priority"}, {"service_tiers": ("priority",)}),
    ({"service_tier": 2}, {"service_tiers": ("2",)}),
    ({"service_tier": "standard"}, {}),
    ({"service_tier": "auto", "serviceTier": 0}, {}),
    ({"service_tier": None}, {}),
    ({"service_tier": None, "serviceTier": "flex"}, {"service_tiers": ("standard", "flex")}),
    (batch({"serviceTier": "flex"}, limited(None)), {"service_tiers": ("flex", "standard")}),
    ({"contents": CONTENTS, "store": False}, {"store": False}),
    ({"input": "hi", "store": True}, {"store": True}),
    ({"store": "false"}, {"store": True}),
    ({"store": None}, {}),
    (batch({"store": False}, {"store": False}), {"store": False}),
    (batch({"store": False}, {"contents": CONTENTS}), {}),
    (batch({"store": False}, {"store": True}), {"store": True}),
    (batch({"contents": CONTENTS}) | {"store": False}, {}),
    (
        {"batch": {"inputConfig": {"fileName": "files/f"}, "store": False}},
        {"files": ("files/f",), "input_files": ("files/f",)},
    ),
    ({"tools": [{"googleSearch": {}}, {"google_search": {}}]}, {"tools": ("google_search",)}),
    (
        {"tools": {"googleSearchRetrieval": {"dynamicRetrievalConfig": {}}, "codeExecution": {}}},
        {"tools": ("google_search_retrieval", "code_execution")},
    ),
    ({"tools": [{"urlContext": {}}, {"googleMaps": {}}]}, {"tools": ("url_context", "google_maps")}),
    ({"tools": [{"deepWebSearch": {"store": False}}]}, {"tools": ("deep_web_search",)}),
    ({"tools": [{"type": "google_search", "search_types": ["web_search"]}]}, {"tools": ("google_search",)}),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools": ("function",)}),
    ({"tools": [{"googleSearch": None}]}, {}),
    ({"web_search_options": {"search_context_size": "low"}}, {"tools": ("web_search",)}),
    ({"setup": {"tools": [{"googleSearch": {}}]}}, {"tools": ("google_search",)}),
    (
        {"tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a", "b", ""], "topK": 1}}]},
        {"tools": ("file_search",), "file_search_stores": ("fileSearchStores/a", "fileSearchStores/b")},
    ),
    (
        {"tools": [{"file_search_store_names": ["fileSearchStores/a"], "type": "file_search"}]},
        {"tools": ("file_search",), "file_search_stores": ("fileSearchStores/a",)},
    ),
    (
        {"tools": [{"type": "file_search", "vector_store_ids": ["v", ["w"], {"x": "y"}]}]},
        {"tools": ("file_search",), "vector_stores": ("v", "w")},
    ),
    ({"agent": "a", "agent_config": {"model": "m"}}, {"models": ("a", "m"), "agents": ("a",)}),
]  # fmt: skip


@cases(("body", "asked"), ASKED)
def test_a_request_asks_for_it(body: Any, asked: dict[str, Any]) -> None:
    assert read_request(json.dumps(body).encode()) == RequestSummary(**asked)


def test_a_literal_is_not_a_number_of_a_tier() -> None:
    assert read_request(b'{"store": false, "store": 0}').store is True
    assert read_request(b'{"n": 2, "n": 8, "n": 4}').candidate_count == 8


def test_what_has_not_ended_leaves_the_output_open() -> None:
    parser = JsonRequestParser()
    parser.feed(b'{"store": true, "generationConfig": {"maxOutputTokens": 9}, "serviceTier": "flex"')
    assert parser.summary == RequestSummary(store=True, understood=False)
    parser.feed(b"}")
    assert parser.summary == RequestSummary(max_output_tokens=9, store=True, service_tiers=("flex",))


@cases(
    ("raw", "number"),
    [(b"1e999999999", None), (b"NaN", None), (b"-3", -3), (b"\xff", None), (b"10e-1", 1), (b"1" * 32, None)],
)
def test_a_whole_number(raw: bytes, number: int | None) -> None:
    assert whole_number(raw) == number


# A batch's requests, and what is left open of them by another reading of the same rules.
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "generationConfig": st.fixed_dictionaries(
            {}, optional={"maxOutputTokens": st.integers(-1, 99) | st.none()}
        ),
        "max_tokens": st.integers(-1, 99),
        "store": st.booleans() | st.none(),
        "serviceTier": st.sampled_from(["standard", "flex", "SERVICE_TIER_PRIORITY"]),
        "contents": st.just(CONTENTS),
    },
)


def expected(requests: list[dict[str, Any]]) -> RequestSummary:
    outputs, stores, tiers = [], [], set[str]()
    for request in requests:
        named = [request[name] for name in ("max_tokens",) if name in request]
        named += list(request.get("generationConfig", {}).values())
        outputs.append(max(named) if named and all(limit and limit > 0 for limit in named) else None)
        stores.append(request.get("store"))
        tiers.add(request.get("serviceTier", "standard").lower().removeprefix("service_tier_"))
    store = True if True in stores else (None if None in stores else False)
    return RequestSummary(
        max_output_tokens=None if None in outputs else max(outputs),
        store=store,
        service_tiers=() if tiers == {"standard"} else tuple(sorted(tiers)),
    )


@given(st.lists(MEMBERS, min_size=1, max_size=4), st.booleans())
def test_each_request_of_a_batch_stands_for_itself(requests: list[dict[str, Any]], is_one: bool) -> None:
    body = requests[0] if is_one else batch(*requests)
    asked = read_request(json.dumps(body).encode())
    ordered = RequestSummary(
        max_output_tokens=asked.max_output_tokens,
        store=asked.store,
        service_tiers=tuple(sorted(asked.service_tiers)),
        understood=asked.understood,
    )
    assert ordered == expected(requests[:1] if is_one else requests)


PIECES = [
    # The space ends the number: without it, two of these pieces in a row are a body that asks for 55.
    *(b"{", b"}", b"[", b"]", b",", b"null", b"false", b"5 ", b'"x"', b'"flex"'),
    *(b'"requests":', b'"generationConfig":', b'"maxOutputTokens":', b'"store":', b'"serviceTier":'),
    *(b'"tools":', b'"type":', b'"fileSearch":', b'"fileSearchStoreNames":', b'"contents":', b'"n":'),
]


@settings(max_examples=examples(40))
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_no_body_is_too_broken_to_be_looked_at(pieces: list[bytes]) -> None:
    parser = JsonRequestParser()
    for piece in [b'{"requests":', *pieces]:
        parser.feed(piece)
        assert parser.summary.max_output_tokens in (None, 5)


@cases(
    "rest",
    [b"}", b'"maxOutputTokens": 5}', b'"generationConfig": {}}', b'"contents": []}', b'"store": false}]}'],
)
def test_brackets_that_do_not_match_limit_nothing(rest: bytes) -> None:
    assert read_request(b'{"maxOutputTokens": 5, "requests": [}' + rest).max_output_tokens in (None, 5)


@cases("size", [1, 7, 1000])
@cases(
    "body",
    [
        b"""{"labels": {'a': '}, "store": false, "b": {'}}""",
        b"""{"contents": [{'text': ']}], "store": false, "b": [{'}]}""",
        b"""{"contents": [{"parts": [{'text': ']}]}], "store": false, "b": [{"c": [{'}]}]}""",
        b"""{"labels": {"a": {"b": {'c': '}}}, "store": false, "b": {"a": {"b": {'}}}}""",
        b"""{"labels": {/* }, "store": false, "b": { */}}""",
        b"""{'store': true, "store": false}""",
        b"""{"store": false, store: true}""",
    ],
)
def test_what_a_more_lenient_parser_reads_otherwise_is_not_understood(body: bytes, size: int) -> None:
    # Google's older parsers take single quotes, and keys without any.
    parser = JsonRequestParser()
    for at in range(0, len(body), size):
        parser.feed(body[at : at + size])
    assert not parser.summary.understood
