"""What a call costs, to the last pico-dollar, with its arithmetic.

- The model priced is the one that served: `modelVersion`, and only without it the requested id, with an alias
  resolved as of that day. If the catalogue does not know it, the cost is unknown, even if the catalogue knows
  the requested id.
- The tier is the one that the response reports as billed (`serviceTier`; "downgraded requests are billed at
  the standard rate"), except that a batch is known from its route.
- A prompt beyond the context threshold raises the price of the whole request, output and cached tokens
  included.
- What the catalogue has no price for is unknown: None with a note, never 0. A free model has prices of 0, and
  a known cost of 0.

Money is exact: quantity x price per token, in integers; neither line nor sum is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TypedDict

import msgspec

from gatekeeper.gemini.actions import BATCHES, EMBEDDING, FREE_ACTIONS, GENERATING
from gatekeeper.gemini.usage import Usage
from gatekeeper.money import short_usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.components import (
    Tokens,
    UnpricedError,
    embedding_components,
    generation_components,
)
from gatekeeper.pricing.tariff import TOKENS_PER_PRICE, Tariff

UNIT = "per_1m_tokens"

NO_BILLED_UNITS: Mapping[str, int | None] = MappingProxyType({})
_NO_TOKENS = Usage()


class CostLine(msgspec.Struct, frozen=True):
    """One component's arithmetic: `quantity` at `unit_pico` for each `unit` makes `pico` (pico-dollars)."""

    component: str
    quantity: int
    unit: str
    unit_pico: int
    pico: int


class Quote(msgspec.Struct, frozen=True):
    """The cost of a call in pico-dollars; None if unknown: then the notes say why and there are no lines.

    `model` is the id that was priced, `price_version` the catalogue that priced it.
    """

    model: str
    cost_pico: int | None
    lines: tuple[CostLine, ...]
    price_version: str
    notes: tuple[str, ...]


def quote(
    catalogue: Catalogue,
    *,
    model: str,
    model_version: str | None,
    usage: Usage | None,
    at: datetime,
    tier: str = "standard",
    action: str | None = None,
    billed_units: Mapping[str, int | None] = NO_BILLED_UNITS,
) -> Quote:
    """The cost of one call that Google answered with success, begun at `at` (an aware datetime).

    `tier` is what is known of the tier beside the usage: from the route or a header. With `action` None the
    call is of the kind that the model is for. `billed_units` is what the response reports to have been used
    beside tokens, and how often, as price components (`grounding_search_query`): none of them has a price
    here, so any of them leaves the cost unknown. Never raises for invalid usage.
    """
    day = at.astimezone(UTC).date()
    named = (model_version or model).removeprefix("models/")
    priced = catalogue.resolve_alias(named, day)
    notes = tuple(_assumptions(named, priced, day, tier, usage))
    # Before the model is looked up: counting tokens is free even for a model without a price.
    if action in FREE_ACTIONS:
        return Quote(priced, 0, (), catalogue.version, notes)
    try:
        _check_kind(model, action, billed_units)
        tariff, known = _tariff(catalogue, priced, usage, day, _billed_tier(tier, usage, action))
        lines = _lines(priced, tariff, _tokens(tariff, known, action))
    except UnpricedError as reason:
        return Quote(priced, None, (), catalogue.version, (*notes, str(reason)))
    return Quote(priced, sum(line.pico for line in lines), lines, catalogue.version, notes)


# Needed by each call of a key with a budget; few models are in use.
@lru_cache(maxsize=1024)
def unpriced_reason(catalogue: Catalogue, model: str, day: date, action: str | None) -> str | None:
    """Why no call of this model, begun on that day (UTC) and billed in the standard tier, could be priced,
    whatever usage it reports; None if one could."""
    name = catalogue.resolve_alias(model, day)
    try:
        _check_kind(model, action, NO_BILLED_UNITS)
        tariff, _ = _tariff(catalogue, name, _NO_TOKENS, day, _billed_tier("standard", None, action))
    except UnpricedError as reason:
        return str(reason)
    if tariff.is_embedding != (action in EMBEDDING):
        return f"{name} has no price for {action}"
    return None


