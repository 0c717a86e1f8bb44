"""`gatekeeper prices check`: what a file of the user's own prices changes, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gatekeeper.cli.catalogue import loaded_catalogue
from gatekeeper.cli.conventions import CommandError, ExitStatus, examples, local_json_option
from gatekeeper.cli.output import print_cells, print_json
from gatekeeper.client.columns import TextRole

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue
    from gatekeeper.pricing.price_changes import Changes


@click.command("check", epilog=examples("prices check prices.toml", "prices check data/prices.toml --json"))
@click.argument("file", type=click.Path(path_type=Path))
@local_json_option
def check(file: Path, as_json: bool) -> None:
    """Show what a file of your own prices changes.

    FILE against the built-in prices, as if it were the prices.toml of a data folder. A file with faults is
    rejected: each is printed with its line.
    """
    from gatekeeper.cli.price_tables import print_changes
    from gatekeeper.pricing.price_changes import changes
    from gatekeeper.pricing.price_documents import changes_document

    built_in = loaded_catalogue()
    catalogue = read_own(file, built_in)
    found = changes(built_in, catalogue)
    if as_json:
        versions = {"version": catalogue.version, "built_in_version": built_in.version}
        print_json(msgspec.json.encode({**versions, **changes_document(found)}))
        return
    print_cells([(f"{file}: {summary(found)}", TextRole.ACCENT)])
    print_changes(found)


def read_own(file: Path, built_in: Catalogue) -> Catalogue:
    """The catalogue with a file of own prices over it. Raises CommandError with a message for each fault."""
    from gatekeeper.pricing.price_faults import CatalogueError
    from gatekeeper.startup import read_prices

    try:
        return read_prices(file, built_in.with_own)
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}", ExitStatus.NOT_FOUND) from None
    except CatalogueError as error:
        raise CommandError(error.lines[0], ExitStatus.REJECTED, *error.lines[1:]) from None


def summary(found: Changes) -> str:
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
