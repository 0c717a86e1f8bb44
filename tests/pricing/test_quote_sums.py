"""Several quotes as one, what is billed by the piece, and how quantities are written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from rig.cases import cases

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import CostLine
from gatekeeper.pricing.price_documents import plain_decimal
from gatekeeper.pricing.quote import Quote, quote, searches_charged, sum_of_quotes

TOKENS = "per_1m_tokens"
SEARCH, MAPS = "grounding_search_query", "grounding_maps_query"
CATALOGUE = Catalogue.parse("""
version = "version"
checked = "2026-11-24"
currency = "USD"

[aliases]
latest = [{ from = "2026-01-01", model = "by-query" }]

[[models]]
ids = ["by-request"]
source = "invented"
prices = [{ tier = "standard", input = "1", output = "10", grounding_search_request = "35" }]

[[models]]
ids = ["by-query"]
source = "invented"
prices = [
  { tier = "standard", input = "1", output = "10" },
  { tier = "standard", grounding_search_query = "14", grounding_maps_query = "0" },
]

[[models]]
ids = ["songs"]
source = "invented"
prices = [{ tier = "standard", music_each = "0.08" }]
""")
AT = datetime(2026, 11, 24, tzinfo=UTC)


def line(component: str, quantity: int, price: int) -> CostLine:
    return CostLine(component, quantity, TOKENS, price * 10**6, price * quantity)


def quoted(model: str, *lines: CostLine, notes: tuple[str, ...] = ()) -> Quote:
    return Quote(model, sum(each.pico for each in lines), lines, "version", notes)


def test_lines_of_the_same_component_and_price_are_added_up() -> None:
    cheap, dear, output = line("input_text", 3, 2), line("input_text", 5, 4), line("output_text", 7, 10)
    found = sum_of_quotes(
        [
            quoted("a", cheap, output, notes=("one",)),
            quoted("b", dear, notes=("two", "one")),
            quoted("a", cheap),
        ]
    )
    assert found == Quote(
        "a, b", 6 + 20 + 6 + 70, (line("input_text", 6, 2), output, dear), "version", ("one", "two")
    )


def test_one_unknown_cost_makes_the_sum_unknown() -> None:
    unknown = Quote("b", None, (), "version", ("why",))
    found = sum_of_quotes([quoted("a", line("input_text", 3, 2)), unknown])
    assert found == Quote("a, b", None, (), "version", ("why",))


@cases(
    ("quantity", "text"),
    [
        (100, "100"),
        (0, "0"),
        (Decimal("1.50"), "1.5"),
        (Decimal("2.0"), "2"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.000277777778"), "0.000277777778"),
    ],
)
def test_a_quantity_is_written_without_exponent_and_trailing_zeros(
    quantity: int | Decimal, text: str
) -> None:
    assert plain_decimal(quantity) == text


@cases(
    ("model", "units", "charged"),
    [
        ("by-query", {SEARCH: 2}, {SEARCH: 2}),
        ("models/by-query", {SEARCH: 2}, {SEARCH: 2}),
        ("latest", {SEARCH: 2}, {SEARCH: 2}),
        ("by-request", {SEARCH: 2}, {SEARCH: 1}),
        # None of it, at a price of 0, without a price, not known how often, of an unknown model
        ("by-query", {SEARCH: 0}, {}),
        ("by-query", {MAPS: 2}, {}),
        ("by-request", {MAPS: 2}, {}),
        ("by-query", {SEARCH: None}, {}),
        ("other", {SEARCH: 2}, {}),
        ("by-query", {"image_each": 2}, {}),
    ],
)
def test_searches_are_charged_as_the_model_pays_for_them(
    model: str, units: dict[str, int | None], charged: dict[str, int]
) -> None:
    found = searches_charged(
        CATALOGUE, model=model, usage=None, day=AT.date(), tier="standard", billed_units=units
    )
    assert found == charged


@cases(
    ("model", "action", "units", "cost"),
    [
        # The tokens of what is paid by the piece cost nothing beside it, whatever is reported.
        ("songs", "generateContent", {"music_each": 2}, 16 * 10**10),
        ("songs", "generateContent", {}, None),
        ("by-query", "predict", {SEARCH: 1}, 14 * 10**9),
        ("by-query", "generateContent", {SEARCH: 1}, 14 * 10**9 + 2 * 10**6 + 30 * 10**6),
    ],
)
def test_what_is_paid_by_the_piece(
    model: str, action: str, units: dict[str, int | None], cost: int | None
) -> None:
    found = quote(
        CATALOGUE,
        model=model,
        model_version=None,
        usage=Usage(prompt=2, output=3, total=5),
        at=AT,
        action=action,
        billed_units=units,
    )
    assert found.cost_pico == cost


def test_of_an_unknown_number_of_searches_none_is_noted_as_free() -> None:
    found = quote(
        CATALOGUE,
        model="by-query",
        model_version=None,
        usage=Usage(prompt=2, output=3, total=5),
        at=AT,
        action="generateContent",
        billed_units={SEARCH: None, "grounding_search_free": 1},
    )
    assert (found.cost_pico, len(found.notes)) == (None, 1)
