"""`gatekeeper prices`: the price catalogue of this installation, and what a call costs by it.

A call costs what the gateway would have recorded for it: nothing for a response of 400 and above or a method
that is free; its cost is unknown where the response shows usage other than tokens that has no price.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import click
import msgspec

from gatekeeper.cli.catalogue import loaded_catalogue, moment
from gatekeeper.cli.conventions import CommandError, ExitStatus, OrderedGroup, examples, local_json_option
from gatekeeper.cli.output import print_cells, print_fields, print_json, print_table
from gatekeeper.cli.price_call import quote_call, quote_usage
from gatekeeper.cli.reprice import reprice
from gatekeeper.client import formats
from gatekeeper.client.formats import Column, TextRole
from gatekeeper.money import usd
from gatekeeper.pricing.catalogue import Catalogue, catalogue_document
from gatekeeper.pricing.cost_line import CostLine
from gatekeeper.pricing.quote import Quote
from gatekeeper.pricing.quote_document import plain_decimal, quote_document
from gatekeeper.pricing.tariff import MODALITIES, TIERS, PricedModel, Tariff
from gatekeeper.pricing.units import TOKENS


@click.group("prices", cls=OrderedGroup, epilog=examples("prices show gemini-2.5-flash"))
def prices() -> None:
    """Show the price catalogue, price one call, or price calls of the past anew.

    The catalogue is that of this installation.
    """


prices.add_command(reprice)


@prices.command("show", epilog=examples("prices show", "prices show gemini-2.5-pro"))
@click.argument("model", required=False)
@local_json_option
def show(model: str | None, as_json: bool) -> None:
    """Show prices per million tokens: those in effect today, or of one MODEL all past and present."""
    catalogue, today = loaded_catalogue(), datetime.now(UTC).date()
    known = catalogue.find(catalogue.resolve_alias(model, today)) if model else None
    if model and known is None:
        raise CommandError(
            f"{model} is not in the price catalogue of {catalogue.version}", ExitStatus.NOT_FOUND
        )
    if as_json:
        print_json(msgspec.json.encode(catalogue_document(catalogue, known)))
    else:
        print_prices(catalogue, known, today)


@prices.command(
    "quote",
    epilog=examples(
        "prices quote gemini-2.5-flash --usage usage.json", "prices quote --call call.json --json"
    ),
)
@click.argument("model", required=False)
@click.option("--usage", metavar="FILE", help="A usageMetadata object; - is stdin.")
@click.option(
    "--call", metavar="FILE", help="A complete call, with model, at, tier, action, usage; - is stdin."
)
@click.option(
    "--at",
    metavar="TIME",
    default="0s",
    help="When it was: 2026-11-24, or a span back from now.  [default: now]",
)
@click.option("--tier", type=click.Choice(TIERS), default="standard", show_default=True, help="Service tier.")
@local_json_option
def quote(model: str | None, usage: str | None, call: str | None, at: str, tier: str, as_json: bool) -> None:
    """Print the exact cost of one call with its arithmetic.

    Without a known price the cost is unknown, never 0.
    """
    context = click.get_current_context()
    # A call names its model itself: MODEL is for --usage only.
    if (call is None) == (usage is None) or (usage is None) != (model is None):
        raise click.UsageError("Give MODEL and --usage FILE, or --call FILE", context)
    if call is not None:
        quoted = quote_call(loaded_catalogue(), read(call))
    else:
        quoted = quote_usage(
            loaded_catalogue(), model or "", read(usage or "-"), moment(at, "--at", ExitStatus.USAGE), tier
        )
    if as_json:
        print_json(msgspec.json.encode(quote_document(quoted)))
    else:
        print_quote(quoted)


def read(name: str) -> bytes:
    """The file's bytes; of stdin for `-`."""
    try:
        with click.open_file(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}", ExitStatus.USAGE) from None


# Prefixes of the components in a column: of generate calls, and of embed calls.
INPUT, CACHED = ("input_", "embedding_input_"), ("cached_",)


UNITS_IN_WORDS = {
    "per_1m_tokens": " / 1M",
    "per_1m_token_hours": " / 1M h",
    "per_1k": " / 1k",
    "per_second": " / s",
    "each": "",
}


