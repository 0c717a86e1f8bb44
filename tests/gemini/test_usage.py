"""`usageMetadata` objects as Google writes them, and as nobody should."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatekeeper.gemini.token_counts import MAX_TOKEN_COUNT
from gatekeeper.gemini.usage import (
    PROMPT_UNDER_REPORTED,
    THOUGHTS_BESIDE_TOTAL,
    Usage,
    encode_usage,
    read_usage,
)

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
@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"[7]", b"[", b'"x"', b"7", b"{", b'{"total', b"\xff", b'{"serviceTier": "\xff"}'],
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


@pytest.mark.parametrize(
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
        pytest.param(
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 40},
            (35, None, 12, None, None, 40),
            id="a contradiction stays",
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


def test_what_is_wrong_with_the_reported_counts_is_noted() -> None:
    # A receipt of gemini-3.8-live
    live = usage_of(promptTokenCount=522, responseTokenCount=42, totalTokenCount=564, thoughtsTokenCount=136)
    assert (counts(live), live.note) == ((522, None, 42, 136, None, 564), THOUGHTS_BESIDE_TOTAL)
    # A follow-up by previous_interaction_id
    follow_up = usage_of(total_input_tokens=11, raw_prompt_token=24_750)
    assert (follow_up.prompt, follow_up.note) == (11, PROMPT_UNDER_REPORTED)
    assert usage_of(total_input_tokens=11, raw_prompt_token=11).note is None
    both = read_usage(b'[{"total_input_tokens": 1, "raw_prompt_token": 2}, {"total_input_tokens": 1}]')
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
        "no usage",
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


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=9))
def test_any_object_reads_as_counts_in_range_or_none(members: dict[str, Any]) -> None:
    usage = read_usage(json.dumps(members).encode())
    if usage is not None:  # numbers beyond a double's range are no JSON for anybody
        assert all(count is None or 0 <= count <= MAX_TOKEN_COUNT for count in counts(usage))
        assert usage.service_tier is None or usage.service_tier == usage.service_tier.lower()


@settings(max_examples=150, deadline=None)
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


PART = st.none() | st.integers(0, 10_000)


@settings(max_examples=100, deadline=None)
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
