"""The check of `gatekeeper doctor` for calls without a price: asks the gateway that runs here, or reads the
analytics file where none does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.cli.probes import Finding, trust_only
from gatekeeper.cli.sql import Rows, query_file
from gatekeeper.client.formats import pluralized
from gatekeeper.client.spend import UnpricedModel
from gatekeeper.data_dir import ANALYTICS_FILE

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue

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


def of_file(data: Path, now: datetime) -> Sequence[UnpricedModel] | None:
    """The models of the last days' calls of unknown cost, by the analytics file of a data folder that no
    gateway uses; None if there is no file. Raises CommandError."""
    file = data / ANALYTICS_FILE
    if not file.exists():
        return None
    query = FILE_SQL.format(since=(now - timedelta(days=DAYS)).isoformat())
    found = msgspec.json.decode(query_file(file, query, FILE_LIMIT), type=Rows)
    return [msgspec.convert(dict(zip(found.columns, row, strict=True)), UnpricedModel) for row in found.rows]


def of_gateway(target: Target, certificate: Path | None) -> Sequence[UnpricedModel]:
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
    """Names the models whose calls have no price; `look` is `of_file` or `of_gateway`. The catalogue tells
    those that lack one, for which there is a remedy, from calls that reported no usage."""
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
