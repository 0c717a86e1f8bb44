"""What a call of unknown cost is taken to have cost at most."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import reserved_note
from gatekeeper.pricing.price_components import COMPONENTS, PIECES, SECONDS, unit_of
from gatekeeper.pricing.quote import quote
from gatekeeper.pricing.worst_case import MAX_UNITS, WorstCase, worst_case

CATALOGUE = Catalogue.parse("""
version = "1"
checked = "2026-11-24"
currency = "USD"

[[models]]
ids = ["gemini-2.5-text"]
source = "invented"
prices = [
  { tier = "standard", input = "1", input_audio = "4", cached = "0.1", cached_audio = "0.4", output = "10" },
  { tier = "flex", input = "0.5", output = "5" },
  { tier = "standard", grounding_search_request = "35", grounding_maps_request = "25" },
]

[[models]]
ids = ["gemini-3-text"]
source = "invented"
prices = [
  { tier = "standard", input = "1", input_audio = "4", output = "10", grounding_search_query = "14" },
]

[[models]]
ids = ["pictures"]
source = "invented"
prices = [{ tier = "standard", image_each = "0.04" }]

[[models]]
ids = ["films"]
source = "invented"
prices = [{ tier = "standard", output_video_second_720p = "0.40", output_video_second_4k = "0.60" }]

[[models]]
ids = ["live"]
source = "invented"
prices = [{ tier = "standard", live_input = "2", live_output_audio = "9" }]

[[models]]
ids = ["vectors"]
source = "invented"
prices = [{ tier = "standard", embedding = "0.2" }]

[[models]]
ids = ["free-*"]
source = "invented"
prices = [{ tier = "standard", input = "0", output = "0" }]