def quantity_of(line: CostLine) -> str:
    whole, point, fraction = plain_decimal(line.quantity).partition(".")
    return f"{int(whole):,}{point}{fraction}"


def print_quote(quote: Quote) -> None:
    """Prints the arithmetic line by line, to the last decimal, and the total."""
    print_cells([(quote.model, TextRole.ACCENT), (f"  prices of {quote.price_version}", TextRole.DIM)])
    size = max((len(quantity_of(line)) for line in quote.lines), default=0)
    name = max((len(line.component) for line in quote.lines), default=0)
    for line in quote.lines:
        price = formats.price(Decimal(usd(line.unit_pico)))
        unit = UNITS_IN_WORDS[line.unit]
        print(f"{quantity_of(line):>{size}} {line.component:<{name}} × {price}{unit} = ${usd(line.pico)}")
    if quote.cost_pico is None:
        print_cells([("total unknown", TextRole.WARNING)])
    else:
        print_cells([(f"total ${usd(quote.cost_pico)}", TextRole.ACCENT)])
    for note in quote.notes:
        print_cells([(f"note: {note}", TextRole.DIM)])


class Price(NamedTuple):
    """A row of the table."""

    name: str
    tariff: Tariff


def print_prices(catalogue: Catalogue, model: PricedModel | None, today: date) -> None:
    """Prints the prices in effect today, or all of a model, past and present."""
    facts = [("catalogue", catalogue.version), ("checked", str(catalogue.checked))]
    if model:
        facts += [("models", ", ".join(model.ids)), ("source", model.source), ("note", model.note)]
    print_fields([*facts, ("prices", "dollars per 1M tokens")])
    print()
    print_table(
        COLUMNS,
        [
            Price(each.ids[0], tariff)
            for each in ([model] if model else catalogue.models())
            for of_tier in each.tariffs.values()
            for tariff in of_tier
            if model or tariff.starts <= today < tariff.ends
        ],
    )


def price_of(tariff: Tariff, kinds: tuple[str, ...]) -> str:
    """The price of text, or of the first modality that has one; then differing ones with their modality."""
    names = [f"{kind}{modality}" for kind in kinds for modality in MODALITIES]
    known = [name for name in names if name in tariff.prices]
    if not known:
        return formats.EMPTY
    first = tariff.prices[known[0]]
    others = [
        f"{name.rpartition('_')[2]} {dollars(tariff.prices[name])}"
        for name in known[1:]
        if tariff.prices[name] != first
    ]
    return ", ".join([dollars(first), *others])


def output_of(tariff: Tariff) -> str:
    """One price; two for some previews of 2025: without and with thoughts."""
    known = [dollars(pico) for name, pico in tariff.prices.items() if name.startswith("output_text")]
    return " or ".join(known) or formats.EMPTY


def dollars(pico: int) -> str:
    return formats.price(Decimal(usd(pico * TOKENS.size)))


def context_of(tariff: Tariff) -> str:
    if tariff.up_to is not None:
        return f"up to {tariff.up_to // 1000}k"
    return f"above {tariff.above // 1000}k" if tariff.above >= 0 else "any"


def period_of(tariff: Tariff) -> str:
    since = "" if tariff.starts == date.min else f"from {tariff.starts}"
    until = "" if tariff.ends == date.max else f"before {tariff.ends}"
    return f"{since} {until}".strip() or "always"


COLUMNS: tuple[Column[Price], ...] = (
    Column("model", 0, lambda price: (price.name, TextRole.PLAIN)),
    Column("tier", 0, lambda price: (price.tariff.tier, TextRole.PLAIN)),
    Column("prompt", 0, lambda price: (context_of(price.tariff), TextRole.PLAIN)),
    Column("valid (UTC)", 0, lambda price: (period_of(price.tariff), TextRole.DIM)),
    Column("input", 0, lambda price: (price_of(price.tariff, INPUT), TextRole.PLAIN)),
    Column("cached", 0, lambda price: (price_of(price.tariff, CACHED), TextRole.PLAIN)),
    Column("output", 0, lambda price: (output_of(price.tariff), TextRole.PLAIN)),
)
