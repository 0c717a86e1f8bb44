"""Several quotes as one, and how quantities are written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gatekeeper.pricing.cost_line import CostLine
from gatekeeper.pricing.quote import Quote, sum_of_quotes
from gatekeeper.pricing.quote_document import plain_decimal

TOKENS = "per_1m_tokens"


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


@pytest.mark.parametrize(
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
