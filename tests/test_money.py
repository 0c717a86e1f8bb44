"""Dollars in, pico-dollars, dollars out: nothing is lost, and what would be lost is refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.money import PICO, pico, short_usd, usd

EDGE = 10**30  # far beyond DECIMAL(18,12)


@cases(
    ("amount", "text"),
    [
        (0, "0.000000000000"),
        (1, "0.000000000001"),
        (-1, "-0.000000000001"),
        (107_500_000, "0.000107500000"),
        (PICO, "1.000000000000"),
        (-3 * PICO // 2, "-1.500000000000"),
        (999_999_999_999_999_999, "999999.999999999999"),
    ],
)
def test_an_amount_is_shown_with_its_twelve_places(amount: int, text: str) -> None:
    assert usd(amount) == text


@cases(
    ("amount", "text"),
    [(0, "0"), (3 * PICO // 10, "0.3"), (20 * PICO, "20"), (1, "0.000000000001"), (-PICO // 2, "-0.5")],
)
def test_for_people_an_amount_has_no_more_places_than_it_needs(amount: int, text: str) -> None:
    assert short_usd(amount) == text


@given(st.integers(-EDGE, EDGE))
def test_dollars_and_pico_dollars_are_each_others_inverse(amount: int) -> None:
    assert pico(usd(amount)) == amount
    assert Fraction(usd(amount)) * PICO == amount


@cases(
    ("amount", "expected"),
    [
        (0.1, PICO // 10),
        (1e-7, 100_000),
        (1e-12, 1),
        (2.675, 2_675_000_000_000),
        (3, 3 * PICO),
        ("0.30", 3 * PICO // 10),
        ("1e3", 1000 * PICO),
        ("-0", 0),
        (Decimal("0.000000000001"), 1),
        ("1." + "0" * 40, PICO),
    ],
)
def test_a_float_counts_as_the_decimal_that_it_is_written_as(
    amount: str | float | Decimal, expected: int
) -> None:
    assert pico(amount) == expected


@given(st.integers(0, 10**9), st.integers(1, 12))
def test_no_float_adds_an_error_of_its_own(digits: int, places: int) -> None:
    written = Decimal(digits).scaleb(-places)
    assert pico(float(written)) == written * PICO


@cases(
    "amount",
    [
        "0.0000000000001",
        "1.0000000000000000001",
        0.1 + 0.2,
        "1e-13",
        "1e-400000",
        "1e400000",
        "9" * 70,
        1e300,
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        float("inf"),
        "",
        "1,50",
        "$1",
        "one",
        "\ud800",
        True,
    ],
)
def test_what_is_no_amount_or_not_exact_is_refused_by_name(amount: str | float) -> None:
    with pytest.raises(ValueError, match="is no amount of dollars") as refused:
        pico(amount)
    assert repr(amount) in str(refused.value)
