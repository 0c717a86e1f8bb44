"""An upper bound for a call of unknown cost, so that a budget can count it. Pure.

An estimate is charged to a key's budget and is never a cost: the ledger's cost stays unknown. The rules:

- Reported tokens that only searches keep from being priced cost their price. A search costs $0.035 a request
  (Gemini 2.5 and older) or $0.014 for each distinct query (pricing page, "Grounding"); if it ran and no query
  is listed, it counts as `DEFAULT_QUERY_COUNT` queries.
- Other reported tokens cost the model's highest price of that day over all tiers, contexts and modalities;
  for a model without any price that day, the highest of the whole catalogue.
- If the prompt was not reported, each byte of the request counts as a token, up to the largest context window
  (which is what a compressed request counts as). Output that was not reported counts as the longest possible
  one: 65,536 tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from gatekeeper.gemini.actions import EMBEDDING
from gatekeeper.gemini.usage import Usage
from gatekeeper.money import PICO, short_usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import NO_BILLED_UNITS, quote
from gatekeeper.pricing.tariff import PricedModel, Tariff
from gatekeeper.pricing.units import TOKENS, unit_of

MAX_PROMPT_TOKENS = 1_048_576  # tokens
# Tokens, thoughts included
MAX_OUTPUT_TOKENS = 65_536
# List prices: the pricing page under "Grounding".
SEARCH_REQUEST = 35 * PICO // 1000
SEARCH_QUERY = 14 * PICO // 1000
DEFAULT_QUERY_COUNT = 10

# Models whose searches are billed once a request, not by query.
BILLED_PER_REQUEST = re.compile(r"gemini-[12]\.")


class Estimate(NamedTuple):
    """Pico-dollars, and an explanation in words."""

    pico: int
    note: str


class Prices(NamedTuple):
    """Pico-dollars per token."""

    input_pico: int
    output_pico: int


def estimate(
    catalogue: Catalogue,
    *,
    model: str | None,
    model_version: str | None,
    usage: Usage | None,
    at: datetime,
    tier: str,
    action: str | None,
    billed_units: Mapping[str, int | None] = NO_BILLED_UNITS,
    request_bytes: int | None,
) -> Estimate:
    """An upper bound for a call that reached Google and has no known cost. The parameters are those of
    `quote.quote`; `request_bytes` None: the length of the request is not known."""
    name = model_version or model or ""
    searches = sum(_search(name, count) for count in billed_units.values())
    # Without `billed_units`, which would leave it unpriced: the searches are added below.
    exact = usage and quote(
        catalogue,
        model=model or name,
        model_version=model_version,
        usage=usage,
        at=at,
        tier=tier,
        action=action,
    )
    if exact and exact.cost_pico is not None:
        return _with_note(exact.cost_pico + searches, "the searches at their list price")
    input_tokens, output_tokens, assumption = _tokens(usage, action, request_bytes)
    prices = _highest_prices(catalogue, name, at.astimezone(UTC).date())
    return _with_note(
        input_tokens * prices.input_pico + output_tokens * prices.output_pico + searches,
        f"{input_tokens:,} tokens of input and {output_tokens:,} of output{assumption} "
        "at the model's highest prices",
    )


def upper_bound(
    catalogue: Catalogue, *, model: str | None, day: date, action: str | None, request_bytes: int | None
) -> int:
    """The estimate in pico-dollars for a call on that day (UTC) of which only the request is known."""
    input_tokens, output_tokens, _ = _tokens(None, action, request_bytes)
    prices = _highest_prices(catalogue, model or "", day)
    return input_tokens * prices.input_pico + output_tokens * prices.output_pico


def upper_bound_note(pico: int | None) -> str | None:
    """The note to an `upper_bound`, for a call that reported nothing more."""
    return None if pico is None else _with_note(pico, "the most that its request can have cost").note


def _with_note(pico: int, how: str) -> Estimate:
    return Estimate(pico, f"estimated for the budget: {short_usd(pico)} USD, {how}")


def _search(name: str, queries: int | None) -> int:
    if BILLED_PER_REQUEST.match(name.removeprefix("models/")):
        return SEARCH_REQUEST
    return SEARCH_QUERY * (DEFAULT_QUERY_COUNT if queries is None else queries)


def _tokens(usage: Usage | None, action: str | None, request_bytes: int | None) -> tuple[int, int, str]:
    """Tokens of input and output (the larger where counts contradict each other), and what was assumed."""
    known = usage or Usage()
    assumed: list[str] = []
    prompt = known.prompt
    if prompt is None:
        prompt = MAX_PROMPT_TOKENS if request_bytes is None else min(MAX_PROMPT_TOKENS, request_bytes)
        assumed.append("input")
    input_tokens = max(prompt, known.cached or 0) + (known.tool or 0)
    output_tokens = 0 if action in EMBEDDING else _output(known, input_tokens)
    if output_tokens is None:
        output_tokens = MAX_OUTPUT_TOKENS
        assumed.append("output")
    return (
        input_tokens,
        output_tokens,
        f" ({' and '.join(assumed)} not reported, the most there can be)" if assumed else "",
    )


def _output(usage: Usage, input_tokens: int) -> int | None:
    """None if nothing was reported."""
    counts: list[int] = []
    if usage.total is not None and usage.total >= input_tokens:
        counts.append(usage.total - input_tokens)
    if usage.output is not None or usage.thoughts is not None:
        counts.append((usage.output or 0) + (usage.thoughts or 0))
    return max(counts, default=None)


# Needed by each call of a key with a budget, and an unknown model means a search of the whole catalogue.
@lru_cache(maxsize=512)
def _highest_prices(catalogue: Catalogue, name: str, day: date) -> Prices:
    model = catalogue.find(catalogue.resolve_alias(name, day))
    prices = _token_prices([model], day) if model else []
    # A model that has no price for tokens that day counts as the most expensive of all.
    prices = prices or _token_prices(catalogue.models(), day)
    return Prices(
        input_pico=max((pico for component, pico in prices if "output_" not in component), default=0),
        output_pico=max((pico for component, pico in prices if "output_" in component), default=0),
    )


def _token_prices(models: Iterable[PricedModel], day: date) -> list[tuple[str, int]]:
    return [
        price
        for tariff in _valid(models, day)
        for price in tariff.prices.items()
        if unit_of(price[0]) is TOKENS
    ]


def _valid(models: Iterable[PricedModel], day: date) -> list[Tariff]:
    return [
        tariff
        for model in models
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if tariff.starts <= day < tariff.ends
    ]
