"""Two tables that are widely used, as oracles: whatever they say otherwise than we do has a reason that gives
their amount exactly. The answers are in `oracles/*.json`, made by `oracles/make.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pricing.oracles.calls import cost_if
from pricing.oracles.comparison import REASONS, Answer, compare, explain
from pricing.oracles.document import prices_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "prices.md"
PACKAGES = sorted(REASONS)


def described(answer: Answer) -> str:
    call = answer.call
    return f"{call.model}, {call.tier}, {call.day}, {call.case}: theirs {answer.said}, ours {answer.ours}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_disagreement_is_unexplained(package: str) -> None:
    assert [described(each.answer) for each in compare(package) if each.reasons is None] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_reason_explains_something(package: str) -> None:
    used = {id(reason) for each in compare(package) for reason in each.reasons or ()}
    assert [reason.rule for reason in REASONS[package] if id(reason) not in used] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_reason_explains_one_amount_only(package: str) -> None:
    for answer in {id(each.reasons[0]): each.answer for each in compare(package) if each.reasons}.values():
        if answer.theirs:
            other = answer._replace(said=str(answer.theirs.scaleb(-12) * 101 / 100))
            assert explain(other, REASONS[package]) is None, described(answer)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_arithmetic_behind_the_reasons_is_that_of_a_quote(package: str) -> None:
    answers = [each.answer for each in compare(package)]
    assert [answer.call for answer in answers if cost_if(answer.call) != answer.ours] == []


def test_the_document_of_the_prices_is_up_to_date() -> None:
    assert DOCUMENT.read_text("utf-8") == prices_document(), "run: python -m tests.pricing.oracles"
