"""Price catalogues: what one says, which entry an id has, and what is wrong with one that cannot be used."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.money import pico
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_components import unit_of
from gatekeeper.pricing.price_documents import catalogue_document
from gatekeeper.pricing.tariff import TIERS, Tariff
from gatekeeper.startup import load_catalogue

HEAD = 'version = "2026-11-24"\nchecked = "2026-11-24"\ncurrency = "USD"\n'
SHIPPED = load_catalogue()
TODAY = date(2026, 11, 24)


def entry(rows: str = '{ tier = "standard", input = "0.30" }', ids: str = '"m"', more: str = "") -> str:
    return f'[[models]]\nids = [{ids}]\nsource = "a page"\n{more}\nprices = [{rows}]\n'


def catalogue(*entries: str, aliases: str = "") -> Catalogue:
    return Catalogue.parse(HEAD + (f"[aliases]\n{aliases}\n" if aliases else "") + "".join(entries))


def prices(rows: str, more: str = "", tier: str = "standard", prompt: int = 0) -> dict[str, int]:
    model = catalogue(entry(rows, more=more)).find("m")
    assert model is not None
    tariff = model.tariff(tier, TODAY, prompt)
    assert tariff is not None
    return tariff.prices


def test_a_price_is_exact_for_a_single_token() -> None:
    found = prices('{ tier = "standard", input = "0.30", input_audio = "1.00", output = "0.01875" }')
    assert found == {
        "input_text": 300_000,
        "input_image": 300_000,
        "input_video": 300_000,
        "input_audio": 1_000_000,
        "output_text": 18_750,
    }


@cases(
    ("row", "more", "expected"),
    [
        ('cached = "0.10"', 'inputs = ["text", "audio"]', ["cached_text", "cached_audio"]),
        ('embedding = "0.20"', 'inputs = ["text"]', ["embedding_input_text"]),
        ('embedding_video = "12"', "", ["embedding_input_video"]),
        ('output_thinking = "3.50"', "", ["output_text_thinking"]),
        ('output_not_thinking = "0.60"', "", ["output_text_not_thinking"]),
        ('live_input = "0.50"', 'inputs = ["text", "audio"]', ["live_input_text", "live_input_audio"]),
        ('live_output = "2"', "", ["live_output_text"]),
        ('live_output_audio = "12"', "", ["live_output_audio"]),
        ('output_image = "30"', "", ["output_image"]),
        ('image_each = "0.04"', "", ["image_each"]),
        ('cache_storage_token_hour = "1"', "", ["cache_storage_token_hour"]),
    ],
)
def test_a_key_prices_its_components_and_no_other(row: str, more: str, expected: list[str]) -> None:
    assert list(prices(f'{{ tier = "standard", {row} }}', more)) == expected


def test_a_single_modality_overrides_wherever_it_stands() -> None:
    found = prices('{ tier = "standard", cached_audio = "0.10", cached = "0.03" }')
    assert (found["cached_audio"], found["cached_text"]) == (100_000, 30_000)


def test_rows_hold_by_tier_context_and_day() -> None:
    model = catalogue(
        entry(
            """
            { tier = "standard", context = "<=200k", to = "2026-11-24", input = "1" },
            { tier = "standard", context = "<=200k", from = "2026-11-24", input = "2" },
            { tier = "standard", context = ">200k", input = "3" },
            { tier = "batch", input = "4" },
            """
        )
    ).models()[0]

    def found(tier: str, day: date, prompt: int) -> int | None:
        tariff = model.tariff(tier, day, prompt)
        return tariff and tariff.prices["input_text"] // 10**6

    yesterday = TODAY - timedelta(days=1)
    assert [found("standard", yesterday, 200_000), found("standard", TODAY, 200_000)] == [1, 2]
    assert [found("standard", TODAY, 0), found("standard", TODAY, 200_001)] == [2, 3]
    assert [found("batch", TODAY, 10**6), found("flex", TODAY, 1), found("turbo", TODAY, 1)] == [
        4,
        None,
        None,
    ]


@cases(
    ("asked", "expected"),
    [
        ("gemini-2.5-flash", "exact"),
        ("models/gemini-2.5-flash", "exact"),
        ("gemini-2.5-flash-lite", "longer glob"),
        ("gemini-2.5-pro", "shorter glob"),
        ("gemini-2.5-", "shorter glob"),
        ("gemini-2-5-pro", None),
        ("Gemini-2.5-pro", None),
        ("x-gemini-2.5-pro", None),
        ("tunedModels/gemini-2.5-pro", None),
        ("models/models/gemini-2.5-flash", None),
        ("", None),
    ],
)
def test_exact_wins_over_glob_longer_over_shorter_and_nothing_else_counts(
    asked: str, expected: str | None
) -> None:
    found = Catalogue.parse(
        HEAD
        + entry(ids='"gemini-2.5-*"').replace("a page", "shorter glob")
        + entry(ids='"gemini-2.5-flash-*"').replace("a page", "longer glob")
        + entry(ids='"gemini-2.5-flash"').replace("a page", "exact")
    ).find(asked)
    assert (found and found.source) == expected


@cases(
    ("day", "expected"),
    [
        (date(2025, 9, 24), "latest"),
        (date(2025, 9, 25), "old"),
        (date(2026, 9, 1), "old"),
        (date(2026, 9, 2), "new"),
        (date(2030, 1, 1), "new"),
    ],
)
def test_an_alias_means_what_it_meant_that_day(day: date, expected: str) -> None:
    steps = '[{ from = "2025-09-25", model = "old" }, { from = "2026-09-02", model = "new" }]'
    found = catalogue(entry(ids='"old", "new"'), aliases=f"latest = {steps}")
    assert found.resolve_alias("latest", day) == expected
    assert found.resolve_alias("models/latest", day) == expected
    assert found.resolve_alias("models/other", day) == "other"


SPAN = st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda pair: pair[0] < pair[1])
BOUNDS = st.sampled_from([(-1, None), (-1, 10), (10, None), (5, 15)])


@given(SPAN, SPAN, BOUNDS, BOUNDS, st.sampled_from(TIERS), st.sampled_from(TIERS[:2]))
def test_two_tariffs_overlap_exactly_where_some_call_has_both(
    span: tuple[int, int],
    other_span: tuple[int, int],
    bounds: tuple[int, int | None],
    other_bounds: tuple[int, int | None],
    tier: str,
    other_tier: str,
) -> None:
    first = date(2026, 1, 1)

    def tariff(tier: str, span: tuple[int, int], bounds: tuple[int, int | None]) -> Tariff:
        starts, ends = (first + timedelta(days=day) for day in span)
        return Tariff(tier=tier, prices={}, starts=starts, ends=ends, above=bounds[0], up_to=bounds[1])

    one, other = tariff(tier, span, bounds), tariff(other_tier, other_span, other_bounds)
    days = [first + timedelta(days=day) for day in range(42)]
    shared = any(one.covers(day, n) and other.covers(day, n) for day in days for n in range(0, 20, 2))
    assert one.overlaps(other) == (shared and tier == other_tier)
    assert other.overlaps(one) == one.overlaps(other)


def test_the_shipped_catalogue_prices_every_current_model_in_every_tier_it_names() -> None:
    shipped = SHIPPED
    assert re.fullmatch(r"2026-11-28-[0-9a-f]{10}", shipped.version)
    assert str(shipped.checked) == "2026-11-28"
    assert all(model.source for model in shipped.models())
    for model in ("gemini-4-neon", "gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-2.5-flash"):
        found = shipped.find(model)
        assert found is not None
        for tier in TIERS:
            tariff = found.tariff(tier, shipped.checked, 1000)
            assert tariff is not None
            assert {"input_text", "input_audio", "cached_text", "output_text"} <= tariff.prices.keys()


@cases(
    ("model", "component", "usd", "tier"),
    [
        ("gemini-2.5-flash-image", "output_image", "30", "standard"),
        ("gemini-3-pro-image", "output_image", "60", "batch"),
        ("gemini-3.8-flash-tts", "output_audio", "16.2", "priority"),
        ("gemini-live-2.5-flash-preview", "live_input_audio", "3", "standard"),
        ("gemini-3.8-live", "live_output_text", "4.5", "standard"),
        ("gemini-omni-1.1-flash", "output_video", "17.5", "standard"),
        ("gemini-robotics-er-2-preview", "grounding_search_query", "14", "batch"),
        ("deep-research-preview-04-2026", "output_text", "12", "standard"),
        ("imagen-4.0-generate-001", "image_each", "0.04", "standard"),
        ("veo-3.1-generate-preview", "output_video_second_4k", "0.6", "standard"),
        ("lyria-3.5", "music_each", "0.08", "standard"),
        ("gemini-2.5-pro", "cache_storage_token_hour", "4.5", "flex"),
        ("gemini-3.1-flash-lite", "cache_storage_token_hour", "0.5", "batch"),
        ("gemini-2.5-pro", "grounding_search_request", "35", "priority"),
    ],
)
def test_the_shipped_catalogue_prices_what_is_charged_in_each_unit(
    model: str, component: str, usd: str, tier: str
) -> None:
    found = SHIPPED.find(model)
    assert found is not None
    tariff = found.tariff(tier, TODAY, 1000)
    assert tariff is not None
    assert tariff.prices[component] * unit_of(component).size == pico(usd)


@cases("model", ["gemini-3.8-flash-lite", "lyria-realtime-exp", "imagen-5", "veo-3.1"])
def test_a_model_without_a_known_price_is_unknown_to_the_shipped_catalogue(model: str) -> None:
    assert SHIPPED.find(model) is None


def test_what_has_no_tier_costs_the_same_in_all_where_the_tier_has_no_price_of_its_own() -> None:
    model = catalogue(
        entry(
            """
            { tier = "standard", input = "1", output = "2" },
            { tier = "standard", to = "2026-11-24", grounding_search_query = "0" },
            { tier = "standard", from = "2026-11-24", grounding_search_query = "14" },
            { tier = "standard", cache_storage_token_hour = "1", confidence = "doubtful" },
            { tier = "batch", input = "0.5", cache_storage_token_hour = "0.5" },
            { tier = "flex", from = "2026-11-20", input = "0.7" },
            """
        )
    ).models()[0]

    def found(tier: str, day: date) -> tuple[int | None, int | None, bool]:
        tariff = model.tariff(tier, day, 5)
        assert tariff is not None
        return (
            tariff.prices.get("grounding_search_query"),
            tariff.prices.get("cache_storage_token_hour"),
            "output_text" in tariff.prices or "cache_storage_token_hour" in tariff.confidence,
        )

    yesterday = TODAY - timedelta(days=1)
    assert found("standard", TODAY) == (14 * 10**9, 10**6, True)
    assert found("batch", TODAY) == (14 * 10**9, 500_000, False)
    assert found("batch", yesterday) == (0, 500_000, False)
    assert found("flex", TODAY) == (14 * 10**9, 10**6, True)
    assert model.tariff("flex", date(2026, 11, 19), 5) is None
    assert model.tariff("priority", TODAY, 5) is None


def test_cached_tokens_are_never_dearer_than_fresh_ones_in_the_shipped_catalogue() -> None:
    shipped = SHIPPED
    tariffs = [row for model in shipped.models() for rows in model.tariffs.values() for row in rows]
    pairs = [
        (price, tariff.prices[component.replace("cached_", "input_")])
        for tariff in tariffs
        for component, price in tariff.prices.items()
        if component.startswith("cached_")
    ]
    assert len(pairs) > 300
    assert all(cached <= uncached for cached, uncached in pairs)


def test_the_document_of_one_model_has_its_rows_with_their_bounds_and_every_alias() -> None:
    always = (
        '{ tier = "standard", input = "0.30" }, '
        '{ tier = "standard", grounding_search_query = "14", confidence = "likely" }'
    )
    held = 'tier = "batch", from = "2026-01-01", to = "2026-02-01"'
    bounded = (
        f'{{ {held}, context = "<=200k", input_text = "1" }}, '
        f'{{ {held}, context = ">200k", input_text = "2" }}'
    )
    found = catalogue(
        entry(f"{always}, {bounded}", more='inputs = ["text"]'),
        entry(ids='"other"'),
        aliases='l = [{ from = "2026-01-01", model = "m" }]',
    )
    document: Any = catalogue_document(found, found.find("m"))
    (model,) = document["models"]
    rows = model.pop("prices")
    assert model == {"ids": ("m",), "source": "a page", "note": ""}
    assert [(row["tier"], row["prompt_above"], row["prompt_up_to"]) for row in rows] == [
        ("standard", None, None),
        ("batch", None, 200_000),
        ("batch", 200_000, None),
    ]
    assert document["version"] == found.version
    assert (document["checked"], document["currency"]) == (found.checked, "USD")
    assert rows[0] == {
        "tier": "standard",
        "from": None,
        "to": None,
        "prompt_above": None,
        "prompt_up_to": None,
        "per_1m_tokens": {"input_text": "0.300000000000"},
        "prices": {
            "input_text": {"unit": "per_1m_tokens", "usd": "0.300000000000"},
            "grounding_search_query": {"unit": "per_1k", "usd": "14.000000000000"},
        },
        "confidence": {"grounding_search_query": "likely"},
        "own": [],
    }
    assert rows[2] == {
        "tier": "batch",
        "from": date(2026, 1, 1),
        "to": date(2026, 2, 1),
        "prompt_above": 200_000,
        "prompt_up_to": None,
        "per_1m_tokens": {"input_text": "2.000000000000"},
        "prices": {
            "grounding_search_query": {"unit": "per_1k", "usd": "14.000000000000"},
            "input_text": {"unit": "per_1m_tokens", "usd": "2.000000000000"},
        },
        "confidence": {"grounding_search_query": "likely"},
        "own": [],
    }
    assert document["aliases"] == {"l": [{"from": date(2026, 1, 1), "model": "m"}]}
    assert len(catalogue_document(found)["models"]) == 2


@cases(
    ("other", "same"),
    [
        (entry(rows='# A comment.\n { input = "0.300", tier = "standard" } '), True),
        (entry().replace("a page", "another page"), True),
        (entry(more='note = "noted"'), True),
        (entry(rows='{ tier = "standard", input = "0.31" }'), False),
        (entry(rows='{ tier = "standard", from = "2026-01-01", input = "0.30" }'), False),
        (entry(rows='{ tier = "batch", input = "0.30" }'), False),
        (entry(ids='"n"'), False),
        (entry(ids='"m", "n"'), False),
        (entry() + '[aliases]\nl = [{ from = "2026-01-01", model = "m" }]', False),
    ],
)
def test_a_version_is_the_day_of_the_check_and_a_hash_of_what_is_priced(other: str, same: bool) -> None:
    versions = Catalogue.parse(HEAD + entry()).version, Catalogue.parse(HEAD + other).version
    assert [version.rpartition("-")[0] for version in versions] == ["2026-11-24"] * 2
    assert (versions[0] == versions[1]) is same


def test_the_order_of_entries_is_not_part_of_a_version() -> None:
    one, other = entry(), entry(ids='"n"', rows='{ tier = "batch", output = "1" }')
    assert catalogue(one, other).version == catalogue(other, one).version
