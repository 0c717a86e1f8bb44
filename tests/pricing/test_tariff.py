"""Where a price list begins and ends: by day, and by the tokens of the prompt."""

from __future__ import annotations

from datetime import date

from rig.cases import cases

from gatekeeper.pricing.tariff import Tariff

JULY, AUGUST, SEPTEMBER = date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)
LONG = Tariff(tier="standard", prices={}, starts=JULY, ends=AUGUST, above=200_000)
SHORT = Tariff(tier="standard", prices={}, starts=JULY, ends=AUGUST, up_to=200_000)


@cases(
    ("tariff", "day", "prompt", "covered"),
    [
        (LONG, JULY, 200_001, True),
        (LONG, JULY, 200_000, False),
        (SHORT, JULY, 200_000, True),
        (SHORT, JULY, 200_001, False),
        (SHORT, JULY, 0, True),
        (SHORT, date(2026, 6, 30), 0, False),
        (SHORT, date(2026, 7, 31), 0, True),
        (SHORT, AUGUST, 0, False),
    ],
)
def test_a_call_at_the_bounds(tariff: Tariff, day: date, prompt: int, covered: bool) -> None:
    assert tariff.covers(day, prompt) is covered


@cases(
    ("one", "other", "overlap"),
    [
        (SHORT, SHORT, True),
        (SHORT, LONG, False),
        (SHORT, Tariff(tier="flex", prices={}, starts=JULY, ends=AUGUST), False),
        # The one ends on the day on which the other begins.
        (SHORT, Tariff(tier="standard", prices={}, starts=AUGUST, ends=SEPTEMBER), False),
        (SHORT, Tariff(tier="standard", prices={}, starts=date(2026, 7, 31), ends=SEPTEMBER), True),
        (SHORT, Tariff(tier="standard", prices={}, above=199_999), True),
    ],
)
def test_two_lists_overlap_where_some_call_has_both(one: Tariff, other: Tariff, overlap: bool) -> None:
    assert (one.overlaps(other), other.overlaps(one)) == (overlap, overlap)
