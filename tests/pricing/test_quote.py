"""Which model, tier and price list a call is priced with, and what its cost is whatever the counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.actions import EMBEDDING, GENERATING
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import CostLine
from gatekeeper.pricing.price_documents import quote_document
from gatekeeper.pricing.quote import Quote, quote, unpriced_reason

CATALOGUE = Catalogue.parse("""
version = "2026-10-01"
checked = "2026-11-24"
currency = "USD"

[aliases]
text-latest = [{ from = "2026-01-01", model = "old-text" }, { from = "2026-06-01", model = "text" }]

[[models]]
ids = ["text", "old-text"]
source = "invented"
prices = [
  { tier = "standard", input = "1", input_audio = "4", cached = "0.1", cached_audio = "0.4", output = "10" },
  { tier = "flex", input = "0.5", input_audio = "2", cached = "0.1", cached_audio = "0.4", output = "5" },
  { tier = "batch", input = "0.25", output = "2.5" },
]

[[models]]
ids = ["long"]
source = "invented"
prices = [
  { tier = "standard", context = "<=200k", to = "2026-11-01", input = "1", cached = "0.1", output = "10" },
  { tier = "standard", context = ">200k", to = "2026-11-01", input = "2", cached = "0.2", output = "15" },
]

[[models]]
ids = ["two-outputs"]
source = "invented"
prices = [{ tier = "standard", input = "1", output_thinking = "3.5", output_not_thinking = "0.6" }]

[[models]]
ids = ["vectors"]
source = "invented"
prices = [
  { tier = "standard", embedding = "0.2", embedding_image = "0.45" },
  { tier = "batch", embedding = "0.1", embedding_image = "0.225" },
]
""")

PLAIN = Usage(prompt=1000, output=100, total=1100)
MILLION = 10**6


def priced(usage: Usage | None = PLAIN, model: str = "text", **call: Any) -> Quote:
    defaults = {"model_version": None, "at": datetime(2026, 10, 20, tzinfo=UTC), "action": "generateContent"}
    return quote(CATALOGUE, model=model, usage=usage, **(defaults | call))


def cost(usage: Usage | None = PLAIN, model: str = "text", **call: Any) -> int | None:
    """In millionths of a dollar: what the tests' prices make of a few thousand tokens."""
    found = priced(usage, model, **call).cost_pico
    return found if found is None else found // MILLION


@cases(
    ("call", "model", "expected"),
    [
        ({"model": "text"}, "text", 2000),
        ({"model": "models/text"}, "text", 2000),
        ({"model": "whatever", "model_version": "models/text"}, "text", 2000),
        ({"model": "text", "model_version": ""}, "text", 2000),
        ({"model": "text", "model_version": "text-001"}, "text-001", None),
        ({"model": "text-x"}, "text-x", None),
        ({"model": "text-latest"}, "text", 2000),
        ({"model": "text-latest", "at": datetime(2026, 5, 31, tzinfo=UTC)}, "old-text", 2000),
        ({"model": "text-latest", "at": datetime(2025, 12, 31, tzinfo=UTC)}, "text-latest", None),
        ({"model": "text-latest", "model_version": "long"}, "long", 2000),
        ({"model": "x", "model_version": "text-latest"}, "text", 2000),
        ({"model": "tunedModels/mine", "model_version": "text"}, "text", None),
    ],
)
def test_the_model_that_served_is_priced(call: dict[str, Any], model: str, expected: int | None) -> None:
    found = priced(**call)
    assert (found.model, cost(**call)) == (model, expected)
    assert found.price_version == CATALOGUE.version


@cases(
    ("said", "known", "action", "expected"),
    [
        (None, "standard", "generateContent", 2000),
        (None, "flex", "generateContent", 1000),
        ("flex", "standard", "generateContent", 1000),
        ("standard", "flex", "generateContent", 2000),
        ("standard", "batch", "generateContent", 500),
        (None, "standard", "batchGenerateContent", 500),
        ("priority", "standard", "generateContent", None),
        ("2", "standard", "generateContent", None),
        (None, "turbo", "generateContent", None),
    ],
)
def test_the_tier_is_the_billed_one_and_a_batch_is_a_batch(
    said: str | None, known: str, action: str, expected: int | None
) -> None:
    usage = Usage(prompt=1000, output=100, total=1100, service_tier=said)
    assert cost(usage, tier=known, action=action) == expected


