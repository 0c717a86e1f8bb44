"""The usage of several turns as one: every count, and what is billed of it."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from rig.examples import examples

from gatekeeper.gemini.token_usage import Usage, add_usages, encode_usage
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.billed_tokens import UnpricedError, billed_output_tokens


def test_each_note_is_kept_once() -> None:
    total = add_usages([Usage(note="one; two"), Usage(), Usage(note="one"), Usage(note="two; three")])
    assert total is not None
    assert total.note == "one; two; three"


COUNT = st.integers(0, 1000)
# Made once: to make a strategy takes longer than to draw from it.
NONE_OR_COUNT = st.none() | COUNT
TOTAL = st.none() | st.just("what was read") | st.integers(0, 3000)
BESIDE = st.sampled_from([0, 5])
FROM_1 = st.integers(1, 1000)
NONE_SO_OFTEN = st.just(0) | COUNT
EITHER = st.booleans()


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Of one turn; its total is also below, at and just above what the turn has read."""
    counts = {name: draw(NONE_OR_COUNT) for name in ("output", "thoughts", "tool")}
    prompt, beside = draw(COUNT), 0
    read = prompt + (counts["tool"] or 0)
    drawn = draw(TOTAL)
    total = read if isinstance(drawn, str) else drawn
    # Only a total that is otherwise in order can leave something out.
    if total is not None and total >= read:
        beside = draw(BESIDE)
    return Usage(prompt=prompt, total=total, outside_total=beside, **counts)


def billed(usage: Usage | None) -> int:
    assert usage is not None
    return billed_output_tokens(usage)


@settings(max_examples=examples(25))
@given(st.lists(usages(), min_size=1, max_size=4))
def test_what_turns_are_billed_for_adds_up(turns: list[Usage]) -> None:
    try:
        single = [billed(usage) for usage in turns]
    except UnpricedError:
        return
    assert billed(add_usages(turns)) == sum(single)


@st.composite
def live_turns(draw: st.DrawFn) -> bytes:
    """As the Live API reports one: its total counts thoughts, leaves them out, or is missing."""
    counts = {
        "promptTokenCount": draw(COUNT),
        "responseTokenCount": draw(FROM_1),
        "toolUsePromptTokenCount": draw(NONE_SO_OFTEN),
    }
    thoughts = draw(NONE_SO_OFTEN)
    total = sum(counts.values()) + (thoughts if draw(EITHER) else 0)
    reported = {
        **counts,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": total if draw(EITHER) else 0,
    }
    return json.dumps({name: count for name, count in reported.items() if count}).encode()


@settings(max_examples=examples(25))
@given(st.lists(live_turns(), min_size=2, max_size=4))
def test_a_session_is_read_from_its_sum_as_from_its_turns(turns: list[bytes]) -> None:
    usages = [usage for turn in turns if (usage := read_usage(turn))]
    total = add_usages(usages)
    assert total is not None
    again = read_usage(encode_usage(total))
    try:
        expected = sum(billed(usage) for usage in usages)
    except UnpricedError:
        return
    assert billed(again) == expected


def test_thoughts_of_a_turn_without_output_and_total_are_in_the_sum() -> None:
    turns = (
        b'{"promptTokenCount": 7, "totalTokenCount": 7}',
        b'{"thoughtsTokenCount": 3}',
    )
    total = add_usages([usage for turn in turns if (usage := read_usage(turn))])
    assert total
    assert billed(read_usage(encode_usage(total))) == billed(total) == 3


@settings(max_examples=examples(25))
@given(st.lists(usages(), min_size=2, max_size=5), st.integers(1, 4))
def test_a_sum_is_added_to_as_its_parts_are(turns: list[Usage], place: int) -> None:
    before = add_usages(turns[:place])
    assert before is not None
    assert add_usages([before, *turns[place:]]) == add_usages(turns)
