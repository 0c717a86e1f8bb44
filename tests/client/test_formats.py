"""Money, tokens, times and bars as they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.client import formats

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)


@cases(
    ("amount", "shown"),
    [
        (None, "?"),
        ("0", "$0"),
        ("0.000000000000", "$0"),
        ("0.0041", "$0.0041"),
        ("0.00414999", "$0.0041"),
        ("0.000112", "$0.00011"),
        ("0.0000083", "$0.0000083"),
        ("0.000000999", "<$0.000001"),
        ("0.009999", "$0.0100"),
        ("0.0294", "$0.0294"),
        ("0.99999", "$1.00"),
        ("1", "$1.00"),
        ("12.4", "$12.40"),
        ("612.405", "$612.40"),
        ("612.415", "$612.42"),
        ("999.999", "$1,000"),
        ("1204.4", "$1,204"),
        ("1234567.5", "$1,234,568"),
        ("-3", "-$3.00"),
    ],
)
def test_money(amount, shown):
    assert formats.money(None if amount is None else Decimal(amount)) == shown


@given(st.decimals(min_value="0.000001", max_value="1000000", places=12))
@settings(max_examples=examples(40))
def test_shown_money_is_within_half_of_its_last_two_digits(amount):
    shown = Decimal(formats.money(amount).lstrip("$").replace(",", ""))
    assert abs(shown - amount) <= amount * Decimal("0.051")


@cases(
    ("amount", "shown"),
    [
        ("800.000000000000", "$800"),
        ("0.5", "$0.50"),
        ("0.001", "$0.001"),
        ("0.0125", "$0.0125"),
        ("12.40", "$12.40"),
        ("1000", "$1,000"),
        (None, "?"),
    ],
)
def test_round_money(amount, shown):
    assert formats.round_money(None if amount is None else Decimal(amount)) == shown


@cases(
    ("amount", "shown"),
    [
        ("0.0000672", "$0.000067200000"),
        ("1204.5", "$1,204.500000000000"),
        ("0", "$0.000000000000"),
        (None, "?"),
    ],
)
def test_exact_money(amount, shown):
    assert formats.exact_money(None if amount is None else Decimal(amount)) == shown


@cases(
    ("amount", "shown"),
    [("0.3", "$0.30"), ("0.075", "$0.075"), ("10", "$10.00"), ("1E+1", "$10.00"), (None, "?")],
)
def test_price(amount, shown):
    assert formats.price(None if amount is None else Decimal(amount)) == shown


@cases(
    ("text", "padded"),
    [("$0.0041", "$0.0041 "), ("$12.40", "$12.40   "), ("?", "?      "), ("$0.00011", "$0.00011")],
)
def test_decimal_points_stand_below_each_other(text, padded):
    assert formats.align_decimal(text, 5) == padded


@cases(
    ("number", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (9999, "9,999"),
        (10_000, "10.0k"),
        (12_345, "12.3k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_234_567, "1.2M"),
        (310_000_000, "310M"),
        (1_200_000_000, "1.2B"),
        (7 * 10**15, "7000T"),
    ],
)
def test_tokens(number, shown):
    assert formats.tokens(number) == shown


@given(st.integers(0, 10**13))
@settings(max_examples=examples(40))
def test_tokens_take_no_more_than_six_cells(number):
    assert len(formats.tokens(number)) <= 6


@cases(
    ("number", "shown"),
    [
        (None, "–"),
        (812, "812 B"),
        (2104, "2.1 kB"),
        (18_211, "18 kB"),
        (999_600, "1.0 MB"),
        (5 * 10**9, "5.0 GB"),
    ],
)
def test_size(number, shown):
    assert formats.size(number) == shown


@cases(
    ("milliseconds", "shown"),
    [
        (None, "–"),
        (0.3, "0.3ms"),
        (9.96, "10ms"),
        (212.4, "212ms"),
        (999.6, "1.00s"),
        (3410.2, "3.41s"),
        (9996, "10.0s"),
        (59_960, "1m00s"),
        (125_000, "2m05s"),
        (3_599_600, "1h00m"),
        (3_840_000, "1h04m"),
    ],
)
def test_duration(milliseconds, shown):
    assert formats.duration(milliseconds) == shown


@cases(
    ("seconds", "shown"),
    [
        (0, "now"),
        (9, "now"),
        (-5, "now"),
        (40, "40 s"),
        (200, "3 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
        (3_456_000, "40 d"),
    ],
)
def test_ago(seconds, shown):
    assert formats.ago(NOW - timedelta(seconds=seconds), NOW) == shown


def test_local_times_are_those_of_the_person():
    at = datetime(2026, 11, 30, 23, 30, 5, 418_000, tzinfo=UTC)
    assert formats.clock(at) == "00:30:05"
    assert formats.day(at) == "1 Dec"
    assert formats.moment(at) == "1 Dec 2026, 00:30:05.418"
    assert (formats.clock(None), formats.moment(None), formats.ago(None, NOW)) == ("–", "–", "never")


@pytest.mark.parametrize(
    ("name", "shown"), [("0193f2c4-7b1e-7c40-9d0a-5f1d9c1c2ab1", "0193f2c4…2ab1"), ("open", "open")]
)
def test_short_id(name, shown):
    assert formats.short_id(name) == shown


@cases(
    ("part", "whole", "shown"),
    [
        (612, 1284, "48 %"),
        (Decimal("0.4"), Decimal(100), "0.4 %"),
        (9, 9, "100 %"),
        (0, 9, "0 %"),
        (None, 9, "0 %"),
        (3, 0, "0 %"),
        (5, 3, "100 %"),
    ],
)
def test_share(part, whole, shown):
    assert formats.percent(formats.share(part, whole)) == shown


@cases(
    ("fraction", "drawn"),
    [(0, "    "), (0.001, "▏   "), (0.5, "██  "), (0.53, "██▏ "), (1, "████"), (7, "████"), (-1, "    ")],
)
def test_bar(fraction, drawn):
    assert formats.bar(fraction, 4) == drawn
