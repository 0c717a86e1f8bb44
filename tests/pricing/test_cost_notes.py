"""What a row's usage_note says of its cost is read back."""

from __future__ import annotations

from rig.cases import cases

from gatekeeper.pricing.cost_notes import (
    BUDGET_NOTE,
    NOT_BY_USAGE,
    is_priced_by_usage,
    reserved_note,
    with_budget_note,
)

BUDGET = f"{BUDGET_NOTE} 0.25 USD, what was reserved for it"


@cases("text", NOT_BY_USAGE)
def test_a_cost_of_something_else_than_the_usage_is_told_apart(text: str) -> None:
    assert not is_priced_by_usage(f"the first; {text} and more; {BUDGET}")


@cases("note", [None, "", BUDGET, f"the total leaves the thoughts out; {BUDGET}"])
def test_other_notes_leave_the_cost_to_the_usage(note: str | None) -> None:
    assert is_priced_by_usage(note)


@cases(
    ("note", "earlier", "kept"),
    [
        (None, None, None),
        ("new", "old", "new"),
        ("new", f"old; {BUDGET}", f"new; {BUDGET}"),
        (None, BUDGET, BUDGET),
    ],
)
def test_what_the_budget_was_charged_stays_in_the_note(
    note: str | None, earlier: str | None, kept: str | None
) -> None:
    assert with_budget_note(note, earlier) == kept


def test_an_upper_bound_is_noted_for_the_budget() -> None:
    assert reserved_note(250_000_000_000) == BUDGET
