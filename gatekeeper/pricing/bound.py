"""The upper bound of the cost of a call before it runs, from its request. Pure.

- Prompt: one token per byte of the request, up to the largest context window. If the request references
  content that is not in it (a file, a cached content, an earlier interaction, a store to search) or is
  compressed, the whole context window; then the bound is not firm, because most such calls cost far less.
- Output: `maxOutputTokens` for each candidate, up to the longest output of one response (each request of a
  long decode is a call of its own). Without that setting the longest output, and then the bound is not firm
  either.
- Price: the model's highest price on that day in the requested tier, of any modality (of text if the request
  has nothing else) and of any context that a prompt of that size may be in; for a model without a price, the
  highest of all models.
- Images, songs and seconds of video: the requested number, else the maximum of one request.
- Searches, if a tool may search: `worst_case.DEFAULT_QUERY_COUNT`, or as many as a policy allows.
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
"""Tokens of a typical response."""
WITHOUT_OUTPUT_TOKENS = EMBEDDING | MEDIA_ACTIONS | {OPENAI_EMBEDDING}
SHORT_PROMPT = 200_000
"""Tokens; no model has a long-context price up to this."""


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
    """The upper bound `pico`, in pico-dollars. `is_firm`: the call cannot cost more. `input_pico` is the
    price of one input token, `usual_pico` the cost of a request of this length with `USUAL_OUTPUT` output
    tokens."""

    pico: int
    is_firm: bool
    input_pico: int
    usual_pico: int


def bound(catalogue: Catalogue, model: str, day: date, requested: RequestedUse) -> Bound:
    """The bound of a call on that day (UTC)."""
    whole = requested.request_bytes is not None and not requested.has_references
    prompt = min(MAX_PROMPT_TOKENS, requested.request_bytes or 0) if whole else MAX_PROMPT_TOKENS
    prices = _prices(catalogue, model, day, requested.tiers or ("standard",), is_long=prompt > SHORT_PROMPT)
    output = _output(requested)
    input_pico = prices.text_pico if requested.is_text and whole else prices.input_pico
    pico = prompt * input_pico + (MAX_OUTPUT_TOKENS if output is None else output) * prices.output_pico
    pico += _pieces(prices, requested)
    if requested.searches:
        # The higher price of Google Search and Maps: a tool may use either.
        pico += requested.searches * max(prices.units_pico.get(name, 0) for name in SEARCH_KINDS)
    usual = (requested.request_bytes or 0) * input_pico + USUAL_OUTPUT * prices.output_pico
    return Bound(pico, whole and output is not None, input_pico, usual)


def _output(requested: RequestedUse) -> int | None:
    """Output tokens; None if only the model itself limits them."""
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
    # Also rows with a lower threshold: the prices of 1.5 change at 128k tokens, which such a prompt may have.
    return row.starts <= day < row.ends and (is_long or row.above < SHORT_PROMPT)
