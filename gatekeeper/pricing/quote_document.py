"""A quote as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

from gatekeeper.money import short_usd
from gatekeeper.pricing.quote import Quote


class QuoteDocument(TypedDict):
    """The contract's JSON of a quote. Amounts are exact decimals without trailing zeros."""

    model: str
    cost_usd: str | None
    lines: list[dict[str, str]]
    price_version: str
    notes: list[str]


def quote_document(quote: Quote) -> QuoteDocument:
    """The quote as the API and `prices quote` show it."""
    return {
        "model": quote.model,
        "cost_usd": None if quote.cost_pico is None else short_usd(quote.cost_pico),
        "lines": [
            {
                "component": line.component,
                "quantity": plain_decimal(line.quantity),
                "unit": line.unit,
                "unit_usd": short_usd(line.unit_pico),
                "usd": short_usd(line.pico),
            }
            for line in quote.lines
        ],
        "price_version": quote.price_version,
        "notes": list(quote.notes),
    }


def plain_decimal(quantity: int | Decimal) -> str:
    """Without an exponent and trailing zeros."""
    text = f"{quantity:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text
