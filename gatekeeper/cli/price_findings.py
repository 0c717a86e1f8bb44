"""What `doctor` finds of the prices, and of the clock by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gatekeeper.cli.probes import Finding
from gatekeeper.settings import OwnPrices

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue

# Above this age a catalogue may lack new models and prices.
MAX_CATALOGUE_AGE = timedelta(days=90)

SET_CLOCK = "set the clock of this machine, best by NTP: prices, budgets and expiry go by it"
FIX_PRICES = "fix that line: a gateway that runs goes on with the last good prices, and none starts"


def check_prices(now: datetime, own: OwnPrices | None) -> Iterator[Finding]:
    """Whether there is a catalogue, how old it is, whether the clock is not before its date, and whether the
    user's own prices can be used."""
    from gatekeeper.pricing.faults import CatalogueError
    from gatekeeper.startup import load_catalogue

    try:
        catalogue = load_catalogue(own)
    except CatalogueError as error:
        for line in error.lines:
            yield Finding("prices", line, FIX_PRICES)
        return
    except OSError as error:
        yield Finding("prices", str(error), "reinstall gatekeeper")
        return
    yield check_clock(catalogue, now)
    version = f"of {catalogue.version}, checked on {catalogue.checked}"
    if own and own.file.exists():
        version += f", with those of {own}"
    if now.date() - catalogue.checked > MAX_CATALOGUE_AGE:
        yield Finding(
            "prices",
            f"{version}: older than 90 days",
            "install a newer gatekeeper, or write a prices.toml",
        )
    else:
        yield Finding("prices", version)


def check_clock(catalogue: Catalogue, now: datetime) -> Finding:
    time = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.date() < catalogue.checked - timedelta(days=1):
        return Finding("clock", f"{time} is before the day of the price catalogue", SET_CLOCK)
    return Finding("clock", time)
