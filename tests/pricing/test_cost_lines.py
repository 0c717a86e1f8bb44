"""What is billed beside tokens: searches by request or by query, pieces, seconds, the storage of a cache."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.pricing.allowance import FreeSearches, Period, allowance_of, period_of
from gatekeeper.pricing.billed_tokens import UnpricedError
from gatekeeper.pricing.cost_lines import CostLine, cost_line, storage_line, unit_lines
from gatekeeper.pricing.tariff import Tariff

CENT = 10**10  # pico-dollars
SEARCH, MAPS = "grounding_search_query", "grounding_maps_query"
BY_REQUEST = {"grounding_search_request": 35 * CENT // 10, "grounding_maps_request": 25 * CENT // 10}
BY_QUERY = {SEARCH: 14 * CENT // 10, MAPS: 14 * CENT // 10}
FREE = "1 of 2 searches are within Google's free allowance"


@cases(
    ("prices", "units", "lines", "notes"),
    [
        (BY_QUERY, {SEARCH: 2}, [(SEARCH, 2, "per_1k", 28 * 10**9)], []),
        (BY_QUERY, {SEARCH: 0}, [], []),
        (
            BY_QUERY, {SEARCH: 2, MAPS: 1},
            [(SEARCH, 2, "per_1k", 28 * 10**9), (MAPS, 1, "per_1k", 14 * 10**9)], [],
        ),
        (BY_QUERY, {SEARCH: 2, "grounding_search_free": 1}, [(SEARCH, 1, "per_1k", 14 * 10**9)], [FREE]),
        (BY_QUERY, {"grounding_search_free": 9, SEARCH: 2}, [], [FREE.replace("1 of", "2 of")]),
        (BY_REQUEST, {SEARCH: 3}, [("grounding_search_request", 1, "per_1k", 35 * 10**9)], []),
        (BY_REQUEST, {SEARCH: None}, [("grounding_search_request", 1, "per_1k", 35 * 10**9)], []),
        (BY_REQUEST, {SEARCH: 0}, [], []),
        (
            BY_REQUEST, {MAPS: 3, "grounding_maps_free": 1}, [],
            ["1 of 1 Maps searches are within Google's free allowance"],
        ),
        ({SEARCH: 0}, {SEARCH: None}, [], []),
        ({"image_each": 4 * CENT}, {"image_each": 3}, [("image_each", 3, "each", 12 * CENT)], []),
        (
            {"output_video_second_4k": 30 * CENT}, {"output_video_second_4k": 8},
            [("output_video_second_4k", 8, "per_second", 240 * CENT)], [],
        ),
        (
            {"cache_storage_token_hour": 10**6}, {"cache_storage_token_second": 3600 * 10**6},
            [("cache_storage_token_hour", 10**6, "per_1m_token_hours", 10**12)], [],
        ),
        ({"cache_storage_token_hour": 10**6}, {"cache_storage_token_second": 0}, [], []),
    ],
)  # fmt: skip
def test_a_unit_is_charged_as_the_price_list_says(
    prices: dict[str, int],
    units: dict[str, int | None],
    lines: list[tuple[str, int, str, int]],
    notes: list[str],
) -> None:
    said: list[str] = []
    found = unit_lines("gemini", Tariff(tier="standard", prices=prices), units, said)
    assert [(line.component, line.quantity, line.unit, line.pico) for line in found] == lines
    assert said == notes


@pytest.mark.parametrize(
    ("units", "why"),
    [
        ({SEARCH: None}, "does not say how many grounding_search_query"),
        ({"image_each": 1}, "also used image_each, for which gemini has no price"),
        ({"cache_storage_token_second": 1}, "also used cache_storage_token_hour"),
    ],
)
def test_a_unit_without_price_or_quantity_leaves_the_cost_unknown(
    units: dict[str, int | None], why: str
) -> None:
    with pytest.raises(UnpricedError, match=why):
        unit_lines("gemini", Tariff(tier="standard", prices=BY_QUERY), units, [])


def test_the_price_of_a_line_is_that_of_its_unit() -> None:
    assert cost_line("input_text", 3, 300_000) == CostLine(
        "input_text", 3, "per_1m_tokens", 300_000_000_000, 900_000
    )
    twice = cost_line("image_each", 1, CENT).plus(cost_line("image_each", 2, CENT))
    assert twice == CostLine("image_each", 3, "each", CENT, 3 * CENT)


@cases(
    ("token_seconds", "price", "pico"),
    [(3600, 1, 1), (1800, 1, 0), (5400, 1, 2), (9000, 1, 2), (1, 10**6, 278), (3600 * 10**15, 10**6, 10**21)],
)
def test_storage_is_rounded_half_even_to_a_pico_dollar(token_seconds: int, price: int, pico: int) -> None:
    line = storage_line(token_seconds, price)
    assert (line.pico, line.unit_pico) == (pico, price * 10**6)
    assert abs(Fraction(line.quantity) - Fraction(token_seconds, 3600)) <= Fraction(1, 2 * 10**12)


DAY = date(2026, 11, 28)


@cases(
    ("model", "kind", "pool", "limit", "starts"),
    [
        ("gemini-2.5-flash", SEARCH, "search, Gemini 2.5 Flash", 1500, DAY),
        ("gemini-2.5-flash-lite", SEARCH, "search, Gemini 2.5 Flash", 1500, DAY),
        ("gemini-2.5-pro", SEARCH, "search, Gemini 2.5 Pro", 1500, DAY),
        ("gemini-3.8-flash", SEARCH, "search, Gemini 3 and later", 5000, date(2026, 11, 1)),
        ("gemini-flash-latest", SEARCH, "search, Gemini 3 and later", 5000, date(2026, 11, 1)),
        ("gemini-2.0-flash", MAPS, "Maps, Gemini 2 Flash", 1500, DAY),
        ("gemini-2.5-pro", MAPS, "Maps, Gemini 2 Pro", 10_000, DAY),
        ("gemini-4-argon", MAPS, "Maps, Gemini 3 and later", 5000, date(2026, 11, 1)),
    ],
)
def test_an_allowance_is_shared_by_the_models_of_its_pool(
    model: str, kind: str, pool: str, limit: int, starts: date
) -> None:
    allowance = allowance_of(model, kind)
    assert allowance
    assert (allowance.pool, allowance.limit, allowance.period(DAY)) == (pool, limit, starts)


@cases("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemini-robotics-er-1.5", "x"])
def test_other_models_have_no_allowance(model: str) -> None:
    assert allowance_of(model, SEARCH) is None
    assert period_of("#1", model, SEARCH, DAY) is None
    assert FreeSearches().take("#1", model, SEARCH, 3, DAY) == 0


@given(st.lists(st.integers(0, 3000), max_size=9), st.integers(0, 6000))
def test_no_more_is_free_than_the_allowance(searches: list[int], before: int) -> None:
    month = Period("#1", "search, Gemini 3 and later", date(2026, 11, 1))
    free = FreeSearches({month: before})
    taken = [free.take("#1", "gemini-3.8-flash", SEARCH, count, DAY) for count in searches]
    assert sum(taken) == min(sum(searches), max(0, 5000 - before))
    assert free.used[month] == before + sum(taken) if searches else free.used[month] == before
    assert period_of("#1", "gemini-3.8-flash", SEARCH, DAY) == month
    # Another project, and the next month, have their own.
    assert free.take("#2", "gemini-3.8-flash", SEARCH, 5001, DAY) == 5000
    assert free.take("#1", "gemini-3.8-flash", SEARCH, 1, date(2026, 12, 1)) == 1
