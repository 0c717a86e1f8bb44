"""The price catalogue for commands: the built-in one with the user's own prices over it; and times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.cli.conventions import CommandError, ExitStatus, load_settings
from gatekeeper.settings import OwnPrices
from gatekeeper.times import parse_time

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue


def loaded_catalogue(own: OwnPrices | None = None) -> Catalogue:
    """The built-in catalogue, with the user's own prices over it if there are some. Raises CommandError."""
    from gatekeeper.pricing.price_faults import CatalogueError
    from gatekeeper.startup import load_catalogue

    try:
        return load_catalogue(own)
    except CatalogueError as error:
        raise CommandError(error.lines[0], ExitStatus.USAGE, *error.lines[1:]) from None
    except FileNotFoundError as error:
        raise CommandError(str(error), ExitStatus.INTERNAL_ERROR) from None


def own_prices(config: Path | None, data: str | None, prices: str | None) -> OwnPrices:
    """The file of the user's own prices, by flags, environment and settings file. Raises CommandError."""
    return load_settings({"data": data, "prices": prices}, config).own_prices


def parsed_time(text: str, given_as: str, status: ExitStatus) -> datetime:
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise CommandError(f"{given_as}: {error}", status) from None


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