[[models]]
ids = ["dear"]
source = "invented"
prices = [{ tier = "standard", from = "2026-02-01", to = "2026-03-01", input = "50", output = "100" }]
""")

DAY = datetime(2026, 2, 10, tzinfo=UTC)
MICRO = 10**6  # pico-dollars: the price of a token at 1 USD per million
PLAIN = Usage(prompt=1000, output=100, total=1100)
SEARCH, MAPS = "grounding_search_query", "grounding_maps_query"


def estimated(usage: Usage | None = PLAIN, model: str | None = "gemini-2.5-text", **call: Any) -> WorstCase:
    defaults = {
        "model_version": None,
        "at": DAY,
        "tier": "standard",
        "action": "generateContent",
        "request_bytes": 300,
    }
    return worst_case(CATALOGUE, model=model, usage=usage, **(defaults | call))


TOKENS = (1000 + 100 * 10) * MICRO
MOST = 65_536 * 10
CASES = {
    "a search, once a request": ({"billed_units": {SEARCH: 3}}, TOKENS + 35_000 * MICRO),
    "a search and maps": ({"billed_units": {SEARCH: 3, MAPS: None}}, TOKENS + 60_000 * MICRO),
    "each query": ({"model": "gemini-3-text", "billed_units": {SEARCH: 3}}, TOKENS + 42_000 * MICRO),
    "no query listed": ({"model": "gemini-3-text", "billed_units": {SEARCH: None}}, TOKENS + 140_000 * MICRO),
    "the model that served searched": (
        {"model": "gemini-3-text", "model_version": "models/gemini-2.5-text", "billed_units": {SEARCH: 3}},
        TOKENS + 35_000 * MICRO,
    ),
    "no usage": ({"usage": None}, (300 * 4 + MOST) * MICRO),
    "no usage, and a search": (
        {"usage": None, "billed_units": {SEARCH: 1}},
        (300 * 4 + MOST + 35_000) * MICRO,
    ),
    "no usage, a large request": (
        {"usage": None, "request_bytes": 10**9},
        (1_048_576 * 4 + MOST) * MICRO,
    ),
    "no usage, any length": ({"usage": None, "request_bytes": None}, (1_048_576 * 4 + MOST) * MICRO),
    "no usage of an embedding": (
        {"usage": None, "model": "vectors", "action": "embedContent"},
        300 * MICRO // 5,
    ),
    "no prompt": ({"usage": Usage(output=7)}, (300 * 4 + 7 * 10) * MICRO),
    "no output": ({"usage": Usage(prompt=7)}, (7 * 4 + MOST) * MICRO),
    "a total below the prompt": ({"usage": Usage(prompt=7, total=3)}, (7 * 4 + MOST) * MICRO),
    "more cached than prompt": (
        {"usage": Usage(prompt=7, cached=9, tool=1, thoughts=2, total=100)},
        (10 * 4 + 90 * 10) * MICRO,
    ),
    "a tier without a price": ({"tier": "golden"}, (1000 * 4 + 1000) * MICRO),
    "an unknown model": ({"model_version": "gemini-99"}, (1000 * 50 + 100 * 100) * MICRO),
    "a tuned model": ({"model": "tunedModels/mine"}, (1000 * 50 + 100 * 100) * MICRO),
    "no model": ({"model": None}, (1000 * 50 + 100 * 100) * MICRO),
    "a model without a price that day": (
        {"model": "dear", "at": datetime(2026, 4, 1, tzinfo=UTC)},
        (1000 * 4 + 100 * 10) * MICRO,
    ),
    "searches that have no price here": (
        {"model": "vectors", "action": "embedContent", "billed_units": {SEARCH: 2}},
        1000 * MICRO // 5 + 2 * 35_000 * MICRO,
    ),
    "pictures that were asked for": (
        {"model": "pictures", "action": "predict", "usage": None},
        160_000 * MICRO,
    ),
    "a film": ({"model": "films", "action": "predictLongRunning", "usage": None}, 32 * 600_000 * MICRO),
    "a film of an unknown model": (
        {"model": "films-2", "action": "predictLongRunning", "usage": None},
        (300 * 50 + 65_536 * 100 + 32 * 600_000) * MICRO,
    ),
    "a film of unknown length": (
        {
            "model": "films",
            "action": "predictLongRunning",
            "usage": None,
            "billed_units": {"output_video_second_720p": None},
        },
        32 * 600_000 * MICRO,
    ),
    "pictures of an unknown number": (
        {"model": "pictures", "action": "predict", "usage": None, "billed_units": {"image_each": None}},
        160_000 * MICRO,
    ),
    "pictures of which one is known": (
        {"model": "pictures", "action": "predict", "usage": None, "billed_units": {"image_each": 1}},
        40_000 * MICRO,
    ),
    "a free model": ({"model": "free-1", "usage": None}, 0),
    "an empty prompt in a tier without a price": (
        {"usage": Usage(prompt=0, output=7), "tier": "golden"},
        7 * 10 * MICRO,
    ),
    "an embedding of an unknown model": (
        {"model": "gemini-99", "action": "embedContent"},
        1000 * 50 * MICRO,
    ),
    "an empty prompt, nothing cached": ({"usage": Usage(prompt=0, output=7)}, 7 * 10 * MICRO),
    "only thoughts, and a total that is less": (
        {"usage": Usage(prompt=7, thoughts=5, total=9), "tier": "golden"},
        (7 * 4 + 5 * 10) * MICRO,
    ),
    "a total that proves that there was no output": (
        {"usage": Usage(prompt=7, total=7), "tier": "golden"},
        7 * 4 * MICRO,
    ),
    "the searches of a model that pays by request": (
        {"tier": "golden", "billed_units": {SEARCH: 2}},
        (1000 * 4 + 1000 + 2 * 35_000) * MICRO,
    ),
    "the searches of a model that pays by query": (
        {"model": "gemini-3-text", "tier": "golden", "billed_units": {SEARCH: 2}},
        (1000 * 4 + 1000 + 2 * 14_000) * MICRO,
    ),
    "a unit that nothing has a price for": (
        {"tier": "golden", "billed_units": {"smell_each": 2}},
        (1000 * 4 + 1000) * MICRO,
    ),
    "the first day of a price": (
        {"model": "dear", "at": datetime(2026, 2, 1, tzinfo=UTC), "tier": "golden"},
        (1000 * 50 + 100 * 100) * MICRO,
    ),
    "the day after its last": (
        {"model": "dear", "at": datetime(2026, 3, 1, tzinfo=UTC), "tier": "golden"},
        (1000 * 4 + 100 * 10) * MICRO,
    ),
    "sound out of a Live model": (
        {"model": "live", "usage": Usage(prompt=1, total=2), "action": "live", "tier": "golden"},
        (2 + 9) * MICRO,
    ),
}


@cases(("call", "pico"), CASES.values(), ids=CASES.keys())
def test_the_rule(call: dict[str, Any], pico: int) -> None:
    assert estimated(**call).pico == pico


def test_the_note_of_a_reservation() -> None:
    assert reserved_note(None) is None
    assert reserved_note(10**12) == "estimated for the budget: 1 USD, what was reserved for it"


def test_the_note_says_how_much_and_why() -> None:
    assert estimated(None).note == (
        "estimated for the budget: 0.65656 USD, 300 tokens of input and 65,536 of output "
        "(input and output not reported, the most there can be) at the model's highest prices"
    )
    assert estimated(model="gemini-3-text", billed_units={SEARCH: None}).note == (
        "estimated for the budget: 0.142 USD, the searches at their list price"
    )
    assert estimated(None, "pictures", action="predict", billed_units={"image_each": None}).note == (
        "estimated for the budget: 0.16 USD, all that it can have made at their list price"
    )
    assert estimated(tier="golden").note == (
        "estimated for the budget: 0.005 USD, 1,000 tokens of input and 100 of output "
        "at the model's highest prices"
    )
    assert estimated(billed_units={SEARCH: 1}).note == (
        "estimated for the budget: 0.037 USD, the searches at their list price"
    )


counts = st.none() | st.integers(0, 10**6)


@settings(max_examples=examples(40))
@given(prompt=counts, cached=counts, output=counts, thoughts=counts, tool=counts, total=counts)
def test_it_is_never_below_a_price_that_is_known(**reported: int | None) -> None:
    usage = Usage(**reported)
    known = quote(
        CATALOGUE,
        model="gemini-2.5-text",
        model_version=None,
        usage=usage,
        at=DAY,
        action="generateContent",
    )
    assert estimated(usage).pico >= (known.cost_pico or 0)
    assert estimated(usage, tier="golden").pico >= (known.cost_pico or 0)


def test_searches_that_nothing_has_a_price_for_cost_nothing() -> None:
    catalogue = Catalogue.parse(
        'version = "1"\nchecked = "2026-11-24"\ncurrency = "USD"\n[[models]]\nids = ["text"]\n'
        'source = "invented"\nprices = [{ tier = "standard", input = "1", output = "10" }]'
    )
    found = worst_case(
        catalogue,
        model="text",
        model_version=None,
        usage=PLAIN,
        at=DAY,
        tier="standard",
        action="generateContent",
        billed_units={SEARCH: 2, MAPS: 3},
        request_bytes=300,
    )
    assert found.pico == 2000 * MICRO


def test_all_that_is_charged_by_piece_or_second_has_a_most() -> None:
    assert MAX_UNITS.keys() == {name for name in COMPONENTS if unit_of(name) in (PIECES, SECONDS)}
