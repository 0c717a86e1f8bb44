"""The documents of `/prices/quote` as schemas."""

from __future__ import annotations

from gatekeeper.admin.call_schemas import COST
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import Schema, choice, component, integer, mapping, members, nullable, text
from gatekeeper.pricing.tariff import TIERS
from gatekeeper.pricing.token_numbers import MEANINGS, MOST_TOKENS

_TOKENS: dict[str, Schema] = {
    name: nullable(integer(meaning, 1000, minimum=0, maximum=MOST_TOKENS))
    for name, meaning in MEANINGS.items()
}
_OPTIONAL: dict[str, Schema] = {
    **_TOKENS,
    "usage": nullable(
        mapping(
            "Instead of these numbers: the usageMetadata of an answer.",
            {},
            {"promptTokenCount": 1000, "candidatesTokenCount": 500, "totalTokenCount": 1500},
        )
    ),
    "tier": nullable(choice("The service tier; without it standard.", TIERS)),
    "at": nullable(
        text("When it is called, as `since` of other routes; without it now.", "2026-11-24", minLength=1)
    ),
    "action": nullable(
        text("What is called; without it what the model is for.", "generateContent", minLength=1)
    ),
}
_QUESTION = component(
    "QuoteRequest",
    members(
        "A call that is described.",
        {"model": text("The model.", "gemini-2.5-flash", minLength=1), **_OPTIONAL},
        optional=_OPTIONAL,
        additionalProperties=False,
        examples=[{"model": "gemini-2.5-flash", "input": 1000, "output": 500, "tier": "batch"}],
    ),
)
QUOTE = Operation("Say what a call would cost", COST, _QUESTION)
