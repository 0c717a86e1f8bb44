"""The values of usage fields at their bounds."""

from __future__ import annotations

from rig.cases import cases

from gatekeeper.gemini.json_values import MAX_TOKEN_COUNT, read_count, read_details, read_tier


@cases(
    ("value", "count"),
    [
        (0, 0),
        ("0", 0),
        (MAX_TOKEN_COUNT, MAX_TOKEN_COUNT),
        (MAX_TOKEN_COUNT + 1, None),
        (-1, None),
        (12.0, 12),
        (12.5, None),
        (True, None),
        ("12 ", None),
        (None, None),
        ([], None),
    ],
)
def test_a_count_is_a_whole_number_up_to_a_bound(value: object, count: int | None) -> None:
    assert read_count(value) == count


def test_details_are_read_by_the_name_of_their_count() -> None:
    value = [{"modality": "TEXT", "tokenCount": 3, "tokens": 4}]
    assert read_details(value) == (("text", 3),)
    assert read_details(value, "tokens") == (("text", 4),)


@cases(
    ("value", "tier"),
    [("FLEX", "flex"), ("", None), ("UNSPECIFIED", None), (2, "2"), ([], None), (None, None)],
)
def test_a_tier_is_a_name_or_a_number(value: object, tier: str | None) -> None:
    assert read_tier(value) == tier
