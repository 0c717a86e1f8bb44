"""The cost of a row by its columns, the token columns of a usage, and which models have no price. Each model
that served calls and has no price is logged once a UTC day: nobody should find out from the sums of a month.
"""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.token_usage import Usage
from gatekeeper.ledger.call import CallRecord
from gatekeeper.logs import RateLimitedLog, log
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import NO_BILLED_UNITS, Quote, quote, unpriced_kind, unpriced_reason
from gatekeeper.times import from_micros, utc_day

FAULT = "a fault of the gateway, which is in its log, keeps the price of this model from being found"
# Clients choose the names of models, so their number a day is bounded.
MAX_MODELS = 1000
NO_REMEDY = "none: no price list has this kind of call; its cost stays unknown"
REMEDY = "add its price to prices.toml in the data folder; `gatekeeper prices check` says what that changes"


def call_quote(call: CallRecord, usage: Usage | None, catalogue: Catalogue) -> Quote:
    """What a call costs by its model, tier, action, units and time, and by this usage."""
    return quote(
        catalogue,
        model=call.model or call.model_version or "",
        model_version=call.model_version,
        usage=usage,
        at=from_micros(call.started_at),
        tier=call.service_tier or "standard",
        action=call.action,
        billed_units=call.billed_units or NO_BILLED_UNITS,
    )


def set_tokens(call: CallRecord, raw: bytes | None, usage: Usage | None) -> None:
    """Fills in the token columns by a usage that was read from `raw`; without one they stay as they are."""
    if raw is None or usage is None:
        return
    call.usage = msgspec.Raw(raw)
    call.prompt_tokens, call.cached_tokens = usage.prompt, usage.cached
    call.output_tokens, call.thoughts_tokens = usage.output, usage.thoughts
    call.tool_tokens, call.total_tokens = usage.tool, usage.total


def why_unpriced(call: CallRecord, model: str, catalogue: Catalogue, errors: RateLimitedLog) -> str | None:
    """Why `model`, one of those that a call names, has no price; None if it has one. An internal error counts
    as such a reason, and is logged: a budget could not be enforced."""
    try:
        return unpriced_reason(catalogue, model, utc_day(call.started_at), call.action)
    except Exception as error:  # noqa: BLE001
        errors.record_exception(error)
        return FAULT


class UnpricedModels:
    """Remembers which models were logged today."""

    def __init__(self) -> None:
        self._day: object = None
        self._logged: set[str] = set()

    def note(self, call: CallRecord, catalogue: Catalogue) -> None:
        """To be called with each ended call. Logs its model if that has no price; a call that only lacks its
        usage is not logged."""
        if call.cost_pico is not None:
            return
        day = utc_day(call.started_at)
        model = call.model_version or call.model
        if day != self._day:
            self._day, self._logged = day, set()
        if model is None or model in self._logged or len(self._logged) > MAX_MODELS:
            return
        reason = unpriced_reason(catalogue, model, day, call.action)
        if reason is None:
            return
        self._logged.add(model)
        if len(self._logged) > MAX_MODELS:
            log.warning("more_models_unpriced", detail=f"over {MAX_MODELS} today; no more are logged")
            return
        remedy = NO_REMEDY if unpriced_kind(model, call.action) else REMEDY
        log.warning("model_unpriced", model=model, call=call.id, detail=reason, remedy=remedy)
