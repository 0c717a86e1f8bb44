"""Checks of `doctor` about prices: the catalogue, the clock compared with its date, and calls without a
price. Those are asked of the gateway that runs here, or read from the analytics file if none runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.cli.probes import Finding, trust_only
from gatekeeper.cli.sql import Rows, query_file
from gatekeeper.client.formats import pluralized
from gatekeeper.client.spend import UnpricedModel
from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.settings import OwnPrices

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue

# Above this age a catalogue may lack new models and prices.
MAX_CATALOGUE_AGE = timedelta(days=90)

SET_CLOCK = "set the clock of this machine, best by NTP: prices, budgets and expiry go by it"
NEWER_PRICES = "install a newer gatekeeper, or write a file of your own prices (setting `prices`)"
FIX_PRICES = "fix that line: a gateway that runs goes on with the last good prices, and none starts"

# Of the check for calls without a price.
DAYS = 30
CHECK = "unpriced"
TIMEOUT = 5.0  # seconds that the gateway's answer may take
MAX_NAMED = 10  # models in a finding
# Like the gateway's answer: no more models than this.
FILE_LIMIT = 20
FILE_SQL = """
    SELECT coalesce(model_version, model) AS model, count(*) AS calls FROM calls
    WHERE cost_usd IS NULL AND started_at >= TIMESTAMPTZ '{since}' GROUP BY 1 ORDER BY calls DESC, model
"""
REMEDY = (
    "add the prices to prices.toml in the data folder (`gatekeeper prices check FILE` says what that changes)"
    f" and `gatekeeper prices reprice --since {DAYS}d`"
)
MISSING = f"no price for {{}} ({{}} in {DAYS} days)"
KNOWN = (
    f"{{}} in {DAYS} days with no known cost, of models that have a price ({{}}): their answers reported no "
    f"usage, or they were made before it; `gatekeeper prices reprice --since {DAYS}d` prices the latter"
)


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


def unpriced_in_file(data: Path, now: datetime) -> Sequence[UnpricedModel] | None:
    """The models of the last days' calls of unknown cost, by the analytics file of a data folder that no
    gateway uses; None if there is no file. Raises CommandError."""
    file = data / ANALYTICS_FILE
    if not file.exists():
        return None
    query = FILE_SQL.format(since=(now - timedelta(days=DAYS)).isoformat())
    found = msgspec.json.decode(query_file(file, query, FILE_LIMIT), type=Rows)
    return [msgspec.convert(dict(zip(found.columns, row, strict=True)), UnpricedModel) for row in found.rows]


def unpriced_at_gateway(target: Target, certificate: Path | None) -> Sequence[UnpricedModel]:
    """The same, by a gateway that runs. Raises CommandError."""
    import asyncio

    try:
        found = call_api(
            target,
            lambda client: asyncio.wait_for(client.spend("none", since=f"{DAYS}d"), TIMEOUT),
            trust_only(certificate) if certificate else None,
        )
    except TimeoutError:
        raise CommandError("the gateway does not respond", ExitStatus.UNREACHABLE) from None
    return found.value.unpriced_models


def check_unpriced(
    look: Callable[[], Sequence[UnpricedModel] | None], catalogue: Catalogue, now: datetime
) -> Iterator[Finding]:
    """Names the models whose calls have no price; `look` is `unpriced_in_file` or `unpriced_at_gateway`. The
    catalogue tells those that lack one, for which there is a remedy, from calls that reported no usage."""
    try:
        models = look()
    except CommandError as error:
        # Other checks say what is wrong there.
        yield Finding(CHECK, f"calls without a price could not be looked for: {error}")
        return
    if models is None:
        return
    missing = [row for row in models if not _has_price(catalogue, row.model, now)]
    known = [row for row in models if row not in missing]
    if missing:
        yield Finding(CHECK, MISSING.format(_names(missing), _calls(missing)), REMEDY)
    if known:
        yield Finding(CHECK, KNOWN.format(_calls(known), _names(known)))
    if not models:
        yield Finding(CHECK, f"no call of the last {DAYS} days lacks a price")


def _has_price(catalogue: Catalogue, model: str | None, now: datetime) -> bool:
    # What names no model has no price to add.
    return model is None or catalogue.find(catalogue.resolve_alias(model, now.date())) is not None


def _names(models: Sequence[UnpricedModel]) -> str:
    named = [row.model or "no model" for row in models[:MAX_NAMED]]
    return ", ".join([*named, *(["…"] if len(models) > MAX_NAMED else [])])


def _calls(models: Sequence[UnpricedModel]) -> str:
    return pluralized(sum(row.calls for row in models), "call")
