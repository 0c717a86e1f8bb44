"""`gatekeeper prices`: the price catalogue, and what a call costs by it.

A call costs what the gateway would have recorded for it: nothing for a response of 400 and above or a method
that is free; its cost is unknown where the response shows usage other than tokens that has no price.
"""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import click
import msgspec

from gatekeeper.cli import live_values
from gatekeeper.cli.catalogue import loaded_catalogue, moment, own_prices
from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    OneOf,
    OrderedGroup,
    examples,
    local_json_option,
    setting_flags,
)
from gatekeeper.cli.output import print_json
from gatekeeper.cli.price_check import check
from gatekeeper.cli.price_tokens import refuse_contradictions, tokens_options
from gatekeeper.cli.reprice import reprice
from gatekeeper.pricing.tariff import TIERS
from gatekeeper.pricing.token_numbers import TokenNumbers

model_argument = click.argument(
    "model", required=False, shell_complete=live_values.of(live_values.priced_models)
)


@click.group("prices", cls=OrderedGroup, epilog=examples("prices show gemini-2.5-flash"))
def prices() -> None:
    """Show the price catalogue, price one call, or price calls of the past anew.

    The catalogue is that of this installation, with your own prices over it: the file of the setting
    `prices`, else prices.toml in the data folder.
    """


@prices.command("show", epilog=examples("prices show", "prices show gemini-2.5-pro --at 2025-10-01"))
@model_argument
@click.option("--at", metavar="DAY", default="0s", help="Prices of that day: 2026-11-24.  [default: today]")
@local_json_option
@setting_flags("data", "prices")
def show(
    model: str | None, at: str, as_json: bool, config: Path | None, data: str | None, prices: str | None
) -> None:
    """Show the prices of a day, or all that one MODEL costs.

    Without --at also what MODEL cost before, and what it will cost. Your own prices count too.
    """
    # Imported here, as in `quote`: the help does without the parsers of prices and usage.
    from gatekeeper.cli.price_tables import print_model, print_prices
    from gatekeeper.pricing.price_documents import catalogue_document
    from gatekeeper.pricing.priced_call import model_question

    day = moment(at, "--at", ExitStatus.USAGE).astimezone(UTC).date()
    own = own_prices(config, data, prices)
    catalogue = loaded_catalogue(own)
    known = catalogue.find(catalogue.resolve_alias(model, day)) if model else None
    if model and known is None:
        question = model_question(catalogue, model, day)
        raise CommandError(
            f"{model} is not in the price catalogue of {catalogue.version}; {question}".removesuffix("; "),
            ExitStatus.NOT_FOUND,
        )
    if as_json:
        held = None if at == "0s" else day
        print_json(
            msgspec.json.encode({**catalogue_document(catalogue, known, held), "own_file": own.found()})
        )
    elif model and known:
        print_model(catalogue, own, model, known, day, history=at == "0s")
    else:
        print_prices(catalogue, own, day)


@prices.command(
    "quote",
    epilog=examples(
        "prices quote gemini-2.5-flash --input 1000 --output 500",
        "prices quote gemini-2.5-pro --input 250000 --cached 200000 --output 4000 --tier batch",
        "prices quote gemini-2.5-flash --usage usage.json",
        "prices quote --call call.json --json",
    ),
)
@model_argument
@tokens_options
@click.option(
    "--usage",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Instead of numbers: a usageMetadata object; - is stdin.",
)
@click.option(
    "--call",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Instead of all that: a complete call, with model, at, tier, action, usage; - is stdin.",
)
@click.option(
    "--at",
    metavar="TIME",
    default="0s",
    help="When it was: 2026-11-24, or a span back from now.  [default: now]",
)
@click.option("--tier", type=OneOf(TIERS), default="standard", show_default=True, help="Service tier.")
@local_json_option
@setting_flags("data", "prices")
def quote(
    model: str | None,
    tokens: TokenNumbers,
    usage: str | None,
    call: str | None,
    at: str,
    tier: str,
    as_json: bool,
    config: Path | None,
    data: str | None,
    prices: str | None,
) -> None:
    """Print the exact cost of one call with its arithmetic.

    The call is told by numbers of tokens of text, by the usage that an answer reported, or as a whole.
    Without a known price the cost is unknown, never 0.
    """
    refuse_contradictions(model, tokens, usage, call)
    from gatekeeper.cli.price_call import print_quote, quote_call, quote_usage, usage_of
    from gatekeeper.pricing.price_documents import quote_document

    catalogue = loaded_catalogue(own_prices(config, data, prices))
    if call is not None:
        quoted = quote_call(catalogue, read(call))
    else:
        begun = moment(at, "--at", ExitStatus.USAGE)
        used = usage_of(read(usage)) if usage else tokens.usage()
        quoted = quote_usage(catalogue, model or "", used, begun, tier)
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


prices.add_command(check)
prices.add_command(reprice)
