"""`gatekeeper prices`: the price catalogue of this installation, and what a call costs by it."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.help import InOrder, examples
from gatekeeper.cli.output import emit, own_json_option
from gatekeeper.pricing.catalogue import Catalogue, CatalogueError, catalogue_document
from gatekeeper.pricing.tariff import TIERS
from gatekeeper.times import parse_time


@click.group("prices", cls=InOrder, epilog=examples("prices show gemini-2.5-flash"))
def command() -> None:
    """Show the price catalogue, or price one call.

    The catalogue is that of this installation; no gateway is asked.
    """


@command.command("show", epilog=examples("prices show", "prices show gemini-2.5-pro"))
@click.argument("model", required=False)
@own_json_option
def show(model: str | None, as_json: bool) -> None:
    """Show prices per million tokens: what holds today, or of one MODEL all that ever held."""
    from gatekeeper.cli.price_text import print_prices

    catalogue, today = loaded_catalogue(), datetime.now(UTC).date()
    known = catalogue.find(catalogue.meant(model, today)) if model else None
    if model and known is None:
        raise Failure(f"{model} is not in the price catalogue of {catalogue.version}", Status.NOT_FOUND)
    if as_json:
        emit(msgspec.json.encode(catalogue_document(catalogue, known)))
    else:
        print_prices(catalogue, known, today)


@command.command(
    "quote",
    epilog=examples(
        "prices quote gemini-2.5-flash --usage usage.json", "prices quote --call call.json --json"
    ),
)
@click.argument("model", required=False)
@click.option("--usage", metavar="FILE", help="A usageMetadata object; - is stdin.")
@click.option("--call", metavar="FILE", help="A whole call, with model, at, tier, action, usage; - is stdin.")
@click.option(
    "--at",
    metavar="TIME",
    default="0s",
    help="When it was: 2026-11-24, or a span back from now.  [default: now]",
)
@click.option(
    "--tier", type=click.Choice(TIERS), default="standard", show_default=True, help="How it was paid."
)
@own_json_option
def quote(model: str | None, usage: str | None, call: str | None, at: str, tier: str, as_json: bool) -> None:
    """Print the exact cost of one call with its arithmetic.

    Where a price is not known the cost is unknown, never 0.
    """
    from gatekeeper.cli.price_text import print_quote
    from gatekeeper.cli.quoting import quote_call, quote_usage
    from gatekeeper.pricing.quote import quote_document

    context = click.get_current_context()
    if (call is None) == (usage is None) or (usage is None) != (model is None):
        raise click.UsageError("Give MODEL and --usage FILE, or --call FILE", context)
    if call is not None:
        quoted = quote_call(loaded_catalogue(), read(call))
    else:
        quoted = quote_usage(loaded_catalogue(), model or "", read(usage or "-"), moment(at), tier)
    if as_json:
        emit(msgspec.json.encode(quote_document(quoted)))
    else:
        print_quote(quoted)


def loaded_catalogue() -> Catalogue:
    from gatekeeper.price_file import load_catalogue

    try:
        return load_catalogue()
    except CatalogueError as error:
        raise Failure(f"{error}. Mend that entry, or install gatekeeper again", Status.USAGE) from None
    except FileNotFoundError as error:
        raise Failure(str(error), Status.FAULT) from None


def moment(text: str) -> datetime:
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise Failure(f"--at: {error}", Status.USAGE) from None


def read(name: str) -> bytes:
    """The file's bytes; of stdin for `-`."""
    try:
        with click.open_file(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}", Status.USAGE) from None
