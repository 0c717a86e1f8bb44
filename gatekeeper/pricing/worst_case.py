"""An upper bound for a call of unknown cost, so that a budget can count it. Pure.

The bound is charged to a key's budget, but it is not a cost: the cost in the ledger stays unknown. The rules:

- If the cost is unknown only because of searches, the reported tokens are charged at their price, and the
  searches at theirs; if a search ran and no query is listed, it counts as `DEFAULT_QUERY_COUNT` queries.
- Other reported tokens are charged at the model's highest price of that day over all tiers, contexts and
  modalities; for a model without any price that day, at the highest in the catalogue.
- If the prompt was not reported, each byte of the request counts as a token, up to the largest context window
  (a compressed request counts as all of that). If the output was not reported, it counts as the longest
  possible: 65,536 tokens.
- For a model that is charged by piece or second, and for calls that generate images or videos with an unknown
  model, the maximum of one request (`MAX_UNITS`) at the highest price; also for pieces and seconds whose
  number is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from gatekeeper.gemini.actions import EMBEDDING, MEDIA_ACTIONS
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS
from gatekeeper.pricing.cost_notes import budget_note
from gatekeeper.pricing.price_components import IMAGE, MUSIC, TOKENS, VIDEO_RESOLUTIONS, VIDEO_SECOND, unit_of
from gatekeeper.pricing.quote import NO_BILLED_UNITS, quote
from gatekeeper.pricing.tariff import PricedModel, Tariff

MAX_PROMPT_TOKENS = 1_048_576  # tokens
# Tokens, thoughts included
MAX_OUTPUT_TOKENS = 65_536
DEFAULT_QUERY_COUNT = 10
# Maximum of one request, by price component: images, songs, total seconds of video (the parameters
# `sampleCount` and `durationSeconds` of Imagen and Veo).
MAX_UNITS = {IMAGE: 4, MUSIC: 1, **{VIDEO_SECOND + size: 4 * 8 for size in VIDEO_RESOLUTIONS}}


class WorstCase(NamedTuple):
    """An upper bound in pico-dollars, and a note that explains it."""

    pico: int
    note: str


class Prices(NamedTuple):
    """The highest prices, in pico-dollars: per token of input, of text input and of output, and per single
    unit of everything else."""

    input_pico: int
    text_pico: int
    output_pico: int
    units_pico: dict[str, int]

    def units(self, quantities: Mapping[str, int]) -> int:
        """The price of these quantities, in pico-dollars."""
        return sum(count * self.units_pico.get(name, 0) for name, count in quantities.items())


def worst_case(
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
) -> WorstCase:
    """An upper bound for a call that reached Google and whose cost is unknown. For the parameters see
    `quote.quote`; `request_bytes` None: the length of the request is unknown."""
    name = model_version or model or ""
    prices = highest_prices(catalogue, name, at.astimezone(UTC).date())
    assumed = dict(_assumed(prices, unit, count) for unit, count in billed_units.items())
    exact = quote(
        catalogue,
        model=model or name,
        model_version=model_version,
        usage=usage,
        at=at,
        tier=tier,
        action=action,
        billed_units=assumed,
    )
    if exact.cost_pico is not None:
        what = "the searches" if not SEARCH_KINDS.keys().isdisjoint(assumed) else "all that it can have made"
        return _with_note(exact.cost_pico, f"{what} at their list price")
    input_tokens, output_tokens, assumption = _tokens(usage, action, request_bytes)
    tokens = input_tokens * prices.input_pico + output_tokens * prices.output_pico
    return _with_note(
        tokens + (prices.units(assumed) or max_units(prices, action)),
        f"{input_tokens:,} tokens of input and {output_tokens:,} of output{assumption} "
        "at the model's highest prices",
    )


def _assumed(prices: Prices, unit: str, count: int | None) -> tuple[str, int]:
    """The unit and its quantity, or the maximum if the quantity is unknown."""
    if count is not None:
        return unit, count
    if unit.startswith(VIDEO_SECOND):
        # The body of the request is unknown, and so is the requested resolution.
        unit = max(
            (VIDEO_SECOND + size for size in VIDEO_RESOLUTIONS), key=lambda name: prices.units({name: 1})
        )
    return unit, MAX_UNITS.get(unit, DEFAULT_QUERY_COUNT)


def max_units(prices: Prices, action: str | None) -> int:
    """The highest cost of one request for images, videos or songs, in pico-dollars."""
    # An unknown model counts as each of these kinds, but only if the action generates media.
    if prices.output_pico and action not in MEDIA_ACTIONS:
        return 0
    return max(count * prices.units_pico.get(name, 0) for name, count in MAX_UNITS.items())


def _with_note(pico: int, how: str) -> WorstCase:
    return WorstCase(pico, budget_note(pico, how))


def _tokens(usage: Usage | None, action: str | None, request_bytes: int | None) -> tuple[int, int, str]:
    """The tokens of input and output (the larger count if they contradict each other), and a note on what was
    assumed."""
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
    # The larger one if they contradict each other: this is an upper bound.
    return max(counts, default=None)


# Needed by each call of a key with a budget, and an unknown model means a search of the whole catalogue.
@lru_cache(maxsize=512)
def highest_prices(catalogue: Catalogue, name: str, day: date) -> Prices:
    model = catalogue.find(catalogue.resolve_alias(name, day))
    rows = _valid([model], day) if model else []
    # A model that has no price that day counts as the most expensive of all.
    return prices_of(rows or _valid(catalogue.models(), day), catalogue, day)


def prices_of(rows: Iterable[Tariff], catalogue: Catalogue, day: date) -> Prices:
    """The highest prices in these rows; if they have no price for searches, the highest in the catalogue that
    day."""
    highest = _highest_by_component(rows)
    everywhere = _everywhere(catalogue, day)
    tokens = {name: price for name, price in highest.items() if unit_of(name) is TOKENS}
    units = {name: price for name, price in highest.items() if name not in tokens}
    # A request that searches is charged once or by query: the higher of both prices, so that the bound holds.
    for query, kind in SEARCH_KINDS.items():
        known = units if kind.request in units or query in units else everywhere
        units[query] = max(known.get(query, 0), known.get(kind.request, 0))
    inputs = {name: price for name, price in tokens.items() if not _is_output(name)}
    return Prices(
        max(inputs.values(), default=0),
        max((price for name, price in inputs.items() if name.endswith("text")), default=0),
        max((price for name, price in tokens.items() if _is_output(name)), default=0),
        units,
    )


@lru_cache(maxsize=4)
def _everywhere(catalogue: Catalogue, day: date) -> dict[str, int]:
    return _highest_by_component(_valid(catalogue.models(), day))


def _highest_by_component(rows: Iterable[Tariff]) -> dict[str, int]:
    highest: dict[str, int] = {}
    for tariff in rows:
        for component, price in tariff.prices.items():
            highest[component] = max(price, highest.get(component, 0))
    return highest


def _is_output(component: str) -> bool:
    return component.startswith(("output_", "live_output_"))


def _valid(models: Iterable[PricedModel], day: date) -> list[Tariff]:
    return [
        tariff
        for model in models
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if tariff.starts <= day < tariff.ends
    ]
