"""The cost of what is billed beside tokens: searches, pictures, films, songs, the storage of caches.

Searches: a model of Gemini 2.5 or older is charged once for a request that searched, a later one for each
different query (pricing page, "Grounding"); the price list has the one or the other. What of them is within
the free allowance of the Google project is counted in the units too, and named in a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gatekeeper.pricing.components import UnpricedError
from gatekeeper.pricing.cost_line import CostLine, cost_line, storage_line
from gatekeeper.pricing.tariff import Tariff
from gatekeeper.pricing.units import (
    CACHE_STORAGE,
    CACHE_TOKEN_SECONDS,
    FREE_MAPS,
    FREE_SEARCHES,
    MAPS_QUERY,
    MAPS_REQUEST,
    SEARCH_QUERY,
    SEARCH_REQUEST,
)


class Grounding(NamedTuple):
    """How a kind of search is charged by models that pay for each request, and how its free part is called,
    in units and in words."""

    request: str
    free: str
    words: str


GROUNDING = {
    SEARCH_QUERY: Grounding(SEARCH_REQUEST, FREE_SEARCHES, "searches"),
    MAPS_QUERY: Grounding(MAPS_REQUEST, FREE_MAPS, "Maps searches"),
}
_FREE = frozenset(kind.free for kind in GROUNDING.values())


def unit_lines(
    name: str, tariff: Tariff, units: Mapping[str, int | None], notes: list[str]
) -> tuple[CostLine, ...]:
    """The lines of a model's units by its price list; what is to be known of them is added to `notes`.
    Raises UnpricedError if one has no price, or an unknown quantity."""
    return tuple(
        line
        for component, quantity in units.items()
        if component not in _FREE
        for line in _lines(name, tariff, component, quantity, units, notes)
    )


def charged_searches(tariff: Tariff, component: str, queries: int | None) -> tuple[str, int | None]:
    """As what, and how often, the searches of one request are charged before the free allowance: by query, or
    once."""
    by_request = GROUNDING[component].request
    if component not in tariff.prices and by_request in tariff.prices:
        # One, too, where it is not known how often it searched: a request pays once.
        return by_request, 0 if queries == 0 else 1
    return component, queries


def _lines(
    name: str,
    tariff: Tariff,
    component: str,
    quantity: int | None,
    units: Mapping[str, int | None],
    notes: list[str],
) -> Iterator[CostLine]:
    if component == CACHE_TOKEN_SECONDS:
        if quantity:
            yield storage_line(quantity, _price(name, tariff, CACHE_STORAGE))
        return
    free = 0
    if kind := GROUNDING.get(component):
        component, quantity = charged_searches(tariff, component, quantity)
        free = min(units.get(kind.free) or 0, quantity or 0)
        if free:
            notes.append(f"{free} of {quantity} {kind.words} are within Google's free allowance")
    price = _price(name, tariff, component)
    # At a price of 0 it does not matter how many there were.
    if quantity is None and price:
        raise UnpricedError(f"the response does not say how many {component} it used")
    if quantity and quantity > free:
        yield cost_line(component, quantity - free, price)


def _price(name: str, tariff: Tariff, component: str) -> int:
    if component not in tariff.prices:
        raise UnpricedError(f"the call also used {component}, for which {name} has no price")
    return tariff.prices[component]
