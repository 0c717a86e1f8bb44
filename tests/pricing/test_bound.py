"""What a call can cost at most, by its request: tables of requests, and that no priced answer costs more."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.actions import EMBEDDING, IMAGE_ACTIONS, OPENAI_EMBEDDING
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.bound import USUAL_OUTPUT, Bound, RequestedUse, bound
from gatekeeper.pricing.quote import quote
from gatekeeper.pricing.worst_case import (
    DEFAULT_QUERY_COUNT,
    MAX_OUTPUT_TOKENS,
    MAX_PROMPT_TOKENS,
    highest_prices,
)
from gatekeeper.startup import load_catalogue

CATALOGUE = load_catalogue()
DAY = date(2026, 11, 29)
# Pico-dollars a token on that day
FLASH_TEXT, FLASH_OUTPUT = 300_000, 2_500_000


def asked(action: str | None = "generateContent", size: int | None = 1000, **more: Any) -> RequestedUse:
    given: dict[str, Any] = {
        "has_references": False,
        "is_text": True,
        "output_tokens": 100,
        "candidates": 1,
        "tiers": (),
        "searches": 0,
        "units": {},
    }
    return RequestedUse(action, size, **(given | more))


def of(model: str = "gemini-2.5-flash", **more: Any) -> Bound:
    return bound(CATALOGUE, model, DAY, asked(**more))


def test_a_plain_request_costs_a_token_a_byte_and_the_output_that_it_allows() -> None:
    found = of()
    assert found.pico == 1000 * FLASH_TEXT + 100 * FLASH_OUTPUT
    assert found.is_firm
    assert found.input_pico == FLASH_TEXT
    assert found.usual_pico == 1000 * FLASH_TEXT + USUAL_OUTPUT * FLASH_OUTPUT


LONGEST = MAX_OUTPUT_TOKENS * FLASH_OUTPUT
# (what is asked for otherwise, how much more than 1,000 bytes with 100 tokens of output, firm)
DIFFERENCES: list[tuple[str, dict[str, Any], int, bool]] = [
    ("no output", {"output_tokens": 0}, -100 * FLASH_OUTPUT, True),
    ("several candidates", {"candidates": 8}, 700 * FLASH_OUTPUT, True),
    ("more output than there is", {"output_tokens": 10**9}, LONGEST - 100 * FLASH_OUTPUT, True),
    (
        "the same of several candidates",
        {"output_tokens": 10**9, "candidates": 2},
        2 * LONGEST - 100 * FLASH_OUTPUT,
        True,
    ),
    ("no limit", {"output_tokens": None}, LONGEST - 100 * FLASH_OUTPUT, False),
    ("embeddings have no output", {"action": "embedContent"}, -100 * FLASH_OUTPUT, True),
    ("nor have OpenAI's", {"action": OPENAI_EMBEDDING, "output_tokens": None}, -100 * FLASH_OUTPUT, True),
    ("a larger body", {"size": 5000}, 4000 * FLASH_TEXT, True),
    ("a body larger than any context", {"size": 10**9}, (MAX_PROMPT_TOKENS - 1000) * FLASH_TEXT, True),
]


@cases(("more", "pico", "is_firm"), [case[1:] for case in DIFFERENCES], ids=[case[0] for case in DIFFERENCES])
def test_what_makes_a_request_dearer(more: dict[str, Any], pico: int, is_firm: bool) -> None:
    found = of(**more)
    assert (found.pico - of().pico, found.is_firm) == (pico, is_firm)


@pytest.mark.parametrize("more", [{"has_references": True}, {"size": None}])
def test_what_is_not_in_the_request_may_fill_the_context(more: dict[str, Any]) -> None:
    found = of(**more)
    prices = highest_prices(CATALOGUE, "gemini-2.5-flash", DAY)
    assert found.pico >= MAX_PROMPT_TOKENS * FLASH_TEXT + 100 * FLASH_OUTPUT
    assert found.pico <= MAX_PROMPT_TOKENS * prices.input_pico + 100 * prices.output_pico
    assert not found.is_firm
    # Sound is dearer than text, and a file may be of it.
    assert found.input_pico > FLASH_TEXT


def test_media_in_the_request_cost_their_own_price() -> None:
    assert of(is_text=False).input_pico > of().input_pico


def test_a_tier_that_is_asked_for_has_its_price_and_the_dearest_of_several_counts() -> None:
    model = "gemini-2.5-flash"
    by_tier = {tier: of(model, tiers=(tier,)).pico for tier in ("flex", "standard", "priority")}
    assert by_tier["flex"] < by_tier["standard"] < by_tier["priority"]
    assert of(model, tiers=("flex", "priority")).pico == by_tier["priority"]
    # One that the model does not have costs as much as any of its tiers.
    assert of(model, tiers=("express",)).pico >= by_tier["priority"]


def test_a_long_prompt_costs_its_own_price_and_a_short_one_does_not() -> None:
    model = "gemini-2.5-pro"
    short, long = of(model, size=200_000), of(model, size=200_001)
    assert long.input_pico == 2 * short.input_pico
    # Also the output after it
    assert long.pico - 200_001 * long.input_pico > short.pico - 200_000 * short.input_pico


def test_searches_cost_as_many_as_may_be_made() -> None:
    plain, one, many = of(), of(searches=1), of(searches=DEFAULT_QUERY_COUNT)
    assert one.pico - plain.pico == 35 * 10**9
    assert many.pico - plain.pico == 350 * 10**9


def test_a_model_without_a_price_costs_as_much_as_the_dearest() -> None:
    unknown = of("gemini-99-ultra")
    assert unknown.pico >= max(of(name).pico for name in ("gemini-2.5-flash", "gemini-2.5-pro"))
    # So does one that has no price on that day.
    early = bound(CATALOGUE, "gemini-2.5-flash", date(2020, 1, 1), asked())
    assert early.pico >= 0


@pytest.mark.parametrize(
    ("model", "action", "units", "most"),
    [
        ("imagen-4.0-generate-001", "predict", {"image_each": 1}, {"image_each": 4}),
        (
            "veo-3.0-generate-001",
            "predictLongRunning",
            {"output_video_second_720p": 8},
            {"output_video_second_720p": 32},
        ),
    ],
)
def test_pieces_are_those_asked_for_or_the_most_there_can_be(
    model: str, action: str, units: dict[str, int], most: dict[str, int]
) -> None:
    def made(units: dict[str, int | None]) -> int:
        return of(model, action=action, units=units, output_tokens=None).pico

    known, asked_for_most = made(dict(units)), made(dict(most))
    assert 0 < known < asked_for_most
    unknown = made(dict.fromkeys(units, None))
    assert made({}) == unknown >= asked_for_most


# Models with prices for text on that day
MODELS = [
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-embedding-001",
]
TIERS = ["standard", "flex", "priority", "batch"]


@given(
    model=st.sampled_from(MODELS),
    size=st.integers(0, 2_000_000),
    filled=st.floats(0, 1),
    limit=st.integers(0, 100_000),
    written=st.floats(0, 1),
    candidates=st.integers(1, 8),
    tier=st.sampled_from(TIERS),
    action=st.sampled_from(["generateContent", "streamGenerateContent", *sorted(EMBEDDING)]),
)
def test_no_answer_within_the_limits_costs_more(
    model: str,
    size: int,
    filled: float,
    limit: int,
    written: float,
    candidates: int,
    tier: str,
    action: str,
) -> None:
    found = bound(
        CATALOGUE, model, DAY, asked(action, size, output_tokens=limit, candidates=candidates, tiers=(tier,))
    )
    prompt = int(min(size, MAX_PROMPT_TOKENS) * filled)
    output = 0 if action in EMBEDDING else int(min(limit, MAX_OUTPUT_TOKENS) * candidates * written)
    priced = quote(
        CATALOGUE,
        model=model,
        model_version=None,
        usage=Usage(prompt=prompt, output=output, total=prompt + output),
        at=datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC),
        tier=tier,
        action=action,
    )
    assert found.is_firm
    assert (priced.cost_pico or 0) <= found.pico


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from(MODELS))
def test_a_longer_request_never_costs_less(size: int, more: int, model: str) -> None:
    assert of(model, size=size).pico <= of(model, size=size + more).pico


def test_pictures_are_no_tokens_of_output() -> None:
    for action in IMAGE_ACTIONS:
        found = of("imagen-4.0-generate-001", action=action, output_tokens=None, units={"image_each": 1})
        assert found.is_firm
