"""A call of the grid, what we say that it costs, and what it would cost if something in it were otherwise:
how an answer of the packages is traced back to the rule behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pricing.oracles.grid import ACTIONS, CASES

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.billed_tokens import (
    Tokens,
    UnpricedError,
    embedding_components,
    generation_components,
    live_components,
)
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS, charged_searches
from gatekeeper.pricing.quote import quote
from gatekeeper.pricing.tariff import Tariff

COMPONENTS = {"live": live_components, "embedding": embedding_components}
SHIPPED = Path(__file__).parents[3] / "gatekeeper" / "pricing" / "prices.toml"


class Call(NamedTuple):
    """`prices` (pico-dollars of one token, search, second or piece; None: no price) take the place of the
    catalogue's. `moved` renames components of the tokens, `extra` are tokens that are charged beside those of
    the usage, and `counted` those that the context's price goes by, where it is not the prompt."""

    model: str
    tier: str
    day: date
    kind: str
    case: str
    usage: Usage | None
    units: Mapping[str, int]
    prices: Mapping[str, int | None] = {}
    moved: Mapping[str, str] = {}
    extra: Mapping[str, int] = {}
    counted: int | None = None


Change = Callable[[Call], Call]


@cache
def shipped() -> Catalogue:
    return Catalogue.parse(SHIPPED.read_text("utf-8"))


@cache
def _case(kind: str, name: str) -> tuple[Usage | None, Mapping[str, int]]:
    case = CASES[kind][name]
    return read_usage(json.dumps(case.usage).encode()) if case.usage else None, case.units


def call_of(model: str, tier: str, day: str, kind: str, case: str) -> Call:
    usage, units = _case(kind, case)
    return Call(model, tier, date.fromisoformat(day), kind, case, usage, units)


def our_cost(call: Call) -> int | None:
    """What the gateway charges, in pico-dollars."""
    at = datetime(call.day.year, call.day.month, call.day.day, 12, tzinfo=UTC)
    return quote(
        shipped(),
        model=call.model,
        model_version=None,
        usage=call.usage,
        at=at,
        tier=call.tier,
        action=ACTIONS.get(call.kind, "generateContent"),
        billed_units=call.units,
    ).cost_pico


def cost_if(call: Call) -> int | None:
    """The same by the call's own prices and components; None where one of them has no price."""
    tariff = _tariff(call)
    changed = {**(tariff.prices if tariff else {}), **call.prices}
    prices = {name: price for name, price in changed.items() if price is not None}
    try:
        tokens = COMPONENTS.get(call.kind, generation_components)(call.usage, prices) if call.usage else {}
    except UnpricedError:
        return None
    used = {**_moved(tokens, call.moved), **_units(call, prices), **call.extra}
    if used.keys() - prices.keys():
        return None
    return sum(count * prices[component] for component, count in used.items())


def _tariff(call: Call) -> Tariff | None:
    model = shipped().find(shipped().resolve_alias(call.model, call.day))
    prompt = (call.usage and call.usage.prompt) or 0
    return model and model.tariff(call.tier, call.day, prompt if call.counted is None else call.counted)


def _moved(tokens: Tokens, moved: Mapping[str, str]) -> Tokens:
    found: Tokens = {}
    for component, count in tokens.items():
        if count:
            name = component
            while name in moved:
                name = moved[name]
            found[name] = found.get(name, 0) + count
    return found


def _units(call: Call, prices: Mapping[str, int]) -> dict[str, int]:
    by_price = Tariff(tier=call.tier, prices=dict(prices))
    return dict(
        charged_searches(by_price, name, count) if name in SEARCH_KINDS else (name, count)
        for name, count in call.units.items()
    )  # type: ignore[arg-type]
