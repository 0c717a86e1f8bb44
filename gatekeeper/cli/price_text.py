"""Prices and quotes in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from gatekeeper.cli.output import print_cells, print_facts, print_table
from gatekeeper.client import formats
from gatekeeper.client.formats import Column, Tone
from gatekeeper.money import usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import UNIT, Quote
from gatekeeper.pricing.tariff import MODALITIES, TOKENS_PER_PRICE, PricedModel, Tariff

INPUT, CACHED = ("input_", "embedding_input_"), ("cached_",)


def print_quote(quote: Quote) -> None:
    """Its arithmetic line by line, to the last decimal, and the total."""
    print_cells([(quote.model, Tone.ACCENT), (f"  prices of {quote.price_version}", Tone.FAINT)])
    size = max((len(f"{line.quantity:,}") for line in quote.lines), default=0)
    name = max((len(line.component) for line in quote.lines), default=0)
    for line in quote.lines:
        unit = "1M" if line.unit == UNIT else line.unit
        price = formats.price(Decimal(usd(line.unit_pico)))
        print(f"{line.quantity:>{size},} {line.component:<{name}} × {price} / {unit} = ${usd(line.pico)}")
    if quote.cost_pico is None:
        print_cells([("total unknown", Tone.LIMIT)])
    else:
        print_cells([(f"total ${usd(quote.cost_pico)}", Tone.ACCENT)])
    for note in quote.notes:
        print_cells([(f"note: {note}", Tone.FAINT)])


class Price(NamedTuple):
    """A row of the table."""

    name: str
    tariff: Tariff


def print_prices(catalogue: Catalogue, model: PricedModel | None, today: date) -> None:
    """What holds today, or all that a model ever cost."""
    facts = [("catalogue", catalogue.version), ("checked", str(catalogue.checked))]
    if model:
        facts += [("models", ", ".join(model.ids)), ("source", model.source), ("note", model.note)]
    print_facts([*facts, ("prices", "dollars per 1M tokens")])
    print()
    print_table(
        COLUMNS,
        [
            Price(each.ids[0], tariff)
            for each in ([model] if model else catalogue.models())
            for tariff in tariffs(each)
            if model or tariff.starts <= today < tariff.ends
        ],
    )


def tariffs(model: PricedModel) -> Iterator[Tariff]:
    for of_tier in model.tariffs.values():
        yield from of_tier


def price_of(tariff: Tariff, kinds: tuple[str, ...]) -> str:
    """Of text, or of the first modality that has a price; with their names those of others that differ."""
    names = [f"{kind}{modality}" for kind in kinds for modality in MODALITIES]
    known = [name for name in names if name in tariff.prices]
    if not known:
        return formats.NOTHING
    first = tariff.prices[known[0]]
    others = [
        f"{name.rpartition('_')[2]} {dollars(tariff.prices[name])}"
        for name in known[1:]
        if tariff.prices[name] != first
    ]
    return ", ".join([dollars(first), *others])


def output_of(tariff: Tariff) -> str:
    """One price, or two for some previews of 2025: without and with thoughts."""
    known = [dollars(pico) for name, pico in tariff.prices.items() if name.startswith("output_")]
    return " or ".join(known) or formats.NOTHING


def dollars(pico: int) -> str:
    return formats.price(Decimal(usd(pico * TOKENS_PER_PRICE)))


def context_of(tariff: Tariff) -> str:
    if tariff.up_to is not None:
        return f"up to {tariff.up_to // 1000}k"
    return f"above {tariff.above // 1000}k" if tariff.above >= 0 else "any"


def period_of(tariff: Tariff) -> str:
    since = "" if tariff.starts == date.min else f"from {tariff.starts}"
    until = "" if tariff.ends == date.max else f"before {tariff.ends}"
    return f"{since} {until}".strip() or "always"


COLUMNS: tuple[Column[Price], ...] = (
    Column("model", 0, lambda price: (price.name, Tone.PLAIN)),
    Column("tier", 0, lambda price: (price.tariff.tier, Tone.PLAIN)),
    Column("prompt", 0, lambda price: (context_of(price.tariff), Tone.PLAIN)),
    Column("holds (UTC)", 0, lambda price: (period_of(price.tariff), Tone.FAINT)),
    Column("input", 0, lambda price: (price_of(price.tariff, INPUT), Tone.PLAIN)),
    Column("cached", 0, lambda price: (price_of(price.tariff, CACHED), Tone.PLAIN)),
    Column("output", 0, lambda price: (output_of(price.tariff), Tone.PLAIN)),
)