@cases(
    ("usage", "call", "note"),
    [
        (PLAIN, {"model": "gemini-9"}, "gemini-9 is not in the price catalogue of 2026-11-24-"),
        (PLAIN, {"model": "text", "model_version": "text-9"}, "text-9 is not in the price catalogue"),
        (PLAIN, {"model": "tunedModels/mine"}, "tunedModels/mine is a tuned model"),
        (None, {}, "reports no usage"),
        (Usage(), {}, "no promptTokenCount"),
        (PLAIN, {"tier": "priority"}, "text has no price in tier priority on 2026-10-20"),
        (PLAIN, {"model": "long", "at": datetime(2026, 11, 1, tzinfo=UTC)}, "standard on 2026-11-01"),
        (Usage(prompt=9, cached=5, total=9), {"tier": "batch"}, "no price for cached_text in tier batch"),
        (Usage(prompt=9, total=99, output_details=(("image", 90),)), {}, "no price for output_image"),
        (Usage(prompt=9, total=9, prompt_details=(("smell", 9),)), {}, "no price for input_smell"),
        (PLAIN, {"action": "generateText"}, "calls of generateText are not priced"),
        (PLAIN, {"action": "live"}, "no price for live_input_text"),
        (PLAIN, {"action": "embedContent"}, "text has no price for embedding_input_text"),
        (PLAIN, {"model": "vectors"}, "vectors has no price for input_text, output_text"),
        (PLAIN, {"billed_units": {"grounding_search_query": 2}}, "also used grounding_search_query"),
    ],
)  # fmt: skip
def test_an_unknown_cost_is_none_and_says_why(usage: Usage | None, call: dict[str, Any], note: str) -> None:
    found = priced(usage, **call)
    assert (found.cost_pico, found.lines) == (None, ())
    assert note in found.notes[-1]


@cases(
    ("usage", "call", "notes"),
    [
        (PLAIN, {}, []),
        (PLAIN, {"model": "text-latest"}, ["text-latest is an alias; on 2026-10-20 it stood for text"]),
        (
            Usage(prompt=9, total=9, service_tier="standard"),
            {"tier": "flex"},
            ["the usage says that tier standard was billed, not flex"],
        ),
        (
            Usage(prompt=9, total=9, cached=3, prompt_details=(("text", 4), ("audio", 5))),
            {},
            ["the cached tokens have no modality; text of the prompt counts as cached first"],
        ),
        (Usage(prompt=9, total=9, cached=3, prompt_details=(("text", 9),)), {}, []),
        # The usage says nothing else, or nothing but it says which tier it was.
        (PLAIN, {"tier": "flex"}, []),
        (Usage(prompt=9, total=9, service_tier="standard"), {"tier": "batch"}, []),
        (Usage(prompt=9, total=9, service_tier="flex"), {"tier": "standard"}, []),
    ],
)
def test_what_a_cost_assumes_is_noted(usage: Usage, call: dict[str, Any], notes: list[str]) -> None:
    found = priced(usage, **call)
    assert found.cost_pico is not None
    assert list(found.notes) == notes


def test_beyond_the_threshold_the_whole_request_is_dearer() -> None:
    at = Usage(prompt=200_000, cached=100_000, output=1000, total=201_000)
    beyond = Usage(prompt=200_001, cached=100_000, output=1000, total=201_001)
    assert cost(at, "long") == 100_000 * 1 + 100_000 // 10 + 1000 * 10
    assert cost(beyond, "long") == 100_001 * 2 + 100_000 // 5 + 1000 * 15


