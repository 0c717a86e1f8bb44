"""StreamCost: what it says of each event of a stream is what that event's usage costs, calculated anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rig.examples import examples

from gatekeeper.gemini.usage import read_stream_usage, read_usage
from gatekeeper.pricing.stream_cost import StreamCost
from gatekeeper.pricing.worst_case import worst_case
from gatekeeper.startup import load_catalogue

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
COUNTS = st.integers(0, 300_000)
SHIPPED = load_catalogue()
MODELS = sorted({name for model in SHIPPED.models() for name in model.ids if "*" not in name})


def calculated(model: str, action: str, usage: bytes) -> int:
    return worst_case(
        SHIPPED, model=model, model_version=None, usage=read_usage(usage), at=AT, tier="standard",
        action=action, request_bytes=None,
    ).pico  # fmt: skip


# Made once: to make a strategy takes longer than to draw from it.
CHANGES = st.lists(st.booleans(), min_size=1, max_size=8)
CHANGED = st.sampled_from(["promptTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"])
OUTPUT, THOUGHTS = st.integers(0, 100_000), st.sampled_from([0, 0, 7, 2_000])
EITHER = st.booleans()


@st.composite
def usages(draw: st.DrawFn) -> list[bytes]:
    """Those of a stream's events: mostly only the output grows, and sometimes something else changes."""
    reported: dict[str, Any] = {"promptTokenCount": draw(COUNTS)}
    events: list[bytes] = []
    for changes in draw(CHANGES):
        if changes:
            reported[draw(CHANGED)] = draw(COUNTS)
            if draw(EITHER):
                prompt = {"modality": "TEXT", "tokenCount": draw(COUNTS)}
                reported["promptTokensDetails"] = [prompt, {"modality": "AUDIO", "tokenCount": draw(COUNTS)}]
        reported["candidatesTokenCount"] = draw(OUTPUT)
        reported["thoughtsTokenCount"] = draw(THOUGHTS)
        counted = sum(
            reported.get(f"{name}TokenCount", 0)
            for name in ("prompt", "candidates", "thoughts", "toolUsePrompt")
        )
        events.append(json.dumps({**reported, "totalTokenCount": counted}).encode())
    return events


@settings(max_examples=examples(60))
@given(
    st.sampled_from([*MODELS, "gemini-unheard-of"]),
    st.sampled_from(["streamGenerateContent", "live"]),
    usages(),
)
def test_each_event_costs_what_its_usage_costs(model: str, action: str, events: list[bytes]) -> None:
    stream = StreamCost()
    for usage in events:
        if (found := read_stream_usage(usage)) is not None:
            at = stream.at(found.output, found.rest, lambda usage=usage: calculated(model, action, usage))
            assert at == calculated(model, action, usage)


def test_two_costs_are_enough() -> None:
    asked: list[int] = []

    def at(output: int, rest: str) -> int:
        return stream.at(output, rest, lambda: asked.append(output) or 100 + 3 * output)

    stream = StreamCost()
    assert [at(output, "a") for output in (5, 5, 9, 20, 7)] == [115, 115, 127, 160, 121]
    assert asked == [5, 9]
    assert [at(output, "b") for output in (1, 2, 3)] == [103, 106, 109]
    assert asked == [5, 9, 1, 2]
