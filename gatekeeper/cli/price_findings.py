"""What `doctor` finds of the prices, and of the clock by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from gatekeeper.cli.probes import Finding
from gatekeeper.settings import OwnPrices

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue

# Above this age a catalogue may lack new models and prices.
MAX_CATALOGUE_AGE = timedelta(days=90)

SET_CLOCK = "set the clock of this machine, best by NTP: prices, budgets and expiry go by it"
NEWER_PRICES = "install a newer gatekeeper, or write a file of your own prices (setting `prices`)"
FIX_PRICES = "fix that line: a gateway that runs goes on with the last good prices, and none starts"


def check_prices(now: datetime, own: OwnPrices | None) -> Iterator[Finding]:
    """Whether there is a catalogue, how old it is, whether the clock is not before its date, and whether the
    user's own prices can be used."""
    from gatekeeper.pricing.price_faults import CatalogueError
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
    theirs = f", with those of {own}" if own and own.file.exists() else ""
    yield catalogue_age(catalogue.version, catalogue.checked, theirs, now)


def catalogue_age(version: str, checked: date, own: str, now: datetime) -> Finding:
    """`own` tells of the user's own prices."""
    told = f"of {version}, checked on {checked}{own}"
    if now.date() - checked > MAX_CATALOGUE_AGE:
        return Finding("prices", f"{told}: older than 90 days", NEWER_PRICES)
    return Finding("prices", told)


def check_clock(catalogue: Catalogue, now: datetime) -> Finding:
    time = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.date() < catalogue.checked - timedelta(days=1):
        return Finding("clock", f"{time} is before the day of the price catalogue", SET_CLOCK)
    return Finding("clock", time)
