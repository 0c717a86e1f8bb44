"""Prices a call that is given by its usage. Used by both `prices quote` and `POST /prices/quote`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec

from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import Quote, quote
from gatekeeper.suggestions import did_you_mean


class NotUsageError(ValueError):
    """It has no counts of its own: its cost would be unknown."""


def quote_usage(
    catalogue: Catalogue,
    model: str,
    usage: Mapping[str, object],
    *,
    at: datetime,
    tier: str,
    action: str | None = None,
) -> Quote:
    """Prices a `usageMetadata` object. A note of a model that is not known names the one that it resembles.
    Raises NotUsageError for a whole response."""
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
    """Which known model one that is not in the catalogue resembles; empty if it is known, or none does."""
    name = model.removeprefix("models/")
    if catalogue.find(catalogue.resolve_alias(name, day)) is not None:
        return ""
    known = (known for each in catalogue.models() for known in each.ids if "*" not in known)
    return did_you_mean(name, [*known, *catalogue.aliases])
