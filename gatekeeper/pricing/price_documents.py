"""Prices and costs as JSON in the API and on the command line: a catalogue, the changes by the user's own
prices, a quote."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TypedDict

from gatekeeper.money import short_usd, usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_changes import Changes, PriceChange
from gatekeeper.pricing.price_components import TOKENS, unit_of
from gatekeeper.pricing.quote import Quote
from gatekeeper.pricing.tariff import PricedModel, Tariff


def catalogue_document(
    catalogue: Catalogue, model: PricedModel | None = None, day: date | None = None
) -> dict[str, object]:
    """The catalogue as JSON; with `model`, only that model; with `day`, only the prices of that day.

    `prices` of a row has every component with its unit, `per_1m_tokens` the dollars of those that are
    counted in tokens; `confidence` the components whose price is "likely" or "doubtful", `own` those that the
    user's own file prices.
    """
    return {
        "version": catalogue.version,
        "checked": catalogue.checked,
        "currency": "USD",
        "models": [_model(each, day) for each in ([model] if model else catalogue.models())],
        "aliases": {
            alias: [{"from": starts, "model": name} for starts, name in steps]
            for alias, steps in catalogue.aliases.items()
        },
    }


def _model(model: PricedModel, day: date | None) -> dict[str, object]:
    rows = [
        _tariff(tariff)
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if day is None or tariff.starts <= day < tariff.ends
    ]
    return {"ids": model.ids, "source": model.source, "note": model.note, "prices": rows}


def _tariff(tariff: Tariff) -> dict[str, object]:
    priced = {name: (unit_of(name), pico) for name, pico in tariff.prices.items()}
    return {
        **bounds_document(tariff),
        "per_1m_tokens": {
            name: usd(pico * unit.size) for name, (unit, pico) in priced.items() if unit is TOKENS
        },
        "prices": {
            name: {"unit": unit.name, "usd": usd(pico * unit.size)} for name, (unit, pico) in priced.items()
        },
        "confidence": tariff.confidence,
        "own": sorted(tariff.own),
    }


def bounds_document(tariff: Tariff) -> dict[str, object]:
    """The period and context of a tariff. `from` is its first day, `to` the first day after it; the context
    is bounded by tokens of the whole prompt. Null: no bound."""
    return {
        "tier": tariff.tier,
        "from": None if tariff.starts == date.min else tariff.starts,
        "to": None if tariff.ends == date.max else tariff.ends,
        "prompt_above": None if tariff.above < 0 else tariff.above,
        "prompt_up_to": tariff.up_to,
    }


def changes_document(found: Changes) -> dict[str, object]:
    """The differences as JSON; prices are in dollars per unit."""
    return {
        "models_added": found.added,
        "prices": [_price_document(change) for change in found.prices],
        "aliases": [
            {"alias": each.alias, "from": each.starts, "old": each.old, "new": each.new}
            for each in found.aliases
        ],
    }


def _price_document(change: PriceChange) -> dict[str, object]:
    unit = unit_of(change.component)
    return {
        "models": change.ids,
        "component": change.component,
        **bounds_document(change.tariff),
        "unit": unit.name,
        "old_usd": None if change.old is None else usd(change.old * unit.size),
        "new_usd": usd(change.new * unit.size),
    }


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
