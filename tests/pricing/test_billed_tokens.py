"""From usage to tokens by price component: every rule, and what holds whatever the counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.json_values import Details
from gatekeeper.gemini.token_usage import Usage, add_usages
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.billed_tokens import (
    MODALITIES,
    UnpricedError,
    billed_output_tokens,
    embedding_components,
    generation_components,
    live_components,
)


@cases(
    ("usage", "expected"),
    [
        pytest.param(Usage(prompt=10, output=24, total=431), 421, id="v1 leaves thoughts out"),
        pytest.param(
            Usage(prompt=8, output=79, thoughts=71, total=87), 79, id="thoughts are in the candidates"
        ),
        pytest.param(Usage(prompt=18, output=1, thoughts=203, total=221), 203, id="so are they on 3.5 Flash"),
        pytest.param(
            Usage(prompt=31, output=12, thoughts=48, tool=981, total=1072), 60, id="tool use is no output"
        ),
        pytest.param(Usage(prompt=31, output=12, total=1072), 1041, id="tool use left out falls into output"),
        pytest.param(Usage(prompt=30, total=30), 0, id="the total proves that there was none"),
        pytest.param(Usage(prompt=40, output=15, thoughts=5), 20, id="no total"),
        pytest.param(Usage(prompt=40, thoughts=5), 5, id="no total, only thoughts"),
        pytest.param(Usage(prompt=263, output=35, total=35), 35, id="a total below the prompt"),
        pytest.param(Usage(prompt=5, output=3, tool=9, total=12), 3, id="a total below prompt and tool use"),
    ],
)
def test_the_total_is_the_arbiter_of_output(usage: Usage, expected: int) -> None:
    assert billed_output_tokens(usage) == expected
    assert generation_components(usage).get("output_text", 0) == expected


@cases(
    ("usage", "reason"),
    [
        (Usage(), "no promptTokenCount"),
        (Usage(output=5, total=9), "no promptTokenCount"),
        (Usage(prompt=5), "neither a total nor candidates nor thoughts"),
        (Usage(prompt=5, total=4), "neither a total nor candidates nor thoughts"),
        (Usage(prompt=5, total=9, cached=6, prompt_details=(("text", 5),)), "more cached tokens"),
        (Usage(prompt=5, total=9, cached=6), "more cached text tokens"),
        (
            Usage(prompt=5, total=9, cached=2, cached_details=(("audio", 2),), prompt_details=(("text", 5),)),
            "more cached audio",
        ),
        (
            Usage(prompt=5, total=9, cached=1, cached_details=(("audio", 1),), prompt_details=(("text", 5),)),
            "more cached audio",
        ),
        (
            Usage(prompt=5, total=9, prompt_details=(("text", 4), ("audio", 2))),
            "details of the prompt tokens",
        ),
        (
            Usage(prompt=5, total=9, output_details=(("text", 4), ("image", 2))),
            "details of the candidates tokens",
        ),
        (
            Usage(prompt=5, total=9, tool=1, tool_details=(("text", 1), ("image", 2))),
            "details of the tool-use tokens",
        ),
        (
            Usage(prompt=5, total=9, cached=1, cached_details=(("text", 1), ("image", 2))),
            "details of the cached tokens",
        ),
    ],
)
def test_counts_that_leave_the_cost_open_have_none(usage: Usage, reason: str) -> None:
    with pytest.raises(UnpricedError, match=reason):
        generation_components(usage)


def test_output_without_details_is_what_the_model_puts_out() -> None:
    usage = Usage(prompt=5, total=9)
    assert generation_components(usage, {"output_audio"}) == {"input_text": 5, "output_audio": 4}
    for priced in ({"output_audio", "output_text"}, {"output_image"}, ()):
        assert generation_components(usage, priced) == {"input_text": 5, "output_text": 4}


def test_what_the_total_leaves_out_is_output_too() -> None:
    assert billed_output_tokens(Usage(prompt=5, output=2, thoughts=3, total=7, outside_total=3)) == 5


def test_an_embedding_needs_its_prompt_count() -> None:
    assert embedding_components(Usage(prompt=261, prompt_details=(("text", 3), ("image", 258)))) == {
        "embedding_input_text": 3,
        "embedding_input_image": 258,
    }
    with pytest.raises(UnpricedError, match="no promptTokenCount"):
        embedding_components(Usage(total=4))


def nonzero(usage: Usage, *priced: str) -> dict[str, int]:
    return {name: n for name, n in generation_components(usage, priced).items() if n}


TEXT_AND_AUDIO: Details = (("text", 20), ("audio", 80))


@cases(
    ("usage", "expected"),
    [
        pytest.param(Usage(prompt=9, total=9), {"input_text": 9}, id="no details at all: text"),
        pytest.param(
            Usage(prompt=9, total=9, prompt_details=(("document", 5), ("image", 2))),
            {"input_image": 7, "input_text": 2},
            id="a document is an image, what details leave out is text",
        ),
        pytest.param(
            Usage(prompt=33, total=33, prompt_details=(("audio", 155),)),
            {"input_audio": 33},
            id="details of one modality never make up more than the count",
        ),
        pytest.param(
            Usage(prompt=10, total=10, prompt_details=(("smell", 4),)),
            {"input_smell": 4, "input_text": 6},
            id="a modality of the future keeps its name",
        ),
        pytest.param(
            Usage(
                prompt=100,
                total=100,
                cached=90,
                prompt_details=TEXT_AND_AUDIO,
                cached_details=(("audio", 80),),
            ),
            {"input_text": 10, "cached_audio": 80, "cached_text": 10},
            id="cached instead of input, by modality",
        ),
        pytest.param(
            Usage(prompt=100, total=100, cached=50, prompt_details=TEXT_AND_AUDIO),
            {"input_audio": 50, "cached_text": 20, "cached_audio": 30},
            id="cached without details: text first",
        ),
        pytest.param(
            Usage(
                prompt=60,
                total=60,
                cached=35,
                prompt_details=(("audio", 20), ("document", 20), ("video", 20)),
            ),
            {"input_audio": 20, "input_video": 5, "cached_image": 20, "cached_video": 15},
            id="then image, video, audio",
        ),
        pytest.param(
            Usage(prompt=60, total=60, cached=50, cached_details=(("audio", 40),)),
            {"input_text": 10, "cached_audio": 40, "cached_text": 10},
            id="details of the cached tokens only: the prompt has what they have",
        ),
        pytest.param(
            Usage(
                prompt=31,
                total=1012,
                tool=981,
                prompt_details=(("text", 31),),
                tool_details=(("image", 900),),
            ),
            {"input_text": 112, "input_image": 900},
            id="tool use is input",
        ),
        pytest.param(
            Usage(prompt=1, total=1303, output=1302, output_details=(("image", 1290),)),
            {"input_text": 1, "output_image": 1290, "output_text": 12},
            id="pictures and what was said about them",
        ),
    ],
)
def test_tokens_go_to_their_components(usage: Usage, expected: dict[str, int]) -> None:
    assert nonzero(usage) == expected


@cases(
    ("usage", "component"),
    [
        (Usage(prompt=10, output=5, total=15, thoughts=0), "output_text_not_thinking"),
        (Usage(prompt=10, output=5), "output_text_not_thinking"),
        (Usage(prompt=10, output=2, thoughts=3, total=15), "output_text_thinking"),
        (Usage(prompt=10, output=5, thoughts=3, total=15), "output_text_thinking"),
        (Usage(prompt=10, output=2, total=15), "output_text_thinking"),
    ],
)
def test_all_output_of_a_call_that_thought_is_at_the_thinking_price(usage: Usage, component: str) -> None:
    assert nonzero(usage, "output_text_thinking") == {"input_text": 10, component: 5}


def test_a_call_without_text_output_has_no_thinking_price() -> None:
    usage = Usage(prompt=1, total=9, output_details=(("audio", 8),))
    assert nonzero(usage, "output_text_thinking") == {"input_text": 1, "output_audio": 8}


COUNT = st.integers(0, 1000)
DETAILS = st.lists(st.tuples(st.sampled_from([*MODALITIES, "document"]), st.integers(1, 400)), max_size=3)
USAGES = st.builds(
    Usage,
    prompt=COUNT,
    cached=st.none() | COUNT,
    output=st.none() | COUNT,
    thoughts=st.none() | COUNT,
    tool=st.none() | COUNT,
    total=st.none() | st.integers(0, 3000),
    prompt_details=DETAILS.map(tuple),
    cached_details=DETAILS.map(tuple),
    output_details=DETAILS.map(tuple),
    tool_details=DETAILS.map(tuple),
)


@settings(max_examples=examples(40))
@given(USAGES, st.booleans())
def test_every_token_is_in_exactly_one_component_or_there_is_no_cost(usage: Usage, thinking: bool) -> None:
    try:
        tokens = generation_components(usage, {"output_text_thinking"} if thinking else ())
    except UnpricedError:
        return
    assert all(count >= 0 for count in tokens.values())
    spent = {
        kind: sum(n for name, n in tokens.items() if name.startswith(kind))
        for kind in ("input", "cached", "output")
    }
    assert spent == {
        "input": (usage.prompt or 0) - (usage.cached or 0) + (usage.tool or 0),
        "cached": usage.cached or 0,
        "output": billed_output_tokens(usage),
    }


@given(COUNT, DETAILS.map(tuple))
def test_details_that_fit_are_believed_to_the_token(prompt: int, details: Details) -> None:
    covered = sum(count for _, count in details)
    tokens = embedding_components(Usage(prompt=covered + prompt, prompt_details=details))
    for modality in ("video", "audio"):
        said = sum(count for name, count in details if name == modality)
        assert tokens.get(f"embedding_input_{modality}", 0) == said
    assert sum(tokens.values()) == covered + prompt


KNOWN = Usage(prompt=10, output=5, total=15)


@cases("invalid", ["usage", "prompt", "cached", "tool", "total", "prompt_details", "output"])
def test_a_count_that_is_none_leaves_the_call_unpriced(invalid: str) -> None:
    total = None if invalid in ("total", "output") else KNOWN.total
    usage = Usage(prompt=10, output=5, total=total, invalid=(invalid,))
    for components in (generation_components, live_components):
        with pytest.raises(UnpricedError, match="no count"):
            components(usage)


@pytest.mark.parametrize("invalid", ["output", "thoughts"])
def test_beside_a_total_output_that_is_no_count_does_not_matter(invalid: str) -> None:
    usage = Usage(prompt=10, output=5, total=15, invalid=(invalid,))
    assert generation_components(usage) == generation_components(KNOWN)
    assert live_components(usage) == live_components(KNOWN)


@pytest.mark.parametrize("invalid", ["usage", "prompt", "prompt_details"])
def test_of_an_embedding_only_the_prompt_matters(invalid: str) -> None:
    assert embedding_components(Usage(prompt=10, invalid=("output",))) == {"embedding_input_text": 10}
    with pytest.raises(UnpricedError, match="no count"):
        embedding_components(Usage(prompt=10, invalid=(invalid,)))


def test_a_total_of_0_beside_other_counts_leaves_them_out() -> None:
    usage = read_usage(b'{"total_tokens": 0, "total_input_tokens": 7, "total_output_tokens": 160}')
    assert usage
    assert billed_output_tokens(usage) == 160
    twice = add_usages([usage, usage])
    assert twice
    assert billed_output_tokens(twice) == 320
