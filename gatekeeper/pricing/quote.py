"""What a call costs, to the last pico-dollar, with its arithmetic.

- The model priced is the one that served: `modelVersion`, and only without it the id that was asked for,
  an alias taken as what it meant that day. If the catalogue does not know it, the cost is unknown, however
  well it knows the other of the two.
- The tier is what the answer says was billed (`serviceTier`; "downgraded requests are billed at the
  standard rate"), except that a batch is known from its route.
- A prompt beyond the threshold makes the whole request dearer, output and cached tokens too.
- What the catalogue has no price for is unknown: None with a note, never 0. A free model has prices of 0,
  and costs a known 0.

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
from gatekeeper.pricing.tariff import TOKENS_PER_PRICE, Tariff, Tokens, UnpricedError, embedded, generated

UNIT = "per_1m_tokens"

NO_CHARGES: Mapping[str, int | None] = MappingProxyType({})
_NO_TOKENS = Usage()


class Line(msgspec.Struct, frozen=True):
    """One component's arithmetic: `quantity` at `unit_pico` for each `unit` makes `pico` (pico-dollars)."""

    component: str
    quantity: int
    unit: str
    unit_pico: int
    pico: int


class Quote(msgspec.Struct, frozen=True):
    """The cost of a call in pico-dollars, None where unknown; then the notes say why and there are no lines.

    `model` is the id that was priced, `price_version` the catalogue that priced it.
    """

    model: str
    cost_pico: int | None
    lines: tuple[Line, ...]
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
    charges: Mapping[str, int | None] = NO_CHARGES,
) -> Quote:
    """The cost of one call that Google answered with success, begun at `at` (an aware datetime).

    `tier` is what is known of the tier beside the usage: from the route or a header. `action` None takes
    the call as what the model is for. `charges` says what the answer shows to have been used beside tokens,
    and how often, as price components (`grounding_search_query`): none of them has a price here, so any
    leaves the cost unknown. Never raises for a fault of the usage.
    """
    day = at.astimezone(UTC).date()
    named = (model_version or model).removeprefix("models/")
    priced = catalogue.meant(named, day)
    notes = tuple(_assumptions(named, priced, day, tier, usage))
    # Before the model is looked up: counting tokens of a model without a price is free all the same.
    if action in FREE_ACTIONS:
        return Quote(priced, 0, (), catalogue.version, notes)
    try:
        _check_kind(model, action, charges)
        tariff, known = _tariff(catalogue, priced, usage, day, _billed_tier(tier, usage, action))
        lines = _lines(priced, tariff, _tokens(tariff, known, action))
    except UnpricedError as reason:
        return Quote(priced, None, (), catalogue.version, (*notes, str(reason)))
    return Quote(priced, sum(line.pico for line in lines), lines, catalogue.version, notes)


# A call of a key with a budget asks, and there are few models in use
@lru_cache(maxsize=1024)
def unpriced(catalogue: Catalogue, model: str, day: date, action: str | None) -> str | None:
    """Why no call of this model, begun on that day (UTC) and billed in the standard tier, could be priced
    whatever its usage says; None where one could."""
    name = catalogue.meant(model, day)
    try:
        _check_kind(model, action, NO_CHARGES)
        tariff, _ = _tariff(catalogue, name, _NO_TOKENS, day, _billed_tier("standard", None, action))
    except UnpricedError as reason:
        return str(reason)
    if tariff.embeds != (action in EMBEDDING):
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
        yield f"{named} is an alias; on {day} it meant {priced}"
    if usage is None:
        return
    if usage.service_tier is not None and tier not in ("standard", "batch", usage.service_tier):
        yield f"the usage says that tier {usage.service_tier} was billed, not {tier}"
    if usage.cached and not usage.cached_details and len(usage.prompt_details) > 1:
        yield "the cached tokens have no modality; text of the prompt counts as cached first"


def _check_kind(model: str, action: str | None, charges: Mapping[str, int | None]) -> None:
    """Raises for a kind of call whose whole cost is not in its token counts."""
    if model.startswith("tunedModels/"):
        raise UnpricedError(f"{model} is a tuned model: those have no list price")
    if action is not None and action not in GENERATING | EMBEDDING:
        raise UnpricedError(f"calls of {action} are not priced by this version")
    if charges:
        used = ", ".join(f"{count or ''} {name}".strip() for name, count in sorted(charges.items()))
        raise UnpricedError(f"the call also used {used}, which has no price here")


def _billed_tier(tier: str, usage: Usage | None, action: str | None) -> str:
    # A batch is known from its route: the usage of its answers does not say so.
    if tier == "batch" or action in BATCHES:
        return "batch"
    # What was billed comes before what was asked for: a request may be downgraded.
    return (usage and usage.service_tier) or tier


def _tariff(
    catalogue: Catalogue, name: str, usage: Usage | None, day: date, tier: str
) -> tuple[Tariff, Usage]:
    model = catalogue.find(name)
    if model is None:
        raise UnpricedError(f"{name} is not in the price catalogue of {catalogue.version}")
    if usage is None:
        raise UnpricedError("the answer reports no usage")
    # The whole prompt counts here, its cached part too.
    tariff = model.tariff(tier, day, usage.prompt or 0)
    if tariff is None:
        raise UnpricedError(f"{name} has no price in tier {tier} on {day}")
    return tariff, usage


def _tokens(tariff: Tariff, usage: Usage, action: str | None) -> Tokens:
    if action in EMBEDDING or (action is None and tariff.embeds):
        return embedded(usage)
    return generated(usage, thinking_priced=tariff.thinking_priced)


def _lines(name: str, tariff: Tariff, tokens: Tokens) -> tuple[Line, ...]:
    # What is 0 needs no price: a prompt that was cached whole has no input left.
    used = {component: count for component, count in tokens.items() if count}
    if missing := used.keys() - tariff.prices.keys():
        raise UnpricedError(f"{name} has no price for {', '.join(sorted(missing))} in tier {tariff.tier}")
    return tuple(
        Line(
            component=component,
            quantity=count,
            unit=UNIT,
            unit_pico=(price := tariff.prices[component]) * TOKENS_PER_PRICE,
            pico=price * count,
        )
        for component, count in used.items()
    )
