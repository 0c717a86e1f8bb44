"""The arithmetic of a call's cost as aligned lines of styled text, to the last decimal.

Pure. It computes no sums: every amount comes from the gateway.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from gatekeeper.client import formats
from gatekeeper.client.api_types import CallDetail, Cost, CostLine
from gatekeeper.client.formats import Cell, TextRole, padded

INDENT = "  "
DOLLARS_WIDTH = 18


class Widths(NamedTuple):
    """Least widths of a name and a number, in cells."""

    name: int
    number: int


# Where the cost is below the tokens.
STACKED = Widths(22, 10)
MAX_PLACES = 12
"""Decimals of a quantity: token-hours, of a storage that is charged by the second, may not end."""

# After the price of a line.
UNITS = {
    "per_1m_tokens": "per 1M tokens",
    "per_1m_token_hours": "per 1M token-hours",
    "per_1k": "per 1k searches",
    "per_second": "per second",
    "each": "each",
}
UNKNOWN = "unknown"
NO_PRICE = "no price for this model or kind of call"


def cost_text(call: CallDetail, widths: Widths = STACKED) -> list[list[Cell]]:
    """Lines, totals and notes of a finished call. If the row has another cost than the catalogue in force
    gives, both are totals: that of the row first."""
    arithmetic = call.cost or Cost()
    lines = arithmetic.lines or ()
    names = max([widths.name, *(len(line.component) + 1 for line in lines)])
    numbers = max([widths.number, *(len(quantity(line.quantity)) for line in lines)])
    notes = cost_notes(call)
    text = [[(f"{INDENT}cost", TextRole.DIM)], *(cost_line(line, names, numbers) for line in lines)]
    version = call.price_version or arithmetic.price_version
    if call.cost_usd is None:
        text.append(total_line(None, UNKNOWN if notes else f"{UNKNOWN}: {NO_PRICE}", names + numbers))
    else:
        text.append(total_line(call.cost_usd, f"prices {version}" if version else "", names + numbers))
    if arithmetic.cost_usd is not None and arithmetic.cost_usd != call.cost_usd:
        by = f"by the prices in force, {arithmetic.price_version}"
        text.append(total_line(arithmetic.cost_usd, by, names + numbers, "would be"))
    return [*text, *([(INDENT + note, TextRole.DIM)] for note in notes)]


def cost_notes(call: CallDetail) -> tuple[str, ...]:
    """What the gateway notes of the cost."""
    notes = call.cost.notes if call.cost else None
    return (notes,) if isinstance(notes, str) else tuple(notes or ())


def total_line(
    amount: Decimal | None, said: str, width: int, name: str = "total", dollars: int = DOLLARS_WIDTH
) -> list[Cell]:
    role = TextRole.WARNING if amount is None else TextRole.ACCENT
    return [
        (INDENT + padded(name, width, right=False), TextRole.PLAIN),
        (padded(formats.exact_money(amount), dollars, right=True), role),
        (f"  {said}", TextRole.DIM),
    ]


def cost_line(line: CostLine, names: int, numbers: int, dollars: int = DOLLARS_WIDTH) -> list[Cell]:
    """One component: quantity, cost and unit price."""
    unit = UNITS.get(line.unit, line.unit.replace("_", " "))
    return [
        (INDENT + padded(line.component.replace("_", " "), names, right=False), TextRole.PLAIN),
        (padded(quantity(line.quantity), numbers, right=True), TextRole.PLAIN),
        (padded(formats.exact_money(line.usd), dollars, right=True), TextRole.PLAIN),
        (f"  at {formats.price(line.unit_usd)} {unit}", TextRole.DIM),
    ]


def quantity(number: Decimal | None) -> str:
    """With thousands separated; a fraction is cut after `MAX_PLACES`, and `…` says so."""
    if number is None:
        return formats.EMPTY
    whole, point, fraction = f"{number:,f}".partition(".")
    more = "…" if len(fraction) > MAX_PLACES else ""
    return f"{whole}{point}{fraction[:MAX_PLACES]}{more}"
