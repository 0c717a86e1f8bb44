"""The lines of a cost (component, quantity, unit price, amount), and how they follow from billed units other
than tokens: searches, images, videos, songs, the storage of caches.

Searches: Gemini 2.5 and older are charged once for a request that searched, later models for each distinct
query (pricing page, "Grounding"); a price list has one component or the other. Searches within the free
allowance of the Google project are counted in a unit of their own, and mentioned in a note.
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
# With Python's default precision of 28 digits and 12 decimals, 16 digits are left: `quantize` would raise for
# more hours.
_HOURS, _SHOWN = Context(prec=60, rounding=ROUND_HALF_EVEN), Decimal(1).scaleb(-12)


class SearchKind(NamedTuple):
    """A kind of search: its component in models that are charged by request, the unit of its free part, and
    its name in words."""

    request: str
    free: str
    words: str


SEARCH_KINDS = {
    SEARCH_QUERY: SearchKind(SEARCH_REQUEST, FREE_SEARCHES, "searches"),
    MAPS_QUERY: SearchKind(MAPS_REQUEST, FREE_MAPS, "Maps searches"),
}
_FREE = frozenset(kind.free for kind in SEARCH_KINDS.values())


class CostLine(msgspec.Struct, frozen=True):
    """`quantity` at `unit_pico` per `unit` is `pico` (pico-dollars). Quantities are integers, except
    token-hours."""

    component: str
    quantity: int | Decimal
    unit: str
    unit_pico: int
    pico: int

    def plus(self, other: CostLine) -> CostLine:
        """The sum of two lines with the same component and price."""
        return CostLine(
            self.component, self.quantity + other.quantity, self.unit, self.unit_pico, self.pico + other.pico
        )


def cost_line(component: str, quantity: int, price_pico: int) -> CostLine:
    """`price_pico` is the unit price: per token, search, second, image or song."""
    unit = unit_of(component)
    return CostLine(component, quantity, unit.name, price_pico * unit.size, price_pico * quantity)


def storage_line(token_seconds: int, price_pico: int) -> CostLine:
    """The storage of a cache, at the price per token-hour. It is charged by the second, so neither hours nor
    amount need be finite decimals: both are rounded, half even, to 12 decimals."""
    hours = _HOURS.divide(Decimal(token_seconds), SECONDS_PER_HOUR).quantize(_SHOWN, context=_HOURS)
    pico = int((_HOURS.divide(Decimal(token_seconds * price_pico), SECONDS_PER_HOUR)).to_integral_value())
    unit = unit_of(CACHE_STORAGE)
    return CostLine(CACHE_STORAGE, hours, unit.name, price_pico * unit.size, pico)


def unit_lines(
    name: str, tariff: Tariff, units: Mapping[str, int | None], notes: list[str]
) -> tuple[CostLine, ...]:
    """The cost lines of billed units at a model's price list; adds remarks to `notes`. Raises UnpricedError
    if a unit has no price or an unknown quantity."""
    return tuple(
        line
        for component, quantity in units.items()
        if component not in _FREE
        for line in _lines(name, tariff, component, quantity, units, notes)
    )


def charged_searches(tariff: Tariff, component: str, queries: int | None) -> tuple[str, int | None]:
    """The component that the searches of one request are charged as, and their number before the free
    allowance: by query, or one per request."""
    by_request = SEARCH_KINDS[component].request
    if component not in tariff.prices and by_request in tariff.prices:
        # Also one if the number of queries is unknown: a request is charged once.
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
    # At a price of 0 the number does not matter.
    if quantity is None and price:
        raise UnpricedError(f"the response does not say how many {component} it used")
    if quantity and quantity > free:
        yield cost_line(component, quantity - free, price)


def _price(name: str, tariff: Tariff, component: str) -> int:
    if component not in tariff.prices:
        raise UnpricedError(f"the call also used {component}, for which {name} has no price")
    return tariff.prices[component]
