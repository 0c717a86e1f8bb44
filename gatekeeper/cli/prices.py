"""`gatekeeper prices`: the price catalogue, and what a call costs by it.

A call costs what the gateway would have recorded for it: nothing for a response of 400 and above or a method
that is free; its cost is unknown where the response shows usage other than tokens that has no price.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from click.core import ParameterSource

from gatekeeper.cli import live_values
from gatekeeper.cli.catalogue import loaded_catalogue, own_prices, parsed_time, read_own
from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    OneOf,
    OrderedGroup,
    examples,
    local_json_option,
    setting_flags,
)
from gatekeeper.cli.output import print_cells, print_json
from gatekeeper.cli.reprice import reprice
from gatekeeper.client.columns import TextRole
from gatekeeper.pricing.tariff import TIERS
from gatekeeper.pricing.token_numbers import CACHED_IS_PART, MEANINGS, MOST_TOKENS, TokenNumbers

T = TypeVar("T")

model_argument = click.argument(
    "model", required=False, shell_complete=live_values.of(live_values.priced_models)
)


@click.group("prices", cls=OrderedGroup, epilog=examples("prices show gemini-2.5-flash"))
def prices() -> None:
    """Show the price catalogue, price one call, or reprice past calls.

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

    day = parsed_time(at, "--at", ExitStatus.USAGE).astimezone(UTC).date()
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


def tokens_options(command: Callable[..., T]) -> Callable[..., T]:
    """Adds an option for each number; the command gets them as `tokens`."""

    @functools.wraps(command)
    def with_tokens(**options: object) -> T:
        numbers = msgspec.convert({name: options.pop(name) for name in MEANINGS}, dict[str, int | None])
        return command(tokens=TokenNumbers(**numbers), **options)

    decorated: Callable[..., T] = with_tokens
    # click lists the option that is added last first: hence in reverse order.
    for name, meaning in reversed(MEANINGS.items()):
        option = click.option(
            f"--{name}", metavar="TOKENS", type=click.IntRange(0, MOST_TOKENS), help=meaning
        )
        decorated = option(decorated)
    return decorated


def refuse_contradictions(
    model: str | None, tokens: TokenNumbers, usage: str | None, call: str | None
) -> None:
    """Raises UsageError unless the call is told in one way, completely, and can be."""
    context = click.get_current_context()
    numbers = [f"--{name}" for name, value in zip(MEANINGS, tokens, strict=True) if value is not None]
    if ways := [way for way, given in (("--usage", usage), ("--call", call)) if given is not None]:
        if excluded := [*ways[1:], *numbers]:
            raise click.UsageError(f"{ways[0]} and {excluded[0]} exclude each other", context)
    elif not tokens.are_given:
        raise click.UsageError("Give MODEL with --input, --output or --usage FILE; or --call FILE", context)
    if call is None and model is None:
        raise click.UsageError(f"{(ways or numbers)[0]} needs MODEL, the model that was called", context)
    if call is not None:
        refuse_with_call(model, context)
    if tokens.contradict:
        why = CACHED_IS_PART.format(input="--input")
        raise click.UsageError(f"--cached is more than --input: {why}", context)


def refuse_with_call(model: str | None, context: click.Context) -> None:
    """Raises UsageError for what a call tells itself."""
    given = [
        f"--{name}"
        for name in ("at", "tier")
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if excluded := [*(["MODEL"] if model else []), *given]:
        raise click.UsageError(
            f"--call and {excluded[0]} exclude each other: the call names its own", context
        )


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

    Describe the call by numbers of text tokens, by the usage that a response reported, or by its whole
    documents. Without a known price the cost is unknown, never 0.
    """
    refuse_contradictions(model, tokens, usage, call)
    from gatekeeper.cli.price_call import print_quote, quote_call, quote_usage, usage_of
    from gatekeeper.pricing.price_documents import quote_document

    catalogue = loaded_catalogue(own_prices(config, data, prices))
    if call is not None:
        quoted = quote_call(catalogue, read(call))
    else:
        begun = parsed_time(at, "--at", ExitStatus.USAGE)
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


@prices.command("check", epilog=examples("prices check prices.toml", "prices check data/prices.toml --json"))
@click.argument("file", type=click.Path(path_type=Path))
@local_json_option
def check(file: Path, as_json: bool) -> None:
    """Show what a file of your own prices changes.

    FILE against the built-in prices, as if it were the prices.toml of a data folder. A file with faults is
    rejected: each is printed with its line.
    """
    from gatekeeper.cli.price_tables import changes_summary, print_changes
    from gatekeeper.pricing.price_changes import changes
    from gatekeeper.pricing.price_documents import changes_document

    built_in = loaded_catalogue()
    catalogue = read_own(file, built_in)
    found = changes(built_in, catalogue)
    if as_json:
        versions = {"version": catalogue.version, "built_in_version": built_in.version}
        print_json(msgspec.json.encode({**versions, **changes_document(found)}))
        return
    print_cells([(f"{file}: {changes_summary(found)}", TextRole.ACCENT)])
    print_changes(found)


prices.add_command(reprice)
