"""What a call costs, to the last pico-dollar, with its arithmetic.

- The model priced is the one that served: `modelVersion`, and only without it the requested id, with an alias
  resolved as of that day. If the catalogue does not know it, the cost is unknown, even if the catalogue knows
  the requested id.
- The tier is the one that the response reports as billed (`serviceTier`; "downgraded requests are billed at
  the standard rate"), except that a batch is known from its route.
- A prompt beyond the context threshold raises the price of the whole request, output and cached tokens
  included.
- Searches are charged by request or by query, as the model's price list says. What of them is within Google's
  free allowance is in the notes.
- What the catalogue has no price for is unknown: None with a note, never 0. A free model has prices of 0, and
  a known cost of 0.

Money is exact: quantity x price of one, in integers; neither line nor sum is rounded. The one quotient that
may not end is the storage of a cache, by the second: half even at 12 decimals.
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
from gatekeeper.gemini.usage_total import Usage
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
    """The cost of one call that Google answered with success, begun at `at` (an aware datetime).

    `tier` is what is known of the tier beside the usage: from the route or a header. With `action` None the
    call is of the kind that the model is for. `billed_units` is what is billed beside tokens, and how often
    it was used, by price component (`grounding_search_query`); None: used, not known how often. Where `usage`
    is the sum of several responses, `largest_prompt` decides on the price band. Never raises for invalid
    usage.
    """
    day = at.astimezone(UTC).date()
    named = (model_version or model).removeprefix("models/")
    terms = _terms(catalogue, model, named, day, _billed_tier(tier, usage, action), action)
    priced = terms.model
    notes = _assumptions(named, priced, day, tier, usage)
    # Whatever its price: counting tokens is free even for a model without one.
    if action in FREE_ACTIONS:
        return Quote(priced, 0, (), catalogue.version, tuple(notes))
    try:
        # The cached part counts for the threshold, output and tool use do not ("prompts <= 200k tokens").
        prompt = (usage and usage.prompt) if largest_prompt is None else largest_prompt
        tariff = terms.tariff(prompt or 0)
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
        # Of any prompt: searches have one price, however long it is.
        tariff = _terms(catalogue, model, model, day, _billed_tier(tier, usage, None), None).tariff(0)
    except UnpricedError:
        return {}
    searched = [kind for kind in SEARCH_KINDS if kind in billed_units]
    charged = {kind: charged_searches(tariff, kind, billed_units[kind]) for kind in searched}
    return {
        kind: count for kind, (component, count) in charged.items() if count and tariff.prices.get(component)
    }


def sum_of_quotes(quotes: Iterable[Quote]) -> Quote:
    """The cost of several calls as one, for the responses of a batch: lines of the same component and price
    are added up. Unknown if that of one is unknown; at least one quote is needed."""
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
    """Why no call of this model, begun on that day (UTC) and billed in the standard tier, could be priced,
    whatever usage it reports; None if one could."""
    terms = _terms(catalogue, model, model, day, _billed_tier("standard", None, action), action)
    try:
        tariff = terms.tariff(0)
    except UnpricedError as reason:
        return str(reason)
    wanted = _COMPONENTS.get(action or "")
    if wanted and _kind_of(tariff) not in (None, wanted):
        return f"{terms.model} has no price for {action}"
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

# By action: what its tokens are billed as.
_COMPONENTS: dict[str, Components] = {
    **dict.fromkeys(GENERATING | OPENAI_GENERATING | MEDIA_ACTIONS | INTERACTIONS, generation_components),
    **dict.fromkeys(EMBEDDING | {OPENAI_EMBEDDING}, embedding_components),
    **dict.fromkeys(LIVE_ACTIONS, live_components),
}
# Each model that takes tokens has a price for those of text.
_TEXT_INPUT = {
    generation_components: "input_text",
    embedding_components: "embedding_input_text",
    live_components: "live_input_text",
}


# What these make is counted in pieces or seconds, whatever tokens are reported.
_BY_PIECE = frozenset({"predict", "predictLongRunning", CACHE_STORAGE_ACTION})


def unpriced_kind(model: str, action: str | None) -> str | None:
    """Why this kind of call has no list price, whatever the catalogue holds; None if it may have one."""
    if model.startswith("tunedModels/"):
        return f"{model} is a tuned model: those have no list price"
    if not (action is None or action in _COMPONENTS or action in _BY_PIECE or action == OPENAI_BATCH):
        return f"calls of {action} are not priced by this version"
    return None


def _billed_tier(tier: str, usage: Usage | None, action: str | None) -> str:
    # A batch is known from its route: the usage of its responses does not report it.
    if tier == "batch" or action in BATCHES or action == OPENAI_BATCH:
        return "batch"
    # The billed tier takes precedence over the requested one: a request may be downgraded.
    return (usage and usage.service_tier) or tier


class _Terms(NamedTuple):
    """What the calls of a day are priced by, whatever they use: the model that is priced, its price lists by
    context, and why there is none for any other prompt."""

    model: str
    tariffs: tuple[Tariff, ...]
    why_none: str

    def tariff(self, prompt: int) -> Tariff:
        """`prompt`: all of its tokens, the cached ones too: they decide on the context's price. Raises
        UnpricedError."""
        for tariff in self.tariffs:
            if tariff.fits(prompt):
                return tariff
        raise UnpricedError(self.why_none)


# Needed by each call; few models are in use.
@lru_cache(maxsize=1024)
def _terms(catalogue: Catalogue, model: str, named: str, day: date, tier: str, action: str | None) -> _Terms:
    """`model` was asked for, `named` has served."""
    name = catalogue.resolve_alias(named, day)
    if reason := unpriced_kind(model, action):
        return _Terms(name, (), reason)
    found = catalogue.find(name)
    if found is None:
        return _Terms(name, (), f"{name} is not in the price catalogue of {catalogue.version}")
    tariffs = tuple(tariff for tariff in found.tariffs.get(tier, ()) if tariff.holds(day))
    return _Terms(name, tariffs, f"{name} has no price in tier {tier} on {day}")


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
    """What the model's tokens are billed as; None if it is charged by piece or second."""
    for kind, text in _TEXT_INPUT.items():
        if text in tariff.prices:
            return kind
    return None
