"""Prices as tables for people, of 80 columns: all models of a day, one model with all that is charged, and
what a file changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gatekeeper.cli.output import print_cells, print_fields, print_note, print_table
from gatekeeper.client import formats
from gatekeeper.client.columns import Column, TextRole
from gatekeeper.money import usd
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_changes import Changes, PriceChange
from gatekeeper.pricing.price_components import COMPONENTS, IMAGE, MUSIC, VIDEO_SECOND, unit_of
from gatekeeper.pricing.tariff import TIERS, PricedModel, Tariff
from gatekeeper.settings import OwnPrices

if TYPE_CHECKING:
    from gatekeeper.pricing.price_changes import Changes

T = TypeVar("T")

UNITS_NOTE = "dollars for 1M tokens (h: for an hour), 1k searches, 1 s, 1 piece"
MARKS = {"likely": "~", "doubtful": "?", "own": "*"}
MARKS_NOTE = {
    "~": "~ likely: Google's own page was not seen to say so",
    "?": "? doubtful",
    "*": "* your own price",
}

INPUTS = ("input_text", "live_input_text", "embedding_input_text")
TEXT_OUTPUTS = ("output_text", "live_output_text", "output_text_thinking")
OUTPUTS = ("output_", "live_output_", IMAGE, MUSIC)


def dollars(component: str, pico: int | None) -> str:
    """The price of a component's unit."""
    if pico is None:
        return formats.EMPTY
    return formats.price(Decimal(usd(pico * unit_of(component).size)))


def context_of(tariff: Tariff) -> str:
    if tariff.up_to is not None:
        return f"≤{tariff.up_to // 1000}k"
    return f">{tariff.above // 1000}k" if tariff.above >= 0 else ""


def print_fitting(columns: Sequence[Column[T]], rows: Sequence[T]) -> None:
    """Prints a table without the columns that say nothing."""
    print_table([each for each in columns if any(each.cell(row)[0] for row in rows)], rows)


def facts_of(catalogue: Catalogue, own: OwnPrices, day: date) -> list[tuple[str, str | None]]:
    return [
        ("catalogue", catalogue.version),
        ("own prices", str(own)),
        ("checked", str(catalogue.checked)),
        ("prices of", str(day)),
    ]


# All models


class Shown(NamedTuple):
    """A row: the first id of a model, and what it costs in the standard tier."""

    name: str
    tariff: Tariff


def print_prices(catalogue: Catalogue, own: OwnPrices, day: date) -> None:
    """Prints what each model costs on a day in the standard tier."""
    print_fields([*facts_of(catalogue, own, day), ("unit", "dollars for 1M tokens of text, standard tier")])
    print()
    print_fitting(
        MODEL_COLUMNS,
        [
            Shown(model.ids[0], tariff)
            for model in catalogue.models()
            for tariff in model.tariffs[TIERS[0]]
            if tariff.starts <= day < tariff.ends
        ],
    )
    print_note("All that a model costs, in every tier: gatekeeper prices show MODEL")


def first_of(tariff: Tariff, *names: str) -> str:
    return next((dollars(name, tariff.prices[name]) for name in names if name in tariff.prices), "")


def output_of(tariff: Tariff) -> str:
    """The price of text, else of whatever the model makes."""
    for name in (*TEXT_OUTPUTS, *COMPONENTS):
        if name in tariff.prices and name.startswith(OUTPUTS):
            made = name.removeprefix("output_").removesuffix("_each")
            word = "" if name in TEXT_OUTPUTS else " / s" if name.startswith(VIDEO_SECOND) else f" {made}"
            return dollars(name, tariff.prices[name]) + word
    return ""


MODEL_COLUMNS: tuple[Column[Shown], ...] = (
    Column("model", 0, lambda row: (f"{row.name} {context_of(row.tariff)}".strip(), TextRole.PLAIN)),
    Column("input", 0, lambda row: (first_of(row.tariff, *INPUTS), TextRole.PLAIN), right=True),
    Column("cached", 0, lambda row: (first_of(row.tariff, "cached_text"), TextRole.PLAIN), right=True),
    Column("output", 0, lambda row: (output_of(row.tariff), TextRole.PLAIN)),
)


# One model


def print_model(
    catalogue: Catalogue, own: OwnPrices, name: str, model: PricedModel, day: date, *, history: bool
) -> None:
    """Prints all that a model costs on a day, in every tier; with `history` also what differs before and
    after. `name` is what was asked for."""
    stands_for = catalogue.resolve_alias(name, day)
    is_alias = stands_for != name.removeprefix("models/")
    print_fields(
        [
            *facts_of(catalogue, own, day),
            ("alias", f"{name} stands for {stands_for}" if is_alias else None),
            ("models", ", ".join(model.ids)),
            ("source", model.source),
            ("note", model.note),
            ("unit", UNITS_NOTE),
        ]
    )
    held = [
        tariff
        for tariffs in model.tariffs.values()
        for tariff in tariffs
        if tariff.starts <= day < tariff.ends
    ]
    marks: set[str] = set()
    by_context = sorted(held, key=lambda tariff: (tariff.above, tariff.up_to or 0))
    for context, group in groupby(by_context, context_of):
        print()
        if context:
            print_cells([(f"prompts of {context} tokens", TextRole.ACCENT)])
        print_day({tariff.tier: tariff for tariff in group}, marks)
    if not held:
        print()
        print_cells([(f"no price on {day}", TextRole.WARNING)])
    if history and (others := periods_other_than(model, day)):
        print()
        print_cells([("before and after", TextRole.ACCENT)])
        print_fitting(PERIOD_COLUMNS, others)
    for mark in sorted(marks):
        print_note(MARKS_NOTE[mark])


