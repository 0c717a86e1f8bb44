"""What holds of every cost, over all models and tiers of the shipped price list, from the bytes of a response
to the sum.

A cost is monotonic in this sense: another token of the prompt, of the output, of thoughts or of tool use, or
another unit, never makes a call cheaper, if the total counts it too, or there is no total. A token that the
total does not count moves from one component to another instead: `totalTokenCount` is the arbiter of output.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.gemini.meter import meter_for
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.price_components import unit_of
from gatekeeper.pricing.quote import Quote, quote
from gatekeeper.pricing.tariff import MODALITIES, TIERS
from gatekeeper.startup import load_catalogue

DAY = date(2026, 11, 24)
ALWAYS_REPORTED = ("promptTokenCount", "candidatesTokenCount")
PROPERTY = settings(max_examples=80, deadline=None)
SHIPPED = load_catalogue()


class Priced(NamedTuple):
    """A model that generates text in a tier, and what it has a price for."""

    model: str
    tier: str
    components: frozenset[str]

    def quote(self, usage: dict[str, Any], **units: int) -> Quote:
        return self.quote_bytes(json.dumps(usage).encode(), **units)

    def quote_bytes(self, usage: bytes, **units: int) -> Quote:
        return quote(
            SHIPPED,
            model=self.model,
            model_version=None,
            usage=read_usage(usage),
            at=datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC),
            tier=self.tier,
            action="generateContent",
            billed_units=units,
        )

    def cost(self, usage: dict[str, Any], **units: int) -> int:
        found = self.quote(usage, **units)
        assert found.cost_pico is not None, found.notes
        return found.cost_pico


@cache
def models() -> list[Priced]:
    """One id of each entry; both contexts have prices for the same components."""
    return [
        Priced(name, tier, frozenset(tariff.prices))
        for entry in SHIPPED.models()
        for name in entry.ids[:1]
        for tier in TIERS
        if "*" not in name and (tariff := entry.tariff(tier, DAY, 1)) and "input_text" in tariff.prices
        if {"output_text", "output_text_thinking"} & tariff.prices.keys()
    ]


class Spent(NamedTuple):
    """The tokens of a call: `fresh` and `cached` ones of the prompt by modality."""

    fresh: dict[str, int]
    cached: dict[str, int]
    output: int
    thoughts: int
    tool: int

    def usage(self, *, has_total: bool) -> dict[str, Any]:
        prompt = {
            name: self.fresh.get(name, 0) + self.cached.get(name, 0) for name in {**self.fresh, **self.cached}
        }
        counts = {
            "promptTokenCount": sum(prompt.values()),
            "cachedContentTokenCount": sum(self.cached.values()),
            "candidatesTokenCount": self.output,
            "thoughtsTokenCount": self.thoughts,
            "toolUsePromptTokenCount": self.tool,
        }
        details = {"promptTokensDetails": prompt, "cacheTokensDetails": self.cached}
        total = sum(prompt.values()) + self.output + self.thoughts + self.tool
        return {
            **{name: count for name, count in counts.items() if count or name in ALWAYS_REPORTED},
            **{
                name: [{"modality": m.upper(), "tokenCount": n} for m, n in split.items()]
                for name, split in details.items()
                if split
            },
            **({"totalTokenCount": total} if has_total else {}),
        }


# Around the context of 200,000 tokens, and far from it
COUNT = st.integers(0, 2000) | st.integers(150_000, 250_000)


@cache
def split(components: frozenset[str], kind: str) -> st.SearchStrategy[dict[str, int]]:
    """Tokens by the modalities that have a price; made once, which takes longer than to draw from it."""
    names = [name for name in MODALITIES if f"{kind}_{name}" in components]
    return st.dictionaries(st.sampled_from(names), COUNT) if names else st.just({})


MODELS = st.sampled_from(models())


@st.composite
def calls(draw: st.DrawFn) -> tuple[Priced, Spent]:
    priced = draw(MODELS)
    fresh, cached = (draw(split(priced.components, kind)) for kind in ("input", "cached"))
    return priced, Spent(fresh, cached, draw(COUNT), draw(COUNT), draw(COUNT))


@given(calls(), st.booleans())
def test_a_cost_is_the_sum_of_its_lines(call: tuple[Priced, Spent], has_total: bool) -> None:
    priced, spent = call
    found = priced.quote(spent.usage(has_total=has_total))
    assert found.cost_pico == sum(line.pico for line in found.lines)
    assert all(
        line.pico * unit_of(line.component).size == line.quantity * line.unit_pico for line in found.lines
    )
    assert len({line.component for line in found.lines}) == len(found.lines)
    assert sum(line.quantity for line in found.lines) == (
        sum(spent.fresh.values()) + sum(spent.cached.values()) + spent.output + spent.thoughts + spent.tool
    )


@given(calls(), st.integers(0, 5))
def test_what_is_billed_beside_tokens_adds_to_their_cost(call: tuple[Priced, Spent], searches: int) -> None:
    priced, spent = call
    if not {"grounding_search_query", "grounding_search_request"} & priced.components:
        return
    usage, nothing = spent.usage(has_total=True), Spent({}, {}, 0, 0, 0).usage(has_total=True)
    alone = priced.cost(nothing, grounding_search_query=searches)
    assert priced.cost(usage, grounding_search_query=searches) == priced.cost(usage) + alone
    assert priced.cost(nothing, grounding_search_query=searches + 1) >= alone


@given(
    calls(),
    st.booleans(),
    st.sampled_from(["fresh", "cached", "output", "thoughts", "tool"]),
    st.integers(1, 100_000),
)
def test_another_token_never_makes_a_call_cheaper(
    call: tuple[Priced, Spent], has_total: bool, kind: str, more: int
) -> None:
    priced, spent = call
    if kind in ("fresh", "cached"):
        if not getattr(spent, kind):
            return
        name = next(iter(getattr(spent, kind)))
        grown = spent._replace(**{kind: {**getattr(spent, kind), name: getattr(spent, kind)[name] + more}})
    else:
        grown = spent._replace(**{kind: getattr(spent, kind) + more})
    before, after = (priced.cost(each.usage(has_total=has_total)) for each in (spent, grown))
    assert 0 <= before <= after


@given(calls(), st.booleans())
def test_a_cached_token_never_costs_more_than_a_fresh_one(
    call: tuple[Priced, Spent], has_total: bool
) -> None:
    priced, spent = call
    fresh = dict(spent.fresh)
    for name, count in spent.cached.items():
        fresh[name] = fresh.get(name, 0) + count
    uncached = spent._replace(fresh=fresh, cached={})
    assert priced.cost(spent.usage(has_total=has_total)) <= priced.cost(uncached.usage(has_total=has_total))


@given(calls(), st.integers(0, 100_000), st.none() | COUNT, st.none() | COUNT)
def test_the_total_decides_on_output_and_no_count_beside_it(
    call: tuple[Priced, Spent], more: int, output: int | None, thoughts: int | None
) -> None:
    priced, spent = call
    usage = spent.usage(has_total=True)
    said = {**usage, "candidatesTokenCount": output, "thoughtsTokenCount": thoughts}
    larger = {**usage, "totalTokenCount": usage["totalTokenCount"] + more}
    assert priced.cost(usage) <= priced.cost(larger)
    # Where output has two prices, the counts say whether the call thought. A total of 0 beside counts is not
    # given.
    if "output_text" in priced.components and usage["totalTokenCount"]:
        assert priced.cost(said) == priced.cost(usage)


def shuffled(value: Any, order: random.Random) -> Any:
    """Objects with their members in another order; arrays as they are."""
    if isinstance(value, dict):
        members = [(name, shuffled(each, order)) for name, each in value.items()]
        order.shuffle(members)
        return dict(members)
    return [shuffled(each, order) for each in value] if isinstance(value, list) else value


@given(calls(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_members_is_nothing_to_the_cost(
    call: tuple[Priced, Spent], has_total: bool, order: random.Random
) -> None:
    priced, spent = call
    usage = spent.usage(has_total=has_total)
    assert priced.quote(shuffled(usage, order)) == priced.quote(usage)


def document(usage: dict[str, Any], text: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}]}}], "usageMetadata": usage}


def written(documents: list[dict[str, Any]], form: str) -> tuple[bytes, bytes]:
    """A body of server-sent events, or of a JSON array, and its content type."""
    texts = [json.dumps(each).encode() for each in documents]
    if form == "sse":
        return b"".join(b"data: " + text + b"\r\n\r\n" for text in texts), b"text/event-stream"
    return b"[" + b",\r\n".join(texts) + b"]", b"application/json"


@given(
    calls(),
    st.sampled_from(["sse", "array"]),
    st.integers(0, 3),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_how_a_stream_is_split_is_nothing_to_the_cost(
    call: tuple[Priced, Spent], form: str, earlier: int, cuts: list[int]
) -> None:
    """Into events, which count up, and into chunks."""
    priced, spent = call
    usage = spent.usage(has_total=True)
    so_far = Spent(spent.fresh, spent.cached, 0, 0, 0).usage(has_total=True)
    body, content_type = written([document(so_far, "é")] * earlier + [document(usage, "—")], form)
    meter = meter_for(content_type, None)
    edges = [0, *sorted(at % (len(body) + 1) for at in cuts), len(body)]
    for start, end in pairwise(edges):
        meter.feed(body[start:end])
    reported = meter.finish().usage
    assert reported is not None
    assert priced.quote_bytes(reported) == priced.quote(usage)
