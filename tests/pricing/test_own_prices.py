"""A user's own prices over the built-in ones: what they add, what they replace, and what stays."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_faults import CatalogueError
from gatekeeper.startup import load_catalogue

BUILT_IN = Catalogue.parse("""
checked = "2026-11-24"
[aliases]
latest = [{ from = "2026-01-01", model = "old" }, { from = "2026-06-01", model = "a" }]
[[models]]
ids = ["a", "b", "old"]
source = "page"
note = "Noted."
prices = [
  { tier = "standard", input = "1", output = "10", grounding_search_query = "14", confidence = "likely" },
  { tier = "batch", input = "0.5", output = "5" },
]
[[models]]
ids = ["long"]
source = "page"
inputs = ["text"]
prices = [
  { tier = "standard", context = "<=200k", input = "1" },
  { tier = "standard", context = ">200k", input = "2" },
]
[[models]]
ids = ["free-*"]
source = "page"
prices = [{ tier = "standard", input = "0", output = "0" }]
""")
DAY = date(2026, 11, 24)
BEFORE = date(2026, 11, 23)


def own(ids: str, rows: str, more: str = "") -> Catalogue:
    return BUILT_IN.with_own(f"[[models]]\nids = [{ids}]\nprices = [{rows}]\n{more}")


def price(
    catalogue: Catalogue, model: str, component: str, tier: str = "standard", day: date = DAY, prompt: int = 5
) -> int | None:
    """Dollars for a million tokens, or for a thousand searches."""
    found = catalogue.find(model)
    tariff = found and found.tariff(tier, day, prompt)
    pico = tariff.prices.get(component) if tariff else None
    return None if pico is None else pico // (10**9 if component.startswith("grounding") else 10**6)


def test_a_price_wins_where_its_row_covers_and_elsewhere_the_built_in_one_stays() -> None:
    found = own('"a"', '{ tier = "standard", from = "2026-11-24", input_text = "7" }')
    assert price(found, "a", "input_text") == price(found, "models/a", "input_text") == 7
    assert price(found, "a", "input_text", day=BEFORE) == 1
    assert price(found, "a", "input_audio") == 1
    assert price(found, "a", "output_text") == 10
    assert price(found, "a", "input_text", "batch") == 0
    assert price(found, "b", "input_text") == 1
    model = found.find("a")
    assert model
    tariff = model.tariff("standard", DAY, 5)
    assert tariff
    assert tariff.own == {"input_text"}
    assert set(tariff.confidence) == tariff.prices.keys() - tariff.own
    assert (model.ids, model.source, model.note) == (("a",), "page", "Noted.")


def test_a_period_that_ends_gives_the_built_in_price_back() -> None:
    found = own('"a"', '{ tier = "standard", from = "2026-11-01", to = "2026-11-24", input = "7" }')
    assert [price(found, "a", "input_text", day=day) for day in (date(2026, 10, 31), BEFORE, DAY)] == [
        1,
        7,
        1,
    ]


def test_what_has_no_tier_is_the_own_standard_price_in_any_tier() -> None:
    found = own('"a"', '{ tier = "standard", grounding_search_query = "7" }')
    assert price(found, "a", "grounding_search_query", "batch") == 7
    assert price(found, "a", "grounding_search_query", "flex") is None


def test_a_tier_that_only_the_own_file_has() -> None:
    found = own('"a"', '{ tier = "flex", input = "7" }')
    assert price(found, "a", "input_text", "flex") == 7
    assert price(found, "a", "output_text", "flex") is None
    assert price(found, "a", "grounding_search_query", "flex") == 14


def test_a_context_of_its_own_where_the_built_in_file_has_the_other() -> None:
    found = own('"long"', '{ tier = "standard", context = ">200k", input_text = "7" }')
    assert price(found, "long", "input_text") == 1
    assert price(found, "long", "input_text", prompt=200_001) == 7


@cases(
    ("ids", "tier", "component"),
    [
        ('"new"', "standard", "input_text"),
        ('"long", "new"', "standard", "input_text"),
        ('"new-*"', "standard", "input_text"),
        ('"long"', "flex", "input_text"),
        ('"long"', "standard", "output_text"),
    ],
)
def test_half_a_context_of_what_is_not_built_in(ids: str, tier: str, component: str) -> None:
    problem = f"^line 3: nothing prices {component} \\({tier}\\) for prompts up to"
    with pytest.raises(CatalogueError, match=problem):
        own(ids, f'{{ tier = "{tier}", context = ">200k", {component} = "7" }}')


def test_a_hole_in_time_is_a_fault_even_where_there_is_a_built_in_price() -> None:
    with pytest.raises(CatalogueError, match="from 2026-01-01 to 2026-02-01"):
        own(
            '"a"',
            '{ tier = "batch", to = "2026-01-01", input = "7" }, '
            '{ tier = "batch", from = 2026-02-01, input = "8" }',
        )


def test_new_models_and_globs() -> None:
    found = own('"new", "newer-*"', '{ tier = "standard", input = "7" }')
    assert [price(found, name, "input_text") for name in ("new", "newer-1", "newest", "a")] == [7, 7, None, 1]
    assert found.models()[:3] == BUILT_IN.models()
    assert found.models()[-1].ids == ("new", "newer-*")


def test_an_own_glob_covers_models_that_are_built_in() -> None:
    found = own('"*"', '{ tier = "standard", input = "7" }')
    names = ("a", "long", "free-x", "whatever")
    assert [price(found, name, "input_text") for name in names] == [7] * 4
    assert [price(found, name, "output_text") for name in names] == [10, None, 0, None]
    assert [model.ids for model in found.models_of("free-*")] == [("free-*",)]


@cases(
    ("ids", "expected"),
    [('"free-x"', [7, 0, 0]), ('"free-x*"', [7, 7, 0]), ('"free-*"', [7, 7, 7]), ('"free*"', [7, 7, 7])],
)
def test_an_own_id_or_glob_over_a_built_in_glob(ids: str, expected: list[int]) -> None:
    found = own(ids, '{ tier = "standard", input = "7" }')
    assert [price(found, name, "input_text") for name in ("free-x", "free-x1", "free-y")] == expected
    assert [price(found, name, "output_text") for name in ("free-x", "free-x1", "free-y")] == [0, 0, 0]


def test_of_the_own_file_too_an_exact_id_wins_over_a_glob_and_a_longer_one_over_a_shorter() -> None:
    found = BUILT_IN.with_own(
        "".join(
            f'[[models]]\nids = ["{name}"]\nsource = "contract {usd}"\n'
            f'prices = [{{ tier = "batch", input = "{usd}" }}]\n'
            for name, usd in (("*", 2), ("a*", 3), ("a", 4))
        )
    )
    assert [price(found, name, "input_text", "batch") for name in ("a", "ab", "b")] == [4, 3, 2]
    assert [model.source for name in ("a", "ab") if (model := found.find(name))] == [
        "page; own prices: contract 4",
        "contract 3",
    ]


def test_aliases_are_added_and_go_on_from_the_own_first_day() -> None:
    steps = '[{ from = "2026-08-01", model = "b" }]'
    found = BUILT_IN.with_own(f"[aliases]\nlatest = {steps}\nmine = {steps}\nnone = []")
    days = (date(2026, 2, 1), date(2026, 7, 1), date(2026, 8, 1))
    assert [found.resolve_alias("latest", day) for day in days] == ["old", "a", "b"]
    assert [found.resolve_alias("mine", day) for day in days] == ["mine", "mine", "b"]
    assert BUILT_IN.resolve_alias("latest", days[2]) == "a"


def test_an_alias_of_nothing_known() -> None:
    with pytest.raises(CatalogueError, match="line 2: 'x' is no model"):
        BUILT_IN.with_own('[aliases]\nmine = [{ from = "2026-08-01", model = "x" }]')


@cases(
    ("text", "checked", "same"),
    [
        ("", "2026-11-24", True),
        ('version = "mine"\nchecked = "2026-01-01"', "2026-11-24", True),
        ('checked = "2026-11-25"', "2026-11-25", True),
        ('[[models]]\nids = ["a"]\nprices = [{ tier = "batch", input = "0.5" }]', "2026-11-24", True),
        ('[[models]]\nids = ["a"]\nprices = [{ tier = "batch", input = "0.4" }]', "2026-11-24", False),
        ('[aliases]\nmine = [{ from = "2026-08-01", model = "a" }]', "2026-11-24", False),
    ],
)
def test_the_version_changes_with_what_is_priced(text: str, checked: str, same: bool) -> None:
    version = BUILT_IN.with_own(text).version
    assert version.startswith(f"{checked}-")
    assert (version.rpartition("-")[2] == BUILT_IN.version.rpartition("-")[2]) is same


DAYS = st.integers(1, 28).map(lambda day: date(2026, 11, day))
PROMPTS = st.sampled_from([0, 200_000, 200_001])


@given(
    st.tuples(DAYS, DAYS).filter(lambda pair: pair[0] < pair[1]),
    st.sampled_from(["", 'context = "<=200k", ', 'context = ">200k", ']),
    st.sampled_from(["standard", "batch"]),
    st.sampled_from(["input_text", "output_text", "grounding_search_query"]),
    st.sampled_from(["a", "b", "long", "free-x"]),
)
def test_any_own_row_changes_what_it_covers_and_nothing_else(
    period: tuple[date, date], context: str, tier: str, component: str, model: str
) -> None:
    row = f'{{ tier = "{tier}", {context}from = "{period[0]}", to = "{period[1]}", {component} = "99" }}'
    try:
        found = own(f'"{model}"', row)
    except CatalogueError:
        assert context  # half a context that the built-in file does not have
        return
    for name in ("a", "b", "long", "free-x"):
        for day in (date(2026, 10, 1), period[0], date(2026, 11, 14), period[1]):
            for prompt in (0, 200_001):
                covered = (
                    name == model
                    and period[0] <= day < period[1]
                    and (not context or (prompt > 200_000) == (">" in context))
                )
                for each in ("standard", "batch"):
                    for part in ("input_text", "output_text", "grounding_search_query"):
                        was, now = (price(of, name, part, each, day, prompt) for of in (BUILT_IN, found))
                        if covered and each == tier and part == component:
                            assert now == 99
                        elif not (covered and part.startswith("grounding") and tier == "standard"):
                            assert now == was or (covered and was is None)


def test_the_example_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text("utf-8")
    found = load_catalogue().with_own(text.partition("```toml\n")[2].partition("```")[0])
    assert price(found, "gemini-3.8-flash", "output_text") == 2
    assert price(found, "gemini-2.5-flash", "grounding_search_request", "flex") == 30
    assert price(found, "gemini-5-preview", "output_text", prompt=300_000) == 27
