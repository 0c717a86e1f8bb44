"""What a call of unknown cost is taken to have cost at most, so that a budget can count it. Pure.

An estimate is charged to a key's budget and is never a cost: the ledger's cost stays unknown. The rule:

- Tokens that were reported, with nothing but searches to keep them from being priced, cost their price.
  A search costs $0.035 a request (Gemini 2.5 and older) or $0.014 for each different query (pricing page,
  "Grounding"); where it ran and no query is listed, it counts as `UNLISTED_QUERIES`.
- Other reported tokens cost the dearest price of the model that day, over all tiers, contexts and
  modalities; of a model without any price that day, the dearest of the whole catalogue.
- Of a prompt that was not reported each byte of the request counts as a token, up to the largest window (that
  is what a zipped request counts as), and output that was not reported counts as the longest one there is:
  65,536 tokens.
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
from gatekeeper.pricing.quote import NO_CHARGES, quote
from gatekeeper.pricing.tariff import PricedModel, Tariff

LARGEST_PROMPT = 1_048_576  # tokens
# Tokens, thoughts included
LONGEST_OUTPUT = 65_536
# List prices: the pricing page under "Grounding".
SEARCH_REQUEST = 35 * PICO // 1000
SEARCH_QUERY = 14 * PICO // 1000
UNLISTED_QUERIES = 10

# Whose searches are charged once a request
BY_REQUEST = re.compile(r"gemini-[12]\.")


class Estimate(NamedTuple):
    """Pico-dollars, and in words how they came about."""

    pico: int
    note: str


class Prices(NamedTuple):
    """Pico-dollars for a token."""

    fed: int
    made: int


def estimate(
    catalogue: Catalogue,
    *,
    model: str | None,
    model_version: str | None,
    usage: Usage | None,
    at: datetime,
    tier: str,
    action: str | None,
    charges: Mapping[str, int | None] = NO_CHARGES,
    request_bytes: int | None,
) -> Estimate:
    """An upper estimate for a call that reached Google and has no known cost. The parameters are those of
    `quote.quote`; `request_bytes` None is a request whose length is not known."""
    name = model_version or model or ""
    searches = sum(_search(name, count) for count in charges.values())
    # Without the charges, which would leave it unpriced: the searches are added below.
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
        return _noted(exact.cost_pico + searches, "the searches at their list price")
    fed, made, guess = _tokens(usage, action, request_bytes)
    prices = _dearest(catalogue, name, at.astimezone(UTC).date())
    return _noted(
        fed * prices.fed + made * prices.made + searches,
        f"{fed:,} tokens of input and {made:,} of output{guess} at the model's dearest prices",
    )


def in_advance(
    catalogue: Catalogue, *, model: str | None, day: date, action: str | None, request_bytes: int | None
) -> int:
    """The estimate, in pico-dollars, of a call of that day (UTC) of which only the request is known."""
    fed, made, _ = _tokens(None, action, request_bytes)
    prices = _dearest(catalogue, model or "", day)
    return fed * prices.fed + made * prices.made


def noted_in_advance(pico: int | None) -> str | None:
    """The note to such an estimate, for a call of which no more became known."""
    return None if pico is None else _noted(pico, "the most that its request can have cost").note


def _noted(pico: int, how: str) -> Estimate:
    return Estimate(pico, f"estimated for the budget: {short_usd(pico)} USD, {how}")


def _search(name: str, queries: int | None) -> int:
    if BY_REQUEST.match(name.removeprefix("models/")):
        return SEARCH_REQUEST
    return SEARCH_QUERY * (UNLISTED_QUERIES if queries is None else queries)


def _tokens(usage: Usage | None, action: str | None, request_bytes: int | None) -> tuple[int, int, str]:
    """Tokens of input and output, the larger where counts contradict each other, and what was guessed."""
    known = usage or Usage()
    guessed: list[str] = []
    prompt = known.prompt
    if prompt is None:
        prompt = LARGEST_PROMPT if request_bytes is None else min(LARGEST_PROMPT, request_bytes)
        guessed.append("input")
    fed = max(prompt, known.cached or 0) + (known.tool or 0)
    made = 0 if action in EMBEDDING else _output(known, fed)
    if made is None:
        made = LONGEST_OUTPUT
        guessed.append("output")
    return fed, made, f" ({' and '.join(guessed)} not reported, the most there can be)" if guessed else ""


def _output(usage: Usage, fed: int) -> int | None:
    """None where nothing was reported."""
    counts: list[int] = []
    if usage.total is not None and usage.total >= fed:
        counts.append(usage.total - fed)
    if usage.output is not None or usage.thoughts is not None:
        counts.append((usage.output or 0) + (usage.thoughts or 0))
    return max(counts, default=None)


# Each call of a key with a budget asks, and an unknown model means a look at the whole catalogue.
@lru_cache(maxsize=512)
def _dearest(catalogue: Catalogue, name: str, day: date) -> Prices:
    model = catalogue.find(catalogue.meant(name, day))
    tariffs = _valid([model], day) if model else []
    # A model that has no price that day counts as the dearest of all.
    tariffs = tariffs or _valid(catalogue.models(), day)
    prices = [price for tariff in tariffs for price in tariff.prices.items()]
    return Prices(
        fed=max((pico for component, pico in prices if not component.startswith("output_")), default=0),
        made=max((pico for component, pico in prices if component.startswith("output_")), default=0),
    )


def _valid(models: Iterable[PricedModel], day: date) -> list[Tariff]:
    return [
        tariff
        for model in models
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if tariff.starts <= day < tariff.ends
    ]
