"""What a call would cost as aligned lines of styled text, to the last decimal. Pure."""

from __future__ import annotations

from gatekeeper.client import formats
from gatekeeper.client.cost_text import INDENT, UNKNOWN, cost_line, quantity, total_line
from gatekeeper.client.formats import Cell, TextRole
from gatekeeper.client.price_types import Quote


def quote_text(quote: Quote, tier: str) -> list[list[Cell]]:
    """The model that was priced, a line for each component, and the total; `?` where it is unknown."""
    names = max([len("total"), *(len(line.component) for line in quote.lines)])
    numbers = 2 + max([0, *(len(quantity(line.quantity)) for line in quote.lines)])
    amounts = [quote.cost_usd, *(line.usd for line in quote.lines)]
    dollars = max(len(formats.exact_money(amount)) for amount in amounts) + 3
    said = UNKNOWN if quote.cost_usd is None else f"prices {quote.price_version}"
    return [
        [(INDENT + quote.model, TextRole.ACCENT), (f"  {tier}", TextRole.DIM)],
        *(cost_line(line, names, numbers, dollars) for line in quote.lines),
        total_line(quote.cost_usd, said, names + numbers, dollars=dollars),
    ]
