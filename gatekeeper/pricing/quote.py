"""Calculates the exact cost of a call, in pico-dollars, with its cost lines.

- The priced model is the one that served the call: `modelVersion`, or without it the requested id, with
  aliases resolved as of that day. If the catalogue does not have it, the cost is unknown, even if it has the
  requested id.
- The tier is the one that the response reports (`serviceTier`; "downgraded requests are billed at the
  standard rate"); only the batch tier follows from the route.
- A prompt beyond the context threshold raises the price of the whole request, output and cached tokens
  included.
- Searches are charged by request or by query, depending on the model's price list. Searches within Google's
  free allowance are mentioned in the notes.
- Without a price in the catalogue the cost is unknown: None with a note, never 0. A free model has prices of
  0, and so a known cost of 0.

Money is exact: quantity x unit price, in integers; neither lines nor sums are rounded. The only exception is
the storage of a cache, which is charged by the second: it is rounded, half even, to 12 decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.actions import (
    BATCHES,
    CACHE_STORAGE_ACTION,
    EMBEDDING,
    FREE_ACTIONS,
    GENERATING,
    INTERACTIONS,
    LIVE_ACTIONS,
    MEDIA_ACTIONS,
    OPENAI_BATCH,
    OPENAI_EMBEDDING,
    OPENAI_GENERATING,
)
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.billed_tokens import (
    Tokens,
    UnpricedError,
    embedding_components,
    generation_components,
    live_components,
)
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS, CostLine, charged_searches, cost_line, unit_lines
from gatekeeper.pricing.tariff import Tariff

NO_BILLED_UNITS: Mapping[str, int | None] = MappingProxyType({})


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
    largest_prompt: int | None = None,
) -> Quote:
    """The cost of one call that succeeded at Google and started at `at` (an aware datetime).

    `tier` applies if the usage has none: it is the one from the route or a header. `action` None: the usual
    one of the model. `billed_units` are quantities of what is billed other than tokens, by price component
    (`grounding_search_query`); None: used, but the quantity is unknown. If `usage` is the sum of several
    responses, `largest_prompt` determines the price band. Never raises for invalid usage.
    """
    day = at.astimezone(UTC).date()
    named = (model_version or model).removeprefix("models/")
    price_lists = _price_lists(catalogue, model, named, day, _billed_tier(tier, usage, action), action)
    priced = price_lists.model
    notes = _assumptions(named, priced, day, tier, usage)
    # Before any price is looked up: counting tokens is free even for a model without one.
    if action in FREE_ACTIONS:
        return Quote(priced, 0, (), catalogue.version, tuple(notes))
    try:
        # Cached tokens count towards the threshold, output and tool use do not ("prompts <= 200k tokens").
        prompt = (usage and usage.prompt) if largest_prompt is None else largest_prompt
        tariff = price_lists.tariff(prompt or 0)
        lines = _token_lines(priced, tariff, usage, action, has_units=bool(billed_units))
        if billed_units:
            lines += unit_lines(priced, tariff, billed_units, notes)
    except UnpricedError as reason:
        return Quote(priced, None, (), catalogue.version, (*notes, str(reason)))
    return Quote(priced, sum([line.pico for line in lines]), lines, catalogue.version, tuple(notes))


def searches_charged(
    catalogue: Catalogue,
    *,
    model: str,
    usage: Usage | None,
    day: date,
    tier: str,
    billed_units: Mapping[str, int | None],
) -> dict[str, int]:
    """How many searches of each kind a call is charged for, before the free allowance of its project; empty
    if its model has no price for them. `model` is the one that served."""
    try:
        # The price of searches does not depend on the length of the prompt.
        tariff = _price_lists(catalogue, model, model, day, _billed_tier(tier, usage, None), None).tariff(0)
    except UnpricedError:
        return {}
    searched = [kind for kind in SEARCH_KINDS if kind in billed_units]
    charged = {kind: charged_searches(tariff, kind, billed_units[kind]) for kind in searched}
    return {
        kind: count for kind, (component, count) in charged.items() if count and tariff.prices.get(component)
    }


def sum_of_quotes(quotes: Iterable[Quote]) -> Quote:
    """The total of several quotes, for the responses of a batch: lines of the same component and price are
    added. The cost is unknown if any of them is. There must be at least one quote."""
    several = list(quotes)
    notes = tuple(dict.fromkeys(note for quote in several for note in quote.notes))
    models = dict.fromkeys(quote.model for quote in several)
    version = several[0].price_version
    costs = [quote.cost_pico for quote in several if quote.cost_pico is not None]
    if len(costs) < len(several):
        return Quote(", ".join(models), None, (), version, notes)
    merged: dict[tuple[str, int], CostLine] = {}
    for line in (line for quote in several for line in quote.lines):
        same = (line.component, line.unit_pico)
        merged[same] = merged[same].plus(line) if same in merged else line
    return Quote(", ".join(models), sum(costs), tuple(merged.values()), version, notes)


# Needed by each call of a key with a budget; few models are in use.
@lru_cache(maxsize=1024)
def unpriced_reason(catalogue: Catalogue, model: str, day: date, action: str | None) -> str | None:
    """Why a call of this model that starts on that day (UTC) in the standard tier cannot be priced, whatever
    its usage; None if it can."""
    price_lists = _price_lists(catalogue, model, model, day, _billed_tier("standard", None, action), action)
    try:
        tariff = price_lists.tariff(0)
    except UnpricedError as reason:
        return str(reason)
    wanted = _COMPONENTS.get(action or "")
    if wanted and _kind_of(tariff) not in (None, wanted):
        return f"{price_lists.model} has no price for {action}"
    return None


def _assumptions(named: str, priced: str, day: date, tier: str, usage: Usage | None) -> list[str]:
    notes: list[str] = []
    if priced != named:
        notes.append(f"{named} is an alias; on {day} it stood for {priced}")
    if usage is None:
        return notes
    if usage.note:
        notes.append(usage.note)
    if usage.service_tier is not None and tier not in ("standard", "batch", usage.service_tier):
        notes.append(f"the usage says that tier {usage.service_tier} was billed, not {tier}")
    if usage.cached and not usage.cached_details and len(usage.prompt_details) > 1:
        notes.append("the cached tokens have no modality; text of the prompt counts as cached first")
    return notes


Components = Callable[[Usage, Mapping[str, int]], Tokens]

# How the tokens of an action are split into components.
_COMPONENTS: dict[str, Components] = {
    **dict.fromkeys(GENERATING | OPENAI_GENERATING | MEDIA_ACTIONS | INTERACTIONS, generation_components),
    **dict.fromkeys(EMBEDDING | {OPENAI_EMBEDDING}, embedding_components),
    **dict.fromkeys(LIVE_ACTIONS, live_components),
}
# Each model that is charged by token has a price for text, whose component shows the kind.
_TEXT_INPUT = {
    generation_components: "input_text",
    embedding_components: "embedding_input_text",
    live_components: "live_input_text",
}


# Charged by piece or second, even if tokens are reported.
_BY_PIECE = frozenset({"predict", "predictLongRunning", CACHE_STORAGE_ACTION})


def unpriced_kind(model: str, action: str | None) -> str | None:
    """Why this kind of call has no list price, whatever is in the catalogue; None if it may have one."""
    if model.startswith("tunedModels/"):
        return f"{model} is a tuned model: those have no list price"
    if not (action is None or action in _COMPONENTS or action in _BY_PIECE or action == OPENAI_BATCH):
        return f"calls of {action} are not priced by this version"
    return None


def _billed_tier(tier: str, usage: Usage | None, action: str | None) -> str:
    # The batch tier follows from the route: the usage of the responses does not report it.
    if tier == "batch" or action in BATCHES or action == OPENAI_BATCH:
        return "batch"
    # The billed tier takes precedence over the requested one: a request may be downgraded.
    return (usage and usage.service_tier) or tier


class _PriceLists(NamedTuple):
    """The prices for a kind of call on a day: the priced model, its price lists by context, and the reason if
    none applies."""

    model: str
    tariffs: tuple[Tariff, ...]
    no_price: str

    def tariff(self, prompt: int) -> Tariff:
        """The price list for a prompt of that many tokens, including cached ones. Raises UnpricedError."""
        for tariff in self.tariffs:
            if tariff.fits(prompt):
                return tariff
        raise UnpricedError(self.no_price)


# Needed by each call; few models are in use.
@lru_cache(maxsize=1024)
def _price_lists(
    catalogue: Catalogue, model: str, named: str, day: date, tier: str, action: str | None
) -> _PriceLists:
    """`model` was requested, `named` served the call."""
    name = catalogue.resolve_alias(named, day)
    if reason := unpriced_kind(model, action):
        return _PriceLists(name, (), reason)
    found = catalogue.find(name)
    if found is None:
        return _PriceLists(name, (), f"{name} is not in the price catalogue of {catalogue.version}")
    tariffs = tuple(tariff for tariff in found.tariffs.get(tier, ()) if tariff.holds(day))
    return _PriceLists(name, tariffs, f"{name} has no price in tier {tier} on {day}")


def _token_lines(
    name: str, tariff: Tariff, usage: Usage | None, action: str | None, *, has_units: bool
) -> tuple[CostLine, ...]:
    kind = _kind_of(tariff)
    if kind is None or action in _BY_PIECE:
        if not has_units:
            raise UnpricedError("the response does not say what it made")
        return ()
    if usage is None:
        raise UnpricedError("the response reports no usage")
    components = _COMPONENTS.get(action or "", kind)
    prices, tokens = tariff.prices, components(usage, tariff.prices)
    try:
        # A count of 0 needs no price: a fully cached prompt has no input left.
        return tuple([cost_line(used, count, prices[used]) for used, count in tokens.items() if count])
    except KeyError:
        missing = ", ".join(sorted(used for used, count in tokens.items() if count and used not in prices))
        raise UnpricedError(f"{name} has no price for {missing} in tier {tariff.tier}") from None


def _kind_of(tariff: Tariff) -> Components | None:
    """How the model's tokens are split into components; None if it is charged by piece or second."""
    for kind, text in _TEXT_INPUT.items():
        if text in tariff.prices:
            return kind
    return None
