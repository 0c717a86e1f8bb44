"""The answers of a package beside our costs, and the reason of each that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pricing.oracles.calls import Call, call_of, cost_if, our_cost
from pricing.oracles.genai_prices import GENAI_PRICES
from pricing.oracles.grid import DAYS, TODAY, cases_of, days_of, kind_of, tiers_of
from pricing.oracles.litellm import LITELLM_COUNTS
from pricing.oracles.litellm_table import LITELLM_TABLE
from pricing.oracles.reasons import Reason

FOLDER = Path(__file__).parent
REASONS: dict[str, Sequence[Reason]] = {
    "genai-prices": GENAI_PRICES,
    "litellm": (*LITELLM_COUNTS, *LITELLM_TABLE),
}
ASKED_ON = {"genai-prices": DAYS, "litellm": (TODAY,)}
UNKNOWN = "unknown"
# More things at once than these make no explanation.
MOST_REASONS = 4
# A package that counts in binary floats is off by some 1e-16 of the amount.
FLOAT_ERROR = Decimal("1e-10")


class Answer(NamedTuple):
    """A call of the grid, what the package said to it (dollars or a refusal), and what we say."""

    call: Call
    said: str
    ours: int | None

    @property
    def theirs(self) -> Decimal | None:
        """In pico-dollars."""
        return None if self.said[0].isalpha() else Decimal(self.said).scaleb(12)

    def is_by(self, cost: int | None) -> bool:
        """Whether the package's answer is this cost, floats aside."""
        theirs = self.theirs
        if theirs is None or cost is None:
            return theirs is None and cost is None
        return abs(theirs - cost) <= FLOAT_ERROR * cost


class Compared(NamedTuple):
    """`reasons` is empty where both agree, None where nothing explains that they do not."""

    answer: Answer
    reasons: tuple[Reason, ...] | None


def release(package: str) -> str:
    return _file(package)["release"]


@cache
def _file(package: str) -> dict[str, object]:
    return json.loads((FOLDER / f"{package}.json").read_text("utf-8"))


def answers(package: str) -> Iterator[Answer]:
    for model, blocks in _file(package)["answers"].items():
        kind = kind_of(model)
        for day, tier, given in _given(blocks, model, kind, ASKED_ON[package]):
            for case, said in zip(cases_of(kind, day), given, strict=True):
                call = call_of(model, tier, day, kind, case)
                yield Answer(call, said, our_cost(call))


def _given(
    blocks: str | list[list[str]], model: str, kind: str, days: tuple[str, ...]
) -> Iterator[tuple[str, str, list[str]]]:
    if isinstance(blocks, str):
        for day in days_of(model, days):
            for tier in tiers_of(kind, day):
                yield day, tier, [blocks] * len(cases_of(kind, day))
        return
    for in_days, tiers, *given in blocks:
        for day in in_days.split():
            for tier in tiers.split():
                yield day, tier, given


@cache
def compare(package: str) -> tuple[Compared, ...]:
    return tuple(
        Compared(answer, () if answer.is_by(answer.ours) else explain(answer, REASONS[package]))
        for answer in answers(package)
    )


def explain(answer: Answer, reasons: Sequence[Reason]) -> tuple[Reason, ...] | None:
    """The fewest reasons, in their order, that together give the package's answer."""
    fitting = [reason for reason in reasons if reason.is_for(answer.call)]
    if answer.theirs is None:
        return next(((reason,) for reason in fitting if reason.answer == answer.said), None)
    changing = [reason for reason in fitting if reason.change]
    for count in range(1, MOST_REASONS + 1):
        for chosen in combinations(changing, count):
            if answer.is_by(_cost_by(answer.call, chosen)):
                return chosen
    return None


def _cost_by(call: Call, reasons: Sequence[Reason]) -> int | None:
    for reason in reasons:
        assert reason.change is not None
        call = reason.change(call)
    return cost_if(call)
