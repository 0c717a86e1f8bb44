"""What a batch costs: each response by itself; and the same again from the few sums that its row keeps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.batch_cost import (
    MAX_GROUPS,
    TOO_MANY_GROUPS,
    BatchCost,
    batch_quote,
)
from gatekeeper.pricing.cost_notes import SUM_DIFFERS, SUMS_INCOMPLETE
from gatekeeper.pricing.priced_call import PricedColumns, row_quote
from gatekeeper.startup import load_catalogue

CATALOGUE = load_catalogue()
AT = datetime(2026, 11, 20, tzinfo=UTC)
PRO, FLASH3 = "gemini-2.5-pro", "gemini-3.5-flash"
ACTION = "batchGenerateContent"


def response(
    model: str | None = PRO, units: dict[str, int | None] | None = None, **usage: Any
) -> ResponseSummary:
    raw = json.dumps(usage).encode() if usage else None
    return ResponseSummary(usage=raw, model_version=model, billed_units=units or {})


def counts(prompt: int, output: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "totalTokenCount": prompt + output,
        **more,
    }


def cost(*responses: ResponseSummary, model: str | None = PRO, action: str = ACTION) -> BatchCost:
    found = BatchCost(CATALOGUE, model=model, action=action, at=AT)
    for each in responses:
        found.add(each)
    return found


def again(found: BatchCost, model: str | None = PRO, action: str = ACTION) -> int | None:
    return row_quote(
        CATALOGUE, PricedColumns(model, found.model, "batch", action, found.usage, None, AT)
    ).cost_pico


def test_the_threshold_counts_for_each_prompt() -> None:
    small = [response(**counts(150_000, 10)) for _ in range(3)]
    assert cost(*small).cost_pico == 3 * (150_000 * 625_000 + 10 * 5_000_000)
    found = cost(*small, response(**counts(200_001, 10)))
    assert found.cost_pico == 3 * (150_000 * 625_000 + 10 * 5_000_000) + 200_001 * 1_250_000 + 10 * 7_500_000
    assert found.usage is not None
    assert [each["responses"] for each in json.loads(found.usage)] == [3, 1]
    assert (found.model, found.notes, again(found)) == (PRO, (), found.cost_pico)
    usage = read_usage(found.usage)
    assert usage is not None
    assert (usage.prompt, usage.output, usage.total) == (650_001, 40, 650_041)


USAGES = st.fixed_dictionaries(
    {"prompt": st.integers(0, 400_000), "output": st.integers(0, 9), "thoughts": st.integers(0, 9)},
    optional={"cached": st.integers(0, 100), "tool": st.integers(0, 9)},
)


@given(st.lists(st.tuples(st.sampled_from([PRO, FLASH3]), USAGES), max_size=12))
def test_the_sums_cost_what_the_responses_do(used: list[tuple[str, dict[str, int]]]) -> None:
    responses = []
    for model, each in used:
        given_counts = {
            "promptTokenCount": each["prompt"],
            "candidatesTokenCount": each["output"],
            "thoughtsTokenCount": each["thoughts"],
            "cachedContentTokenCount": min(each.get("cached", 0), each["prompt"]),
            "toolUsePromptTokenCount": each.get("tool", 0),
            "totalTokenCount": each["prompt"] + each["output"] + each["thoughts"] + each.get("tool", 0),
        }
        responses.append(response(model, **given_counts))
    found = cost(*responses)
    assert found.notes == ()
    assert found.responses == len(responses)
    if responses:
        assert again(found) == found.cost_pico
        assert cost(*reversed(responses)).cost_pico == found.cost_pico
    else:
        assert (found.cost_pico, found.usage, found.model) == (0, None, None)


# The model, the searches of each of two responses, the units that are charged.
SEARCHES = {
    "each request": (PRO, {"grounding_search_query": 3}, {"grounding_search_request": 2}),
    "each query": (FLASH3, {"grounding_search_query": 3}, {"grounding_search_query": 6}),
    "unknown queries of an old one": (PRO, {"grounding_search_query": None}, {"grounding_search_request": 2}),
    "unknown queries": (FLASH3, {"grounding_search_query": None}, None),
    "no query": (FLASH3, {"grounding_search_query": 0}, {"grounding_search_query": 0}),
    "something else": (PRO, {"image_each": 1}, None),
}


@cases("name", SEARCHES)
def test_searches_are_charged_for_each_response(name: str) -> None:
    model, units, charged = SEARCHES[name]
    found = cost(*[response(model, units, **counts(10)) for _ in range(2)], model=model)
    assert found.usage is not None
    (element,) = json.loads(found.usage)
    if charged is None:
        assert found.cost_pico is None
        assert found.notes
    else:
        assert element["billedUnits"] == charged
        assert (again(found, model), found.notes) == (found.cost_pico, ())


# What a response lacks; whether its usage is kept; part of the note.
UNKNOWN = {
    "no usage": (response(), False, "no usage"),
    "no model": (response(None, **counts(1)), False, "a response names no model"),
    "no price": (response("gemini-unheard-of", **counts(1)), True, "gemini-unheard-of"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_one_response_of_unknown_cost_makes_the_sum_unknown(name: str) -> None:
    odd, is_kept, note = UNKNOWN[name]
    found = cost(response(**counts(1)), odd, response(**counts(1)), model=None, action="openai.batches")
    assert (found.cost_pico, found.responses) == (None, 3)
    assert note in found.notes[0]
    assert (SUMS_INCOMPLETE in found.notes) is not is_kept
    assert found.usage is not None
    assert len(json.loads(found.usage)) == 1 + is_kept
    assert found.model == (None if is_kept else PRO)


def test_a_response_without_a_model_is_of_the_batch_s() -> None:
    found = cost(response(None, **counts(100, 10)), model=PRO)
    assert found.cost_pico == 100 * 625_000 + 10 * 5_000_000
    assert found.model == PRO


def test_the_kind_of_a_batch_decides_what_its_tokens_are() -> None:
    action = "asyncBatchEmbedContent"
    for usage in (counts(100), {"promptTokenCount": 100}):
        found = cost(response("gemini-embedding-2", **usage), model=None, action=action)
        assert found.cost_pico == again(found, None, action) == 100 * 100_000
    assert cost(response("gemini-embedding-2", **counts(100)), model=None).cost_pico is None


def test_no_more_notes_are_kept_than_groups() -> None:
    found = cost(*[response(f"model-{number}") for number in range(3 * MAX_GROUPS)], model=None)
    assert len([note for note in found.notes if note.startswith("model-")]) == MAX_GROUPS


def test_the_largest_prompt_of_none_is_0() -> None:
    usage = cost(response(**counts(0))).usage
    assert usage is not None
    assert json.loads(usage)[0]["largestPromptTokenCount"] == 0


def test_a_batch_in_openais_form_is_of_the_kind_of_its_model() -> None:
    found = cost(response(**counts(100, 10)), model=None, action="openai.batches")
    assert found.cost_pico == 100 * 625_000 + 10 * 5_000_000
    assert again(found, None, "openai.batches") == found.cost_pico


def test_of_too_many_models_no_sums_are_kept() -> None:
    found = cost(*[response(f"model-{number}", **counts(1)) for number in range(MAX_GROUPS + 1)], model=None)
    assert found.usage is None
    assert TOO_MANY_GROUPS in found.notes


def modalities(**named: int) -> list[dict[str, Any]]:
    return [{"modality": modality.upper(), "tokenCount": count} for modality, count in named.items()]


# What each is read as depends on what the others say, if they are only added up.
SHAPES: list[dict[str, Any]] = [
    counts(10, 3, cachedContentTokenCount=7, promptTokensDetails=modalities(text=5, audio=5)),
    counts(10, 3, promptTokensDetails=modalities(text=10)),
    counts(10, 3, cachedContentTokenCount=4),
    counts(10, 3, cachedContentTokenCount=4, cacheTokensDetails=modalities(audio=4)),
    counts(10, 3, promptTokensDetails=modalities(document=12)),
    counts(10, 30, thoughtsTokenCount=20),
    counts(10, 30) | {"totalTokenCount": 90},
    {"promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 4},
    {"promptTokenCount": 10, "toolUsePromptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 5},
    counts(19, 3, promptTokensDetails=modalities(image=2), candidatesTokensDetails=modalities(text=1)),
    {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 10},
]


@given(used=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=8))
def test_responses_of_all_shapes_cost_in_their_sum_what_they_do_alone(used: list[dict[str, Any]]) -> None:
    found = cost(*[response("gemini-2.5-flash", **each) for each in used], model="gemini-2.5-flash")
    alone = [cost(response("gemini-2.5-flash", **each), model="gemini-2.5-flash").cost_pico for each in used]
    assert found.cost_pico == again(found, "gemini-2.5-flash") == sum(map(int, filter(None, alone)))
    assert None not in alone
    assert found.notes == ()


@cases(
    ("used", "written"),
    [
        (counts(10, 3), (3, 0, 13)),
        (counts(10, 3, toolUsePromptTokenCount=9) | {"totalTokenCount": 22}, (3, 0, 22)),
        (counts(10, 30, thoughtsTokenCount=20), (10, 20, 40)),
        (counts(10, 30, thoughtsTokenCount=30), (0, 30, 40)),
        (counts(10, 30, thoughtsTokenCount=20) | {"totalTokenCount": 60}, (30, 20, 60)),
        (counts(10, 30) | {"totalTokenCount": 90}, (30, None, 90)),
        (counts(10, 30) | {"totalTokenCount": 15}, (5, 0, 15)),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 12}, (0, 2, 12)),
        ({"promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 4}, (3, 4, 17)),
    ],
)
def test_output_and_thoughts_of_a_sum_are_what_is_charged(
    used: dict[str, Any], written: tuple[int | None, ...]
) -> None:
    usage = read_usage(cost(response(**used)).usage or b"")
    assert usage is not None
    assert (usage.output, usage.thoughts, usage.total) == written


def test_thoughts_beyond_a_total_are_in_no_sum() -> None:
    beyond = {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 10}
    found = cost(response(**beyond), response(**counts(10, 3)))
    assert (found.cost_pico, found.notes) == (20 * 625_000 + 3 * 5_000_000, ())


def test_a_sum_that_costs_something_else_is_told() -> None:
    model, action = "gemini-embedding-2", "asyncBatchEmbedContent"
    several = [
        response(model, promptTokenCount=10, promptTokenDetails=modalities(image=12)),
        response(model, promptTokenCount=10, promptTokenDetails=modalities(text=10)),
    ]
    found = cost(*several, model=model, action=action)
    assert (found.cost_pico, found.notes) == (10 * 225_000 + 10 * 100_000, (SUM_DIFFERS,))


@cases("usage", [b'{"responses": 1}', b"[]", b'[{"responses": 1}]', b'["responses"', b"[" * 9999])
def test_other_usage_is_no_batch(usage: bytes) -> None:
    assert batch_quote(CATALOGUE, usage, model=PRO, action=ACTION, at=AT) is None


SEARCH, MAPS = "grounding_search_query", "grounding_maps_query"
NO_PRICE = "gemini-2.0-flash-exp-image-generation"
# The responses; how many of the searches of a kind are free; what is free in the end, and so taken off
FREE: dict[str, tuple[list[ResponseSummary], int, dict[str, int], int]] = {
    "queries": ([response(FLASH3, {SEARCH: 3}, **counts(5, 1))] * 2, 4, {"grounding_search_free": 4}, 4 * 14),
    "all of them": ([response(FLASH3, {SEARCH: 3}, **counts(5, 1))], 3, {"grounding_search_free": 3}, 3 * 14),
    "none": ([response(FLASH3, {SEARCH: 3}, **counts(5, 1))], 0, {}, 0),
    "requests": ([response(PRO, {SEARCH: 3}, **counts(5, 1))] * 3, 2, {"grounding_search_free": 2}, 2 * 35),
    "in two price bands": (
        [response(PRO, {SEARCH: 3}, **counts(prompt, 1)) for prompt in (5, 300_000)],
        1,
        {"grounding_search_free": 2},
        2 * 35,
    ),
    "two kinds": (
        [response(FLASH3, {SEARCH: 2, MAPS: 3}, **counts(5, 1))],
        2,
        {"grounding_search_free": 2, "grounding_maps_free": 2},
        4 * 14,
    ),
    "no searches": ([response(FLASH3, **counts(5, 1))], 9, {}, 0),
}


@cases(("responses", "left", "free", "off"), FREE.values(), ids=FREE.keys())
def test_free_searches_are_taken_off(
    responses: list[ResponseSummary], left: int, free: dict[str, int], off: int
) -> None:
    found, before = cost(*responses), cost(*responses).cost_pico
    assert before is not None
    assert found.take_free_searches(lambda _model, _kind, searches: min(left, searches)) == free
    assert found.cost_pico == again(found) == before - off * 10**9
    assert found.notes == ()


def test_what_has_no_known_cost_keeps_none_whatever_is_free() -> None:
    unknown = cost(
        response(NO_PRICE, {SEARCH: 3}, **counts(5, 1)), response("m", {SEARCH: 3}, **counts(5, 1))
    )
    assert unknown.take_free_searches(lambda *_: pytest.fail("nothing is charged")) == {}
    several = cost(response(FLASH3, {SEARCH: 2}, **counts(5, 1)), response("m", **counts(5, 1)))
    assert several.take_free_searches(lambda *_: 2) == {"grounding_search_free": 2}
    assert several.cost_pico is None