def test_days_are_those_of_utc() -> None:
    kiritimati = timezone(timedelta(hours=14))
    last = datetime(2026, 11, 1, 13, 59, 59, tzinfo=kiritimati)
    assert cost(model="long", at=last) == 2000
    assert cost(model="long", at=last + timedelta(seconds=1)) is None


def test_a_model_with_two_output_prices_is_asked_whether_it_thought() -> None:
    assert cost(Usage(prompt=1000, output=100, total=1100), "two-outputs") == 1060
    assert cost(Usage(prompt=1000, output=60, thoughts=40, total=1100), "two-outputs") == 1350
    # Output that only the total has is thoughts.
    assert cost(Usage(prompt=1000, total=1001), "two-outputs") == 1003


@pytest.mark.parametrize("action", ["embedContent", "batchEmbedContents", None])
def test_embeddings_cost_their_prompt_by_modality(action: str | None) -> None:
    usage = Usage(prompt=1000, prompt_details=(("image", 400),))
    assert cost(usage, "vectors", action=action) == 600 * 0.2 + 400 * 0.45
    assert cost(usage, "vectors", action="asyncBatchEmbedContent") == 600 * 0.1 + 400 * 0.225


def test_without_an_action_a_call_is_what_its_model_is_for() -> None:
    assert cost(action=None) == cost() == 2000


def test_counting_tokens_is_free_whatever_the_model() -> None:
    found = priced(None, "unheard-of", action="countTokens")
    assert (found.cost_pico, found.lines, found.notes) == (0, (), ())


def test_lines_show_the_arithmetic_and_leave_out_what_was_not_used() -> None:
    unit = "per_1m_tokens"
    found = priced(Usage(prompt=40, cached=0, output=3, total=43))
    assert found.lines == (
        CostLine("input_text", 40, unit, 10**12, 40 * 10**6),
        CostLine("output_text", 3, unit, 10**13, 30 * 10**6),
    )
    assert quote_document(found) == {
        "model": "text",
        "cost_usd": "0.00007",
        "lines": [
            {"component": "input_text", "quantity": "40", "unit": unit, "unit_usd": "1", "usd": "0.00004"},
            {"component": "output_text", "quantity": "3", "unit": unit, "unit_usd": "10", "usd": "0.00003"},
        ],
        "price_version": CATALOGUE.version,
        "notes": [],
    }  # fmt: skip


def test_a_document_of_an_unknown_cost_has_null_and_of_a_free_call_0() -> None:
    assert quote_document(priced(None))["cost_usd"] is None
    assert quote_document(priced(None, action="countTokens"))["cost_usd"] == "0"


PARTS = st.tuples(*[st.integers(0, 10**6)] * 6)


def spoken(parts: tuple[int, ...]) -> Usage:
    """Fresh text, fresh audio, cached text, cached audio, output and tool-use tokens as a usage."""
    text, audio, cached_text, cached_audio, output, tool = parts
    prompt = text + audio + cached_text + cached_audio
    return Usage(
        prompt=prompt,
        cached=cached_text + cached_audio,
        output=output,
        tool=tool,
        total=prompt + output + tool,
        prompt_details=(("text", text + cached_text), ("audio", audio + cached_audio)),
        cached_details=(("text", cached_text), ("audio", cached_audio)),
    )