class QuoteDocument(TypedDict):
    """The contract's JSON of a quote. Amounts are exact decimals without trailing zeros."""

    model: str
    cost_usd: str | None
    lines: list[dict[str, str]]
    price_version: str
    notes: list[str]


def quote_document(quote: Quote) -> QuoteDocument:
    """The quote as the API and `prices quote` show it."""
    return {
        "model": quote.model,
        "cost_usd": None if quote.cost_pico is None else short_usd(quote.cost_pico),
        "lines": [
            {
                "component": line.component,
                "quantity": str(line.quantity),
                "unit": line.unit,
                "unit_usd": short_usd(line.unit_pico),
                "usd": short_usd(line.pico),
            }
            for line in quote.lines
        ],
        "price_version": quote.price_version,
        "notes": list(quote.notes),
    }


def _assumptions(named: str, priced: str, day: date, tier: str, usage: Usage | None) -> Iterator[str]:
    if priced != named:
        yield f"{named} is an alias; on {day} it stood for {priced}"
    if usage is None:
        return
    if usage.service_tier is not None and tier not in ("standard", "batch", usage.service_tier):
        yield f"the usage says that tier {usage.service_tier} was billed, not {tier}"
    if usage.cached and not usage.cached_details and len(usage.prompt_details) > 1:
        yield "the cached tokens have no modality; text of the prompt counts as cached first"


def _check_kind(model: str, action: str | None, billed_units: Mapping[str, int | None]) -> None:
    """Raises UnpricedError for a kind of call whose token counts do not determine its cost."""
    if model.startswith("tunedModels/"):
        raise UnpricedError(f"{model} is a tuned model: those have no list price")
    if action is not None and action not in GENERATING | EMBEDDING:
        raise UnpricedError(f"calls of {action} are not priced by this version")
    if billed_units:
        used = ", ".join(f"{count or ''} {name}".strip() for name, count in sorted(billed_units.items()))
        raise UnpricedError(f"the call also used {used}, which has no price here")


def _billed_tier(tier: str, usage: Usage | None, action: str | None) -> str:
    # A batch is known from its route: the usage of its responses does not report it.
    if tier == "batch" or action in BATCHES:
        return "batch"
    # The billed tier takes precedence over the requested one: a request may be downgraded.
    return (usage and usage.service_tier) or tier


def _tariff(
    catalogue: Catalogue, name: str, usage: Usage | None, day: date, tier: str
) -> tuple[Tariff, Usage]:
    model = catalogue.find(name)
    if model is None:
        raise UnpricedError(f"{name} is not in the price catalogue of {catalogue.version}")
    if usage is None:
        raise UnpricedError("the response reports no usage")
    # The whole prompt counts here, its cached part too.
    tariff = model.tariff(tier, day, usage.prompt or 0)
    if tariff is None:
        raise UnpricedError(f"{name} has no price in tier {tier} on {day}")
    return tariff, usage


def _tokens(tariff: Tariff, usage: Usage, action: str | None) -> Tokens:
    if action in EMBEDDING or (action is None and tariff.is_embedding):
        return embedding_components(usage)
    return generation_components(usage, thinking_priced=tariff.thinking_priced)


def _lines(name: str, tariff: Tariff, tokens: Tokens) -> tuple[CostLine, ...]:
    # A count of 0 needs no price: a fully cached prompt has no input left.
    used = {component: count for component, count in tokens.items() if count}
    if missing := used.keys() - tariff.prices.keys():
        raise UnpricedError(f"{name} has no price for {', '.join(sorted(missing))} in tier {tariff.tier}")
    return tuple(
        CostLine(
            component=component,
            quantity=count,
            unit=UNIT,
            unit_pico=(price := tariff.prices[component]) * TOKENS_PER_PRICE,
            pico=price * count,
        )
        for component, count in used.items()
    )
