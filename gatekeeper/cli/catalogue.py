"""What the commands about prices share: the catalogue of this installation, and times."""

from __future__ import annotations

from datetime import UTC, datetime

from gatekeeper.cli.conventions import CommandError, ExitStatus
from gatekeeper.pricing.catalogue import Catalogue, CatalogueError
from gatekeeper.times import parse_time


def loaded_catalogue() -> Catalogue:
    from gatekeeper.startup import load_catalogue

    try:
        return load_catalogue()
    except CatalogueError as error:
        raise CommandError(f"{error}. Fix that entry, or reinstall gatekeeper", ExitStatus.USAGE) from None
    except FileNotFoundError as error:
        raise CommandError(str(error), ExitStatus.INTERNAL_ERROR) from None


def moment(text: str, given_as: str, status: ExitStatus) -> datetime:
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise CommandError(f"{given_as}: {error}", status) from None
