"""The cost of a whole call: of a recorded one from its row, or of a hypothetical one from a usage, as `prices
quote` and `POST /prices/quote` accept it.

The cost of a row depends on its columns (model, model_version, service_tier, action, usage, billed_units,
started_at) and on the catalogue, so the same row and catalogue always give the same quote, whether for
display or for repricing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from gatekeeper.gemini.actions import Billing, billing_of
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.batch_cost import PricedSum, priced_sums
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import Quote, quote, sum_of_quotes
from gatekeeper.suggestions import did_you_mean

UNREADABLE_UNITS = "billed_units of the row is not an object of counts"
NO_MODEL = "the row names no model"
NEVER_RAN = ("refused", "upstream_unreachable")
"""Outcomes of calls that did not reach Google."""


class PricedColumns(NamedTuple):
    """The columns of a row that decide its cost. `usage` and `billed_units` are JSON as stored; `started_at`
    is an aware time; only its day in UTC matters."""

    model: str | None
    model_version: str | None
    service_tier: str | None
    action: str | None
    usage: bytes | None
    billed_units: bytes | None
    started_at: datetime


_decode_units = msgspec.json.Decoder(dict[str, int | None]).decode


def row_quote(catalogue: Catalogue, row: PricedColumns) -> Quote:
    """The cost of a recorded call that succeeded at Google. Never raises for invalid usage or units."""
    model = row.model or row.model_version
    if model is None:
        return Quote("", None, (), catalogue.version, (NO_MODEL,))
    if sums := row_sums(catalogue, row):
        return sum_of_quotes(each.quote for each in sums)
    try:
        units = {} if row.billed_units is None else _decode_units(row.billed_units)
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return Quote(model, None, (), catalogue.version, (UNREADABLE_UNITS,))
    return quote(
        catalogue,
        model=model,
        model_version=row.model_version,
        usage=None if row.usage is None else read_usage(row.usage),
        at=row.started_at,
        tier=row.service_tier or "standard",
        action=row.action or "",
        billed_units=units,
    )


def has_failed(outcome: str | None, status: int | None) -> bool:
    """Whether Google charges nothing because the call did not reach it, or failed there."""
    return outcome in NEVER_RAN or (status or 0) >= 400


def row_sums(catalogue: Catalogue, row: PricedColumns) -> list[PricedSum]:
    """The cost of each sum in the row of a batch; empty for any other row. Never raises."""
    if not (row.usage and b'"responses"' in row.usage):
        return []
    return priced_sums(catalogue, row.usage, model=row.model, action=row.action or "", at=row.started_at)


def free_reason(outcome: str | None, status: int | None, action: str | None) -> str | None:
    """Why a call costs nothing, whatever its usage; None if it may cost something."""
    if outcome == "refused":
        return "the gateway refused the call, so Google did not get it"
    if outcome == "upstream_unreachable":
        return "Google could not be reached"
    if status is not None and status >= 400:
        return f"responses of {status} cost nothing"
    if action and billing_of(action) is Billing.FREE:
        return f"calls of {action} cost nothing"
    return None


class NotUsageError(ValueError):
    """The given object is not a usage but contains one, so its cost would be unknown."""


def quote_usage(
    catalogue: Catalogue,
    model: str,
    usage: Mapping[str, object],
    *,
    at: datetime,
    tier: str,
    action: str | None = None,
) -> Quote:
    """Prices a `usageMetadata` object. For an unknown model a note suggests a similar one. Raises
    NotUsageError for a whole response."""
    if "usageMetadata" in usage:
        raise NotUsageError("this is a response: give the object in its usageMetadata")
    quoted = quote(
        catalogue,
        model=model,
        model_version=None,
        usage=read_usage(msgspec.json.encode(usage)),
        at=at,
        tier=tier,
        action=action,
    )
    question = model_question(catalogue, model, at.astimezone(UTC).date())
    return msgspec.structs.replace(quoted, notes=(*quoted.notes, question)) if question else quoted


def model_question(catalogue: Catalogue, model: str, day: date) -> str:
    """Suggests a model for one that is not in the catalogue; empty if it is known, or no model is similar."""
    name = model.removeprefix("models/")
    if catalogue.find(catalogue.resolve_alias(name, day)) is not None:
        return ""
    known = (known for each in catalogue.models() for known in each.ids if "*" not in known)
    return did_you_mean(name, [*known, *catalogue.aliases])