@given(PARTS, PARTS)
def test_cost_adds_up_and_is_the_sum_of_its_lines(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    both = tuple(a + b for a, b in zip(one, other, strict=True))
    found = [priced(spoken(parts)) for parts in (one, other, both)]
    costs = [quote.cost_pico or 0 for quote in found]
    assert costs[0] + costs[1] == costs[2]
    assert costs == [sum(line.pico for line in quote.lines) for quote in found]
    assert all(
        line.pico * MILLION == line.quantity * line.unit_pico for quote in found for line in quote.lines
    )


@given(PARTS, st.integers(0, 5), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(parts: tuple[int, ...], position: int, more: int) -> None:
    grown = tuple(count + (more if place == position else 0) for place, count in enumerate(parts))
    before, after = cost(spoken(parts)), cost(spoken(grown))
    assert before is not None
    assert after is not None
    assert 0 <= before <= after


@given(PARTS)
def test_caching_never_makes_a_call_dearer(parts: tuple[int, ...]) -> None:
    text, audio, cached_text, cached_audio, output, tool = parts
    cached, uncached = (
        cost(spoken(parts)),
        cost(spoken((text + cached_text, audio + cached_audio, 0, 0, output, tool))),
    )
    assert cached is not None
    assert uncached is not None
    assert cached <= uncached


COUNT = st.none() | st.integers(0, 500_000)
DETAILS = st.lists(
    st.tuples(st.sampled_from(["text", "audio", "document", "smell"]), st.integers(0, 9999))
).map(tuple)
USAGES = st.builds(
    Usage, prompt=COUNT, cached=COUNT, output=COUNT, thoughts=COUNT, tool=COUNT, total=COUNT,
    service_tier=st.sampled_from([None, "standard", "flex", "gold"]),
    prompt_details=DETAILS, cached_details=DETAILS, output_details=DETAILS, tool_details=DETAILS,
)  # fmt: skip


@given(
    st.none() | USAGES,
    st.sampled_from(["text", "long", "two-outputs", "vectors", "text-latest", "other"]),
    st.sampled_from(["generateContent", "embedContent", "batchGenerateContent", "countTokens", "live", None]),
)
def test_any_usage_has_a_cost_or_a_reason(usage: Usage | None, model: str, action: str | None) -> None:
    found = priced(usage, model, action=action)
    if found.cost_pico is None:
        assert found.notes
        assert not found.lines
    else:
        assert found.cost_pico == sum(line.pico for line in found.lines) >= 0


@cases(
    ("model", "action", "day", "reason"),
    [
        ("text", "generateContent", 20, None),
        ("models/text", "streamGenerateContent", 20, None),
        ("text-latest", "generateContent", 20, None),
        ("vectors", "embedContent", 20, None),
        ("long", "generateContent", 20, None),
        ("text-99", "generateContent", 20, "text-99 is not in the price catalogue of 2026-11-24-"),
        ("tunedModels/mine", "generateContent", 20, "tunedModels/mine is a tuned model"),
        ("text", "embedContent", 20, "text has no price for embedContent"),
        ("vectors", "generateContent", 20, "vectors has no price for generateContent"),
        ("text", "generateText", 20, "calls of generateText are not priced"),
        ("vectors", "asyncBatchEmbedContent", 20, None),
        ("long", "batchGenerateContent", 20, "long has no price in tier batch on 2026-10-20"),
    ],
)
def test_what_no_usage_could_price_is_known_beforehand(
    model: str, action: str, day: int, reason: str | None
) -> None:
    found = unpriced_reason(CATALOGUE, model, date(2026, 10, day), action)
    assert (found is None) == (reason is None)
    assert (found or "").startswith(reason or "")


@given(
    st.sampled_from(["text", "long", "two-outputs", "vectors", "text-latest", "none"]),
    st.sampled_from(sorted(GENERATING | EMBEDDING)),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_what_is_unpriced_beforehand_is_never_priced_afterwards(
    model: str, action: str, prompt: int, output: int
) -> None:
    at = datetime(2026, 10, 20, tzinfo=UTC)
    usage = Usage(prompt=prompt, output=output, total=prompt + output)
    if unpriced_reason(CATALOGUE, model, at.date(), action):
        found = priced(usage, model, at=at, action=action)
        assert not found.cost_pico


def test_a_quote_repeats_what_is_known_to_be_wrong_with_the_usage() -> None:
    contradictory = Usage(prompt=10, output=5, thoughts=5, total=15, note="the total counts")
    quoted = quote(
        CATALOGUE,
        model="text",
        model_version=None,
        usage=contradictory,
        at=datetime(2026, 10, 1, tzinfo=UTC),
        action="generateContent",
    )
    assert quoted.cost_pico is not None
    assert quoted.notes == ("the total counts",)
