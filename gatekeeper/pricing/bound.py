"""What a call that has not run yet can cost at most, by its request. Pure.

- Prompt: a token for each byte of the request, up to the largest context window; that window where the
  request names what is not in it (a file, a cached content, an earlier interaction, a store to search) or is
  compressed. Then the bound is not firm: such a call mostly costs far less.
- Output: `maxOutputTokens` for each candidate, up to the longest output of one response (a long decode is
  charged hop by hop); the longest output where none is named, and then the bound is not firm either.
- At the highest price of the model's that day in the tier that is asked for, of any modality (of text where
  the request holds nothing else), and of any context that a prompt of so many tokens may be in; a model
  without a price costs as much as the dearest.
- Pictures, songs and seconds of video as they are asked for, else the most that one request can ask for.
- Searches, where a tool may search: `worst_case.DEFAULT_QUERY_COUNT`, or as many as a policy allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import EMBEDDING, MEDIA_ACTIONS, OPENAI_EMBEDDING
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS
from gatekeeper.pricing.tariff import Tariff
from gatekeeper.pricing.worst_case import (
    MAX_OUTPUT_TOKENS,
    MAX_PROMPT_TOKENS,
    Prices,
    highest_prices,
    max_units,
    prices_of,
)

USUAL_OUTPUT = 1024
"""Tokens."""
WITHOUT_OUTPUT_TOKENS = EMBEDDING | MEDIA_ACTIONS | {OPENAI_EMBEDDING}
SHORT_PROMPT = 200_000
"""Tokens, up to which no model has a price for long prompts."""


class RequestedUse(msgspec.Struct, frozen=True):
    """The properties of a request that bound its cost. `request_bytes` None: the length is unknown.
    `has_references`: the input includes content that is not in the body. `is_text`: it has no media.
    `output_tokens` None: the request sets no limit. `searches` is how often its tools may search. `units` are
    the billed units other than tokens; None: the quantity is unknown."""

    action: str | None
    request_bytes: int | None
    has_references: bool
    is_text: bool
    output_tokens: int | None
    candidates: int
    tiers: tuple[str, ...]
    searches: int
    units: Mapping[str, int | None]


class Bound(msgspec.Struct, frozen=True, gc=False):
    """In pico-dollars; `input_pico` is the price of one token of input, `usual_pico` what a request of this
    length with an answer of `USUAL_OUTPUT` tokens costs. `is_firm`: the call cannot cost more."""

    pico: int
    is_firm: bool
    input_pico: int
    usual_pico: int


def bound(catalogue: Catalogue, model: str, day: date, requested: RequestedUse) -> Bound:
    """Of a call on that day (UTC)."""
    whole = requested.request_bytes is not None and not requested.has_references
    prompt = min(MAX_PROMPT_TOKENS, requested.request_bytes or 0) if whole else MAX_PROMPT_TOKENS
    prices = _prices(catalogue, model, day, requested.tiers or ("standard",), is_long=prompt > SHORT_PROMPT)
    output = _output(requested)
    input_pico = prices.text_pico if requested.is_text and whole else prices.input_pico
    pico = prompt * input_pico + (MAX_OUTPUT_TOKENS if output is None else output) * prices.output_pico
    pico += _pieces(prices, requested)
    if requested.searches:
        # Of Google Search and Maps the dearer: a tool may use either.
        pico += requested.searches * max(prices.units_pico.get(name, 0) for name in SEARCH_KINDS)
    usual = (requested.request_bytes or 0) * input_pico + USUAL_OUTPUT * prices.output_pico
    return Bound(pico, whole and output is not None, input_pico, usual)


def _output(requested: RequestedUse) -> int | None:
    """Tokens; None if nothing limits them but the model itself."""
    if (
        requested.action in EMBEDDING
        or requested.action == OPENAI_EMBEDDING
        or requested.action in MEDIA_ACTIONS
    ):
        return 0
    if requested.output_tokens is None:
        return None
    return min(requested.output_tokens, MAX_OUTPUT_TOKENS) * requested.candidates


def _pieces(prices: Prices, requested: RequestedUse) -> int:
    if requested.units:
        known = {name: count for name, count in requested.units.items() if count is not None}
        if len(known) == len(requested.units):
            return prices.units(known)
    return max_units(prices, requested.action)


# Needed by each call of a key with a budget.
@lru_cache(maxsize=512)
def _prices(catalogue: Catalogue, name: str, day: date, tiers: tuple[str, ...], *, is_long: bool) -> Prices:
    model = catalogue.find(catalogue.resolve_alias(name, day))
    if model is None:
        return highest_prices(catalogue, name, day)
    rows = [row for tier in tiers for row in model.tariffs.get(tier, ()) if _holds(row, day, is_long=is_long)]
    return prices_of(rows, catalogue, day) if rows else highest_prices(catalogue, name, day)


def _holds(row: Tariff, day: date, *, is_long: bool) -> bool:
    # Also those that begin below: the prices of 1.5 part at 128k tokens, which such a prompt may have.
    return row.starts <= day < row.ends and (is_long or row.above < SHORT_PROMPT)
