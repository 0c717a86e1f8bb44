"""`usageMetadata` objects as Google writes them, and as nobody should."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.json_values import MAX_TOKEN_COUNT, read_count
from gatekeeper.gemini.token_usage import Usage, encode_usage
from gatekeeper.gemini.usage import MAX_USAGE_BYTES, PROMPT_UNDER_REPORTED, read_usage
from gatekeeper.gemini.usage_faults import MAX_SHOWN, THOUGHTS_IN_OUTPUT, THOUGHTS_OUTSIDE_TOTAL

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS", "")


def usage_of(**members: Any) -> Usage:
    found = read_usage(json.dumps(members).encode())
    assert found is not None
    return found


def counts(usage: Usage) -> tuple[int | None, ...]:
    return (usage.prompt, usage.cached, usage.output, usage.thoughts, usage.tool, usage.total)


def test_every_reported_count_has_its_place() -> None:
    usage = usage_of(
        promptTokenCount=5120,
        cachedContentTokenCount=4096,
        candidatesTokenCount=210,
        thoughtsTokenCount=33,
        toolUsePromptTokenCount=7,
        totalTokenCount=5370,
        promptTokensDetails=[
            {"modality": "TEXT", "tokenCount": 20},
            {"modality": "DOCUMENT", "tokenCount": 5100},
        ],
        cacheTokensDetails=[{"modality": "IMAGE", "tokenCount": 4096}],
        candidatesTokensDetails=[{"modality": "TEXT", "tokenCount": 210}],
        toolUsePromptTokensDetails=[{"modality": "AUDIO", "tokenCount": 7}],
        serviceTier="FLEX",
        trafficType="ON_DEMAND",
    )
    assert usage == Usage(
        prompt=5120,
        cached=4096,
        output=210,
        thoughts=33,
        tool=7,
        total=5370,
        service_tier="flex",
        prompt_details=(("text", 20), ("document", 5100)),
        cached_details=(("image", 4096),),
        output_details=(("text", 210),),
        tool_details=(("audio", 7),),
    )


# prompt, cached, output, thoughts, tool, total
@cases(
    ("members", "expected"),
    [
        pytest.param(
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
            (10, None, 5, 0, 0, 15),
            id="the total leaves no room for thoughts and tools, but says nothing of cached tokens",
        ),
        pytest.param(
            {"promptTokenCount": 10, "candidatesTokenCount": 24, "totalTokenCount": 431},
            (10, None, 24, None, None, 431),
            id="v1 hides its thoughts in the total",
        ),
        pytest.param(
            {
                "promptTokenCount": 8,
                "candidatesTokenCount": 79,
                "thoughtsTokenCount": 71,
                "totalTokenCount": 87,
            },
            (8, None, 79, 71, None, 87),
            id="candidates that already hold their thoughts stay as reported",
        ),
        pytest.param(
            {"promptTokenCount": 417, "thoughtsTokenCount": 71, "totalTokenCount": 488},
            (417, None, 0, 71, 0, 488),
            id="all output was thought",
        ),
        pytest.param(
            {"promptTokenCount": 40, "candidatesTokenCount": 15},
            (40, None, 15, None, None, None),
            id="without a total nothing is proved",
        ),
        pytest.param(
            {"promptTokenCount": 9, "cachedContentTokenCount": 0, "totalTokenCount": 9},
            (9, 0, 0, 0, 0, 9),
            id="a reported 0 is a 0",
        ),
        pytest.param(
            {"candidatesTokenCount": 5, "totalTokenCount": 5}, (0, None, 5, 0, 0, 5), id="no prompt at all"
        ),
        pytest.param({"totalTokenCount": 1234}, (None, None, None, None, None, 1234), id="a cache's usage"),
        pytest.param({"promptTokenCount": 261}, (261, None, None, None, None, None), id="an embedding"),
        pytest.param({"totalTokens": 312000}, (None,) * 6, id="countTokens reports no usage"),
        pytest.param({}, (None,) * 6, id="nothing"),
    ],
)
def test_a_missing_count_is_0_only_where_the_total_proves_it(
    members: dict[str, int], expected: tuple[int | None, ...]
) -> None:
    assert counts(usage_of(**members)) == expected


@cases(
    ("value", "expected"),
    [
        (0, 0),
        ("318", 318),
        (318.0, 318),
        (MAX_TOKEN_COUNT, MAX_TOKEN_COUNT),
        (MAX_TOKEN_COUNT + 1, None),
        (-1, None),
        (3.5, None),
        (1e300, None),
        ("-1", None),
        ("", None),
        ("1e3", None),
        ("9" * 5000, None),
        ("٣", None),
        (True, None),
        (None, None),
        ({"tokens": 3}, None),
        ([3], None),
    ],
)
def test_a_count_is_a_whole_number_that_a_call_can_have(value: Any, expected: int | None) -> None:
    usage = usage_of(promptTokenCount=value, candidatesTokenCount=2)
    assert (usage.prompt, usage.output) == (expected, 2)


@cases(
    ("value", "expected"),
    [
        ("standard", "standard"),
        ("PRIORITY", "priority"),
        (2, "2"),
        ("unspecified", None),
        ("", None),
        ([], None),
    ],
)
def test_the_tier_is_in_lower_case_and_never_guessed(value: Any, expected: str | None) -> None:
    assert usage_of(serviceTier=value).service_tier == expected


@cases(
    ("details", "expected"),
    [
        ([{"modality": 1, "tokenCount": 3}, {"modality": 4, "tokenCount": 4}], [("text", 3), ("audio", 4)]),
        ([{"modality": "Audio", "tokenCount": "1920"}], [("audio", 1920)]),
        ([{"modality": "SMELL", "tokenCount": 2}], [("smell", 2)]),
        ([{"tokenCount": 2}], [("modality_unspecified", 2)]),
        ([{"modality": 99, "tokenCount": 1}], [("modality_unspecified", 1)]),
        ([{"modality": "TEXT"}, {"modality": "TEXT", "tokenCount": -4}, "TEXT", None], []),
        ({"modality": "TEXT", "tokenCount": 3}, []),
        (None, []),
    ],
)  # fmt: skip
def test_details_name_modalities_and_leave_out_what_is_no_count(details: Any, expected: Any) -> None:
    assert usage_of(promptTokensDetails=details).prompt_details == tuple(expected)


def test_embedding_2_spells_its_details_in_its_own_way() -> None:
    usage = usage_of(promptTokenCount=258, promptTokenDetails=[{"modality": "IMAGE", "tokenCount": 258}])
    assert usage.prompt_details == (("image", 258),)


@cases(
    "raw",
    [b"", b"null", b"[]", b"[", b'"x"', b"7", b"{", b'{"total', b"\xff", b'{"serviceTier": "\xff"}'],
)  # fmt: skip
def test_what_is_no_json_object_is_no_usage(raw: bytes) -> None:
    assert read_usage(raw) is None


INTERACTION = {
    "total_tokens": 213,
    "total_input_tokens": 10,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 8}, {"modality": "image", "tokens": 2}],
    "total_cached_tokens": 0,
    "total_output_tokens": 29,
    "total_tool_use_tokens": 0,
    "total_thought_tokens": 174,
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}


@cases(
    ("members", "expected"),
    [
        pytest.param(INTERACTION, (10, 0, 29, 174, 0, 213), id="an interaction"),
        pytest.param(
            {"total_input_tokens": 7, "total_output_tokens": 1, "total_tokens": 8},
            (7, None, 1, 0, 0, 8),
            id="an interaction whose zeros the total proves",
        ),
        pytest.param({"total_input_tokens": "7"}, (7, None, None, None, None, None), id="nothing more"),
        # Recorded: the completion leaves out 62 tokens of thoughts.
        pytest.param(
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            (35, None, 12, 62, 0, 109),
            id="a chat completion",
        ),
        pytest.param(
            {
                "prompt_tokens": 35,
                "completion_tokens": 12,
                "total_tokens": 47,
                "prompt_tokens_details": {"cached_tokens": 20},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            (35, 20, 12, 0, 0, 47),
            id="the total comes before the reasoning",
        ),
        pytest.param(
            {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 9}},
            (None, None, 2, 9, None, None),
            id="without a total the reasoning is what there is",
        ),
        pytest.param({"prompt_tokens": 5, "total_tokens": 5}, (5, None, 0, 0, 0, 5), id="embeddings"),
        pytest.param({"completion_tokens": 5}, (None, None, 5, None, None, None), id="a completion alone"),
        pytest.param(
            {"promptTokenCount": 3, "responseTokenCount": 4, "totalTokenCount": 7},
            (3, None, 4, 0, 0, 7),
            id="a Live turn",
        ),
    ],
)  # fmt: skip
def test_each_api_reports_in_its_own_words(members: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    assert counts(usage_of(**members)) == expected
    assert usage_of(**members).note is None


def test_details_of_an_interaction_are_read_by_modality() -> None:
    assert usage_of(**INTERACTION).prompt_details == (("text", 8), ("image", 2))
    details = [{"modality": "audio", "tokens": 3}]
    usage = usage_of(
        total_input_tokens=3,
        cached_tokens_by_modality=details,
        output_tokens_by_modality=details,
        tool_use_tokens_by_modality=details,
    )
    assert {usage.cached_details, usage.output_details, usage.tool_details} == {(("audio", 3),)}


@cases("number", [-1, 6, True, 2.0, None])
def test_a_modality_of_no_known_number_is_unspecified(number: object) -> None:
    details = [{"modality": number, "tokenCount": 3}]
    assert usage_of(promptTokensDetails=details, promptTokenCount=3).prompt_details == (
        ("modality_unspecified", 3),
    )


def test_what_is_wrong_with_the_reported_counts_is_noted() -> None:
    # A receipt of gemini-3.8-live
    live = usage_of(promptTokenCount=522, responseTokenCount=42, totalTokenCount=564, thoughtsTokenCount=136)
    assert (counts(live), live.note) == ((522, None, 42, 136, None, 564), THOUGHTS_OUTSIDE_TOTAL)
    # A follow-up by previous_interaction_id
    follow_up = usage_of(total_input_tokens=11, raw_prompt_token=24_750)
    assert (follow_up.prompt, follow_up.note) == (11, PROMPT_UNDER_REPORTED)
    assert usage_of(total_input_tokens=11, raw_prompt_token=11).note is None
    assert usage_of(total_input_tokens=0).note is None
    # The total leaves the thoughts out whatever else is missing, or zero.
    for more in ({}, {"promptTokenCount": 7}, {"toolUsePromptTokenCount": 7}):
        total = 42 + sum(more.values())
        turn = usage_of(responseTokenCount=42, thoughtsTokenCount=5, totalTokenCount=total, **more)
        assert (turn.outside_total, turn.note) == (5, THOUGHTS_OUTSIDE_TOTAL)
    # What every prompt is wrapped in, and what a search has found
    assert usage_of(total_input_tokens=12, raw_prompt_token=33).note is None
    counted = [{"type": "google_search", "count": 1}]
    searched = usage_of(total_input_tokens=53, raw_prompt_token=4779, grounding_tool_count=counted)
    assert searched.note is None
    both = read_usage(b'[{"total_input_tokens": 1, "raw_prompt_token": 999}, {"total_input_tokens": 1}]')
    assert both
    assert both.note == PROMPT_UNDER_REPORTED


def test_a_list_is_the_sum_of_its_turns_by_field_and_modality() -> None:
    turns = [
        {
            "promptTokenCount": 248,
            "responseTokenCount": 130,
            "totalTokenCount": 378,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 48}],
            "serviceTier": "STANDARD",
        },
        {"promptTokenCount": 3, "cachedContentTokenCount": 2, "thoughtsTokenCount": 7},
        {
            "promptTokensDetails": [
                {"modality": "AUDIO", "tokenCount": 5},
                {"modality": "TEXT", "tokenCount": 1},
            ]
        },
    ]
    usage = read_usage(json.dumps(turns).encode())
    assert usage
    assert counts(usage) == (251, 2, 130, 7, 0, 378)
    assert usage.prompt_details == (("text", 49), ("audio", 5))
    assert usage.service_tier == "standard"
    assert read_usage(json.dumps(turns[:1]).encode()) == usage_of(**turns[0])  # type: ignore[arg-type]


NAMES = (
    "promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "toolUsePromptTokenCount", "totalTokenCount", "serviceTier", "promptTokensDetails", "cacheTokensDetails",
    "responseTokenCount", "total_tokens", "total_input_tokens", "raw_prompt_token",
    "input_tokens_by_modality", "prompt_tokens", "completion_tokens", "prompt_tokens_details",
    "completion_tokens_details",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["modality", "tokenCount"]) | st.text(max_size=5), inner, max_size=3
        )
    ),
    max_leaves=8,
)


COUNT_NAMES = ("prompt", "cached", "output", "thoughts", "tool", "total")


def nested(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from nested(inner)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=9))
def test_any_object_reads_as_counts_in_range_or_none(members: dict[str, Any]) -> None:
    usage = read_usage(json.dumps(members).encode())
    if usage is not None:  # numbers beyond a double's range are no JSON for anybody
        assert all(count is None or 0 <= count <= MAX_TOKEN_COUNT for count in counts(usage))
        assert all(getattr(usage, name) is None for name in usage.invalid if name in COUNT_NAMES)
        assert bool(usage.note) or not usage.invalid
        sent = {value for value in map(read_count, nested(members)) if value is not None}
        # Zeros, and OpenAI's thoughts, follow from the total.
        assert {count for count in counts(usage) if count} <= sent | {usage.thoughts}
        assert usage.service_tier is None or usage.service_tier == usage.service_tier.lower()


@given(st.binary(max_size=60))
@example(b'{"a":' * 100_000)
@example(b'{"promptTokensDetails":' + b"[" * 100_000)
@example(b"[" * 100_000)
@example(b"[{}, [[{}]], 7]")
@example(b'{"totalTokenCount": 1e999}')
@example(b'{"totalTokenCount": ' + b"9" * 9000 + b"}")
@example(b'{"serviceTier": "\\ud800"}')
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert read_usage(raw) is None or raw.lstrip()[:1] in (b"{", b"[")


def reading(*parts: int, **more: Any) -> dict[str, Any]:
    """A usage with these counts: prompt, candidates, thoughts, tool use, total."""
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    return dict(zip((*names, "totalTokenCount"), parts, strict=False)) | more


def text(tokens: int) -> list[dict[str, Any]]:
    return [{"modality": "TEXT", "tokenCount": tokens}]


# Recorded ones among them
CONTRADICTIONS = {
    "thoughts within the candidates": (reading(8, 79, 71, 0, 87), THOUGHTS_IN_OUTPUT),
    "a candidate within the thoughts": (
        reading(18, 1, 203, 0, 221),
        "the counts add up to 222, more than the total of 221: the total counts",
    ),
    "as many thoughts as candidates": (reading(8, 71, 71, 0, 79), THOUGHTS_IN_OUTPUT),
    "a total of what was read": (
        reading(10, 5, 0, 0, 10),
        "the counts add up to 15, more than the total of 10: the total counts",
    ),
    "thoughts beyond the total": (
        {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 12},
        "the counts add up to 15, more than the total of 12: the total counts",
    ),
    "all of it cached": (reading(20, 5, 0, 0, 25, cachedContentTokenCount=20), None),
    "details of no output": (
        {"candidatesTokenCount": 0, "candidatesTokensDetails": text(1)},
        "the details of the output add up to 1 tokens, more than its 0",
    ),
    "a total of less than was read": (
        reading(263, 35, 0, 0, 35),
        "the total of 35 is below prompt and tool use (263): the single counts count",
    ),
    "a total of nothing": (
        {"total_tokens": 0, "total_input_tokens": 0, "total_output_tokens": 160, "total_thought_tokens": 255},
        "the total is 0 beside 415 tokens: the single counts count",
    ),
    "a total of more than the counts": (
        reading(10, 5, 3, 0, 20),
        "the total has 2 tokens more than the counts together: they are charged as output",
    ),
    "a completion of more than the total": (
        {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 40},
        "the counts add up to 47, more than the total of 40: the total counts",
    ),
    "more cached than read": (
        reading(20, 5, 0, 0, 25, cachedContentTokenCount=50),
        "50 cached tokens are more than the 20 of the prompt",
    ),
    "details of the prompt": (
        reading(33, 2, 52, 0, 87, promptTokensDetails=text(155)),
        "the details of the prompt add up to 155 tokens, more than its 33",
    ),
    "details of the cached part": (
        reading(33, 2, 0, 0, 35, cachedContentTokenCount=5, cacheTokensDetails=text(6)),
        "the details of the cached part add up to 6 tokens, more than its 5",
    ),
    "details of the output": (
        reading(33, 2, 0, 0, 35, candidatesTokensDetails=text(1_003)),
        "the details of the output add up to 1,003 tokens, more than its 2",
    ),
    "details of the tool use": (
        reading(33, 2, 0, 4, 39, toolUsePromptTokensDetails=text(5)),
        "the details of the tool use add up to 5 tokens, more than its 4",
    ),
    "thoughts of v1, which are usual": (reading(10, 24) | {"totalTokenCount": 431}, None),
    "with details that have them": (
        reading(10, 24, candidatesTokensDetails=text(421)) | {"totalTokenCount": 431},
        None,
    ),
    "details that leave out some": (reading(30, 2, 0, 0, 32, promptTokensDetails=text(20)), None),
    "details of what has no count": ({"promptTokensDetails": text(20)}, None),
    "no total": (reading(30, 2, 3), None),
}


@cases(("members", "note"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_what_contradicts_itself_is_kept_and_noted(members: dict[str, Any], note: str | None) -> None:
    usage = usage_of(**members)
    assert (usage.note, usage.invalid) == (note, ())
    known = [count for count in counts(usage) if count]
    assert set(known) <= {value for value in members.values() if isinstance(value, int)}


# What was sent, which counts are unknown for it, and the words for it.
FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...], str | None]] = {
    "negative": (
        {"promptTokenCount": -5},
        ("prompt",),
        "promptTokenCount is -5, which is no count of tokens",
    ),
    "behind what nobody knows, and what is not set": (
        {"trafficType": "ON_DEMAND", "totalTokenCount": None, "promptTokenCount": -5},
        ("prompt",),
        "promptTokenCount is -5, which is no count of tokens",
    ),
    "fractional": (
        {"candidatesTokenCount": 12.5},
        ("output",),
        "candidatesTokenCount is 12.5, which is no count of tokens",
    ),
    "too large": (
        {"totalTokenCount": 2**53 + 1},
        ("total",),
        "totalTokenCount is 9007199254740993, which is no count of tokens",
    ),
    "letters": (
        {"thoughtsTokenCount": "many"},
        ("thoughts",),
        'thoughtsTokenCount is "many", which is no count of tokens',
    ),
    "nested": (
        {"cachedContentTokenCount": {"tokens": [1, 2]}},
        ("cached",),
        'cachedContentTokenCount is {"tokens": [1, 2]}, which is no count of tokens',
    ),
    "true": (
        {"toolUsePromptTokenCount": True},
        ("tool",),
        "toolUsePromptTokenCount is true, which is no count of tokens",
    ),
    "no list of details": (
        {"promptTokensDetails": {"modality": "TEXT"}},
        ("prompt_details",),
        'promptTokensDetails is {"modality": "TEXT"}, which is no list of counts by modality',
    ),
    "details of no counts": (
        {"cacheTokensDetails": [{"modality": "TEXT", "tokenCount": -1}]},
        ("cached_details",),
        'cacheTokensDetails is [{"modality": "TEXT", "tokenCount": -1}], '
        "which is no list of counts by modality",
    ),
    "a tier that is none": ({"serviceTier": [1]}, ("service_tier",), "serviceTier is [1], which is no tier"),
    "of an interaction": (
        {"total_input_tokens": "x", "output_tokens_by_modality": ["text"]},
        ("prompt", "output_details"),
        'total_input_tokens is "x", which is no count of tokens; '
        'output_tokens_by_modality is ["text"], which is no list of counts by modality',
    ),
    "in OpenAI's form": (
        {"prompt_tokens": 5, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": -1}},
        ("output", "cached"),
        "completion_tokens is -1, which is no count of tokens; "
        'prompt_tokens_details is {"cached_tokens": -1}, where cached_tokens is no count of tokens',
    ),
    "details that are no object": (
        {"prompt_tokens": 5, "completion_tokens_details": 7},
        ("thoughts",),
        "completion_tokens_details is 7, where reasoning_tokens is no count of tokens",
    ),
    "what does not matter": ({"total_input_tokens": 5, "raw_prompt_token": "x"}, (), None),
    "numbers as strings": ({"promptTokenCount": "5", "totalTokenCount": 5.0}, (), None),
    "details of numbers as strings": (
        {"promptTokensDetails": [{"modality": 1, "tokenCount": "5"}]},
        (),
        None,
    ),
    "an empty object of details": (
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": None}},
        (),
        None,
    ),
}


@cases(("members", "invalid", "note"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_no_count_is_unknown_and_named(
    members: dict[str, Any], invalid: tuple[str, ...], note: str | None
) -> None:
    usage = usage_of(**members)
    assert usage.invalid == invalid
    assert all(not getattr(usage, name) for name in invalid)
    assert usage.note == (note and "; ".join(shortened(fault) for fault in note.split("; ")))


def shortened(fault: str) -> str:
    name, _, rest = fault.partition(" is ")
    value, comma, why = rest.rpartition(", wh")
    return f"{name} is {value if len(value) <= MAX_SHOWN else value[: MAX_SHOWN - 1] + '…'}{comma}{why}"


@pytest.mark.parametrize("filling", ["x" * 5_000_000, "x" * MAX_USAGE_BYTES])
def test_a_usage_of_megabytes_is_not_read(filling: str) -> None:
    usage = usage_of(promptTokenCount=5, totalTokenCount=5, filling=filling)
    assert (counts(usage), usage.invalid) == ((None,) * 6, ("usage",))
    assert usage.note is not None
    assert "bytes, more than any call's" in usage.note


@pytest.mark.parametrize(
    ("turn", "note"),
    [
        (b"7", "the reported usage is 7, which is no object"),
        (b'[{"promptTokenCount": 1}]', 'the reported usage is [{"promptTokenCount": 1}], which is no object'),
        (b'{"promptTokenCount": 1e999}', "the reported usage cannot be read as JSON"),
    ],
)
def test_a_turn_without_a_usage_leaves_the_sum_unknown(turn: bytes, note: str) -> None:
    usage = read_usage(b'[{"promptTokenCount": 5}, %b, {"promptTokenCount": 5}]' % turn)
    assert usage
    assert (counts(usage), usage.invalid, usage.note) == ((None,) * 6, ("usage",), note)
    assert read_usage(b"[%b]" % turn) == Usage(invalid=("usage",), note=note)


def test_what_is_unknown_of_one_turn_is_unknown_of_all() -> None:
    usage = read_usage(b'[{"promptTokenCount": 5, "responseTokenCount": 3}, {"promptTokenCount": -5}]')
    assert usage
    assert (usage.prompt, usage.output, usage.invalid) == (None, 3, ("prompt",))
    assert usage.note == "promptTokenCount is -5, which is no count of tokens"


PART = st.none() | st.integers(0, 10_000)


@given(st.tuples(PART, PART, PART, PART), st.none() | st.integers(0, 20_000), st.booleans())
def test_reported_counts_are_kept_and_the_others_are_proved_or_unknown(
    parts: tuple[int | None, int | None, int | None, int | None], total: int | None, fits: bool
) -> None:
    if fits:
        total = sum(part or 0 for part in parts)
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    usage = usage_of(totalTokenCount=total, **dict(zip(names, parts, strict=True)))
    found = (usage.prompt, usage.output, usage.thoughts, usage.tool)
    unreported = 0 if sum(part or 0 for part in parts) == total else None
    assert found == tuple(unreported if part is None else part for part in parts)
    assert (usage.cached, usage.total) == (None, total)


def last_usage(body: str) -> dict[str, Any] | None:
    """The last `usageMetadata` of a recorded answer: a JSON object, an array of them, or SSE."""
    try:
        whole = json.loads(body)
    except ValueError:
        whole = list(sse_events(body))
    events = [event for event in (whole if isinstance(whole, list) else [whole]) if isinstance(event, dict)]
    found = [event["usageMetadata"] for event in events if "usageMetadata" in event]
    return found[-1] if found else None


def sse_events(body: str) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith("data:"):
            try:
                yield json.loads(line[5:])
            except ValueError:
                continue


def recorded() -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Rows of the index with the usage that they are about."""
    folder = Path(RECORDINGS)
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        index = {row["id"]: row for row in csv.DictReader(file)}
    with (folder / "recorded.jsonl").open(encoding="utf-8") as file:
        for exchange in map(json.loads, file):
            members = last_usage(str(exchange["response"].get("body") or ""))
            if members is not None and exchange["surface"] in ("unary", "stream", "embed"):
                yield index[exchange["id"]], members


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recordings")
def test_recorded_answers_read_as_their_index_says() -> None:
    columns = ("prompt", "cached", "candidates", "thoughts", "tool_use", "total")
    compared = 0
    for row, members in recorded():
        usage = usage_of(**members)
        for column, found in zip(columns, counts(usage), strict=True):
            provable = column not in ("cached", "total") and found == 0
            assert str(found) == row[column] or (not row[column] and (found is None or provable)), row["id"]
        assert (usage.service_tier or "") == row["service_tier"], row["id"]
        compared += 1
    assert compared > 1000


def test_a_sum_is_written_as_it_is_read():
    usage = Usage(
        prompt=30,
        cached=4,
        output=5,
        thoughts=6,
        tool=7,
        total=48,
        service_tier="flex",
        prompt_details=(("text", 20), ("audio", 10)),
        cached_details=(("text", 4),),
        output_details=(("audio", 5),),
        tool_details=(("text", 7),),
    )
    assert read_usage(encode_usage(usage)) == usage
