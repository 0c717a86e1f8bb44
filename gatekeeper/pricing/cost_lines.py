"""The lines of a cost: a component, its quantity, its price, and their product; and those of all that is
billed beside tokens: searches, pictures, films, songs, the storage of caches.

Searches: a model of Gemini 2.5 or older is charged once for a request that searched, a later one for each
different query (pricing page, "Grounding"); the price list has the one or the other. What of them is within
the free allowance of the Google project is counted in the units too, and named in a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

import msgspec

from gatekeeper.pricing.billed_tokens import UnpricedError
from gatekeeper.pricing.price_components import (
    CACHE_STORAGE,
    CACHE_TOKEN_SECONDS,
    FREE_MAPS,
    FREE_SEARCHES,
    MAPS_QUERY,
    MAPS_REQUEST,
    SEARCH_QUERY,
    SEARCH_REQUEST,
    unit_of,
)
from gatekeeper.pricing.tariff import Tariff

SECONDS_PER_HOUR = 3600
# Of Python's usual 28 digits 12 decimals leave 16: `quantize` raises for more hours than that.
_HOURS, _SHOWN = Context(prec=60, rounding=ROUND_HALF_EVEN), Decimal(1).scaleb(-12)


class SearchKind(NamedTuple):
    """How a kind of search is charged by models that pay for each request, and how its free part is called,
    in units and in words."""

    request: str
    free: str
    words: str


SEARCH_KINDS = {
    SEARCH_QUERY: SearchKind(SEARCH_REQUEST, FREE_SEARCHES, "searches"),
    MAPS_QUERY: SearchKind(MAPS_REQUEST, FREE_MAPS, "Maps searches"),
}
_FREE = frozenset(kind.free for kind in SEARCH_KINDS.values())


class CostLine(msgspec.Struct, frozen=True):
    """`quantity` at `unit_pico` for each `unit` makes `pico` (pico-dollars). A quantity is whole, except that
    of token-hours."""

    component: str
    quantity: int | Decimal
    unit: str
    unit_pico: int
    pico: int

    def plus(self, other: CostLine) -> CostLine:
        """Both together; `other` has the same component and price."""
        return CostLine(
            self.component, self.quantity + other.quantity, self.unit, self.unit_pico, self.pico + other.pico
        )


def cost_line(component: str, quantity: int, price_pico: int) -> CostLine:
    """`price_pico` is the price of one: of a token, a search, a second, a piece."""
    unit = unit_of(component)
    return CostLine(component, quantity, unit.name, price_pico * unit.size, price_pico * quantity)


def storage_line(token_seconds: int, price_pico: int) -> CostLine:
    """The storage of a cache, at the price of a token-hour. It is charged by the second, so that neither
    hours nor amount may end: both are rounded, half even, to 12 decimals."""
    hours = _HOURS.divide(Decimal(token_seconds), SECONDS_PER_HOUR).quantize(_SHOWN, context=_HOURS)
    pico = int((_HOURS.divide(Decimal(token_seconds * price_pico), SECONDS_PER_HOUR)).to_integral_value())
    unit = unit_of(CACHE_STORAGE)
    return CostLine(CACHE_STORAGE, hours, unit.name, price_pico * unit.size, pico)


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
    by_request = SEARCH_KINDS[component].request
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
    if kind := SEARCH_KINDS.get(component):
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