class Line(NamedTuple):
    """A component, and its price in each tier with a mark."""

    component: str
    prices: dict[str, str]


def print_day(tariffs: dict[str, Tariff], marks: set[str]) -> None:
    lines = [
        Line(name, {tier: marked(tariff, name, marks) for tier, tariff in tariffs.items()})
        for name in COMPONENTS
        if any(name in tariff.prices for tariff in tariffs.values())
    ]
    columns: list[Column[Line]] = [
        Column("component", 0, lambda line: (line.component, TextRole.PLAIN)),
        Column("unit", 0, lambda line: (unit_of(line.component).short, TextRole.DIM)),
    ]
    print_table([*columns, *(tier_column(tier) for tier in TIERS if tier in tariffs)], lines)


def tier_column(tier: str) -> Column[Line]:
    return Column(tier, 0, lambda line: (line.prices[tier], TextRole.PLAIN))


def marked(tariff: Tariff, component: str, marks: set[str]) -> str:
    price = dollars(component, tariff.prices.get(component))
    word = "own" if component in tariff.own else tariff.confidence.get(component)
    if word is None:
        return price
    marks.add(MARKS[word])
    return price + MARKS[word]


class Period(NamedTuple):
    """What a component costs in a tier, context and period."""

    component: str
    tariff: Tariff


def periods_other_than(model: PricedModel, day: date) -> list[Period]:
    """The prices of other days that differ from the day's."""
    found: list[Period] = []
    for tier, tariffs in model.tariffs.items():
        for tariff in tariffs:
            held = model.tariff(tier, day, tariff.above + 1)
            now = held.prices if held else {}
            found += [
                Period(name, tariff)
                for name in COMPONENTS
                if name in tariff.prices and tariff.prices[name] != now.get(name)
            ]
    return found


def day_cell(day: date) -> str:
    return "" if day in (date.min, date.max) else str(day)


PERIOD_COLUMNS: tuple[Column[Period], ...] = (
    Column("component", 0, lambda row: (row.component, TextRole.PLAIN)),
    Column("tier", 0, lambda row: (row.tariff.tier, TextRole.PLAIN)),
    Column("prompt", 0, lambda row: (context_of(row.tariff), TextRole.DIM)),
    Column("from", 0, lambda row: (day_cell(row.tariff.starts), TextRole.DIM)),
    Column("before", 0, lambda row: (day_cell(row.tariff.ends), TextRole.DIM)),
    Column(
        "price",
        0,
        lambda row: (dollars(row.component, row.tariff.prices[row.component]), TextRole.PLAIN),
        right=True,
    ),
)


# What a file changes


def print_changes(found: Changes) -> None:
    """Prints the models that a file adds, and each price that it changes, by model."""
    for ids, group in groupby(found.prices, lambda change: change.ids):
        print()
        print_cells(
            [(", ".join(ids), TextRole.ACCENT), (" (new)" if ids[0] in found.added else "", TextRole.DIM)]
        )
        print_fitting(CHANGE_COLUMNS, list(group))
    if found.aliases:
        print()
    for alias, starts, old, new in ((each.alias, each.starts, each.old, each.new) for each in found.aliases):
        was = f", not {old}" if old != alias else ""
        print_cells([(f"{alias} from {starts}: {new}{was}", TextRole.PLAIN)])


CHANGE_COLUMNS: tuple[Column[PriceChange], ...] = (
    Column("component", 0, lambda row: (row.component, TextRole.PLAIN)),
    Column("tier", 0, lambda row: (row.tariff.tier, TextRole.PLAIN)),
    Column("prompt", 0, lambda row: (context_of(row.tariff), TextRole.DIM)),
    Column("from", 0, lambda row: (day_cell(row.tariff.starts), TextRole.DIM)),
    Column("before", 0, lambda row: (day_cell(row.tariff.ends), TextRole.DIM)),
    Column("built in", 0, lambda row: (dollars(row.component, row.old), TextRole.DIM), right=True),
    Column("own", 0, lambda row: (dollars(row.component, row.new), TextRole.PLAIN), right=True),
)


def changes_summary(found: Changes) -> str:
    """In one line."""
    parts = [
        counted(len(found.added), "model", "adds"),
        counted(sum(change.old is not None for change in found.prices), "price", "changes"),
        counted(sum(change.old is None for change in found.prices), "price", "adds"),
        counted(len({change.alias for change in found.aliases}), "alias", "sets"),
    ]
    return ", ".join(filter(None, parts)) or "changes nothing"


def counted(number: int, what: str, verb: str) -> str:
    plural = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{verb} {number:,} {what}{plural}" if number else ""
