"""The price of a row as it stands, and the token columns of a usage."""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.usage_total import Usage
from gatekeeper.ledger.call import CallRecord
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import NO_BILLED_UNITS, Quote, quote
from gatekeeper.times import from_micros


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
    """Fills in the columns of a usage that was read from `raw`; without one they stay."""
    if raw is None or usage is None:
        return
    call.usage = msgspec.Raw(raw)
    call.prompt_tokens, call.cached_tokens = usage.prompt, usage.cached
    call.output_tokens, call.thoughts_tokens = usage.output, usage.thoughts
    call.tool_tokens, call.total_tokens = usage.tool, usage.total
