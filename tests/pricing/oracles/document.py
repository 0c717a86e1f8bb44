"""docs/prices.md: how a price is found, and where the common tables say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from textwrap import fill

from pricing.oracles.comparison import REASONS, Answer, Compared, compare, release
from pricing.oracles.reasons import Reason

from gatekeeper.money import short_usd

NAMES = {"genai-prices": "genai-prices", "litellm": "LiteLLM"}
RIGHT = {"we": "we are", "they": "they are", "open": "Google does not say"}
# More models than these are counted, not named.
MOST_NAMED = 4
LINE = 118

RULES = Path(__file__).parent / "rules.md"

COMPARISON = """## Compared with {name} {release}

{calls} calls: {models} models, each in the tiers of its time, with {kinds} kinds of usage{days}.

- {same} cost the same{floats}.
- {neither} have no price in either.
- {different} differ. The rules below reproduce each of these amounts to the last digit, some of them several
  at once; a test holds that.

"""


def prices_document() -> str:
    """The whole text of docs/prices.md."""
    parts = [RULES.read_text("utf-8")]
    for package in REASONS:
        parts.extend(_comparison(package))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _comparison(package: str) -> Iterator[str]:
    compared = compare(package)
    yield _summary(package, compared)
    rules: dict[str, list[Reason]] = {}
    for reason in REASONS[package]:
        rules.setdefault(reason.rule, []).append(reason)
    explained = {
        rule: [each for each in compared if any(reason in reasons for reason in each.reasons or ())]
        for rule, reasons in rules.items()
    }
    yield "| what it does | calls | right |\n| --- | --- | --- |\n" + "".join(
        f"| {rule} | {len(explained[rule])} | {RIGHT[reasons[0].right]} |\n"
        for rule, reasons in rules.items()
    )
    for rule, reasons in rules.items():
        yield _section(rule, reasons[0], explained[rule])


def _summary(package: str, compared: Sequence[Compared]) -> str:
    days = {each.answer.call.day for each in compared}
    different = sum(each.reasons != () for each in compared)
    neither = sum(each.reasons == () and each.answer.ours is None for each in compared)
    floats = [each.answer.said for each in compared if each.reasons == () and _is_inexact(each.answer)]
    return COMPARISON.format(
        name=NAMES[package],
        release=release(package),
        calls=len(compared),
        models=len({each.answer.call.model for each in compared}),
        kinds=len({(each.answer.call.kind, each.answer.call.case) for each in compared}),
        days=f" on {len(days)} days from {min(days)} to {max(days)}" if len(days) > 1 else f" on {min(days)}",
        same=len(compared) - different - neither,
        floats=f", {len(floats)} but for the error of binary floats (`{floats[0]}`)" if floats else "",
        neither=neither,
        different=different,
    )


def _section(rule: str, reason: Reason, explained: Sequence[Compared]) -> str:
    # The plainest example: no other reason beside this one, and two amounts to compare.
    example = min(explained, key=lambda each: (len(each.reasons or ()), each.answer.ours is None))
    models = list(dict.fromkeys(each.answer.call.model for each in explained))
    return f"### {rule}\n\n" + "".join(
        fill(point, LINE, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"
        for point in (
            f"{len(explained)} calls of {_named(models)}. {_example(example.answer)}",
            f"Right: {RIGHT[reason.right]}. {reason.why}",
            f"Source: {reason.source}.",
        )
    )


def _named(models: list[str]) -> str:
    if len(models) > MOST_NAMED:
        return f"{len(models)} models"
    return ", ".join(f"`{model}`" for model in models)


def _example(answer: Answer) -> str:
    call = answer.call
    return (
        f"`{call.model}`, {call.tier}, {call.day}, “{call.case}”: "
        f"theirs {_dollars(answer.theirs, answer.said)}, ours {_dollars(answer.ours, 'null')}."
    )


def _dollars(pico: Decimal | int | None, otherwise: str) -> str:
    return f"`{otherwise}`" if pico is None else f"${short_usd(round(pico))}"


def _is_inexact(answer: Answer) -> bool:
    return answer.theirs is not None and answer.theirs != answer.ours
