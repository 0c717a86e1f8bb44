"""One line of a cost: a component, its quantity, its price, and their product."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from gatekeeper.pricing.units import CACHE_STORAGE, unit_of

SECONDS_PER_HOUR = 3600
# Of Python's usual 28 digits 12 decimals leave 16: `quantize` raises for more hours than that.
_HOURS, _SHOWN = Context(prec=60, rounding=ROUND_HALF_EVEN), Decimal(1).scaleb(-12)


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
