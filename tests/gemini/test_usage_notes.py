"""What is said of a usage that contradicts itself, or that has values of another kind beside valid ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.gemini.token_usage import Usage, add_usages, encode_usage
from gatekeeper.gemini.usage import (
    MAX_USAGE_BYTES,
    NO_TOKENS,
    PROMPT_UNDER_REPORTED,
    USUAL_OVERHEAD,
    read_usage,
)
from gatekeeper.gemini.usage_faults import THOUGHTS_OUTSIDE_TOTAL


def read(value: object) -> Usage:
    usage = read_usage(json.dumps(value, ensure_ascii=False).encode())
    assert usage is not None
    return usage


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "counts above the total": (
        {"candidatesTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 10},
        "the counts add up to 12, more than the total of 10: the total counts",
    ),
    "a total below what was read": (
        {
            "promptTokenCount": 9,
            "toolUsePromptTokenCount": 3,
            "candidatesTokenCount": 1,
            "totalTokenCount": 11,
        },
        "the total of 11 is below prompt and tool use (12): the single counts count",
    ),
    "two at once": (
        {
            "promptTokenCount": 3,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 1,
            "totalTokenCount": 4,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        },
        "4 cached tokens are more than the 3 of the prompt; "
        "the details of the prompt add up to 5 tokens, more than its 3",
    ),
    "a total that has no room for the output": (
        {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 9},
        "the counts add up to 12, more than the total of 9: the total counts",
    ),
    "a total of no prompt": (
        {"candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 1},
        "the counts add up to 3, more than the total of 1: the total counts",
    ),
    "a cached part without its count": (
        {
            "promptTokenCount": 3,
            "candidatesTokenCount": 1,
            "totalTokenCount": 4,
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 2}],
        },
        "the details of the cached part add up to 2 tokens, more than its 0",
    ),
    "none, all of the prompt is cached": (
        {
            "promptTokenCount": 3,
            "cachedContentTokenCount": 3,
            "candidatesTokenCount": 1,
            "totalTokenCount": 4,
        },
        None,
    ),
    "none": ({"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4}, None),
}  # fmt: skip


@cases("name", CONTRADICTIONS)
def test_each_contradiction_is_noted(name: str) -> None:
    members, note = CONTRADICTIONS[name]
    assert read(members).note == note


@pytest.mark.parametrize("more", [{}, {"completion_tokens": 0}, {"total_tokens": None}])
def test_no_tokens_at_all_are_no_count(more: dict[str, Any]) -> None:
    assert read({"prompt_tokens": 0, "total_tokens": 0} | more) == Usage(note=NO_TOKENS)
    for some in ({"completion_tokens": 1, "total_tokens": 1}, {"completion_tokens": 1}, {"total_tokens": 1}):
        assert read({"prompt_tokens": 0} | some).note is None


def test_candidates_come_before_live_s_word_for_them() -> None:
    assert read({"promptTokenCount": 1, "candidatesTokenCount": 2, "responseTokenCount": 3}).output == 2


@cases(
    ("prompt", "hidden", "noted"),
    [(0, USUAL_OVERHEAD + 1, True), (1, USUAL_OVERHEAD, False), (500, 500, False), (500, 501, True)],
)
def test_a_prompt_that_hides_more_than_the_usual_is_noted(prompt: int, hidden: int, noted: bool) -> None:
    found = read({"total_input_tokens": prompt, "raw_prompt_token": prompt + hidden})
    assert found.note == (PROMPT_UNDER_REPORTED if noted else None)


BESIDE_INVALID: dict[str, tuple[dict[str, Any], Usage]] = {
    "a tier": (
        {"promptTokenCount": "x", "candidatesTokenCount": 3, "serviceTier": "FLEX"},
        Usage(output=3, service_tier="flex", invalid=("prompt",)),
    ),
    "OpenAI's cached tokens": (
        {"prompt_tokens": -1, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}},
        Usage(output=3, cached=5, invalid=("prompt",)),
    ),
    "OpenAI's details without what counts": (
        {"prompt_tokens": -1, "completion_tokens": 3, "prompt_tokens_details": {"audio_tokens": 5}},
        Usage(output=3, invalid=("prompt",)),
    ),
    "the modalities of an interaction": (
        {
            "total_input_tokens": 3,
            "total_output_tokens": [],
            "input_tokens_by_modality": [{"modality": "audio", "tokens": 3}],
        },
        Usage(prompt=3, prompt_details=(("audio", 3),), invalid=("output",)),
    ),
    "details": (
        {
            "promptTokenCount": 3,
            "candidatesTokenCount": {},
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}, {"modality": "TEXT"}],
        },
        Usage(prompt=3, prompt_details=(("audio", 3),), invalid=("output",)),
    ),
}


@cases("name", BESIDE_INVALID)
def test_what_is_valid_beside_an_invalid_count_is_kept(name: str) -> None:
    members, expected = BESIDE_INVALID[name]
    found = read(members)
    assert found.note
    assert found == Usage(
        **{**{f: getattr(expected, f) for f in expected.__struct_fields__}, "note": found.note}
    )


def test_the_note_shows_what_was_sent_as_it_was() -> None:
    note = read({"promptTokenCount": "zwölf", "candidatesTokenCount": 1}).note
    assert note == 'promptTokenCount is "zwölf", which is no count of tokens'
    # Cut within a character
    assert "which is no object" in (read(["é" * 5000, {"promptTokenCount": 1}]).note or "")


def test_a_usage_of_the_largest_size_is_read() -> None:
    raw = b'{"promptTokenCount": 7}'
    padded = raw + b" " * (MAX_USAGE_BYTES - len(raw))
    found, beyond = read_usage(padded), read_usage(padded + b" ")
    assert found
    assert beyond
    assert (found.prompt, beyond.prompt, beyond.invalid) == (7, None, ("usage",))


LEFT_OUT = {"responseTokenCount": 42, "thoughtsTokenCount": 5}


@pytest.mark.parametrize("more", [{}, {"promptTokenCount": 7}, {"toolUsePromptTokenCount": 7}])
def test_a_sum_whose_totals_leave_thoughts_out_is_written_as_one_that_does(more: dict[str, int]) -> None:
    turn = read({**LEFT_OUT, **more, "totalTokenCount": 42 + sum(more.values())})
    total = add_usages([turn, turn])
    assert total
    assert (total.total, total.outside_total, total.note) == (
        2 * (turn.total or 0),
        10,
        THOUGHTS_OUTSIDE_TOTAL,
    )
    again = read_usage(encode_usage(total))
    assert again
    assert (again.total, again.outside_total, again.note) == (total.total, 10, THOUGHTS_OUTSIDE_TOTAL)


def test_a_total_that_the_counts_do_not_make_up_proves_no_zeros() -> None:
    found = read({"total_input_tokens": 5, "total_tokens": 9})
    assert (found.prompt, found.output, found.thoughts, found.tool) == (5, None, None, None)
    found = read({"total_input_tokens": 5, "total_tokens": 5})
    assert (found.prompt, found.output, found.thoughts, found.tool) == (5, 0, 0, 0)


def test_a_total_of_0_leaves_out_all_that_was_counted() -> None:
    found = read({"total_input_tokens": 5, "total_output_tokens": 3, "total_tokens": 0})
    assert (found.total, found.outside_total) == (0, 8)
