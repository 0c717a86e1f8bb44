"""`/prices/quote`: what a call would cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from quart import Blueprint, Response

from gatekeeper.admin.access import current_gateway
from gatekeeper.admin.call_schemas import COST
from gatekeeper.admin.problems import invalid
from gatekeeper.admin.requests import Document, json_response, read_count, read_fields, read_text
from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import Schema, choice, component, integer, mapping, members, nullable, text
from gatekeeper.pricing.price_documents import quote_document
from gatekeeper.pricing.priced_call import NotUsageError, quote_usage
from gatekeeper.pricing.tariff import TIERS
from gatekeeper.pricing.token_numbers import CACHED_IS_PART, MEANINGS, MOST_TOKENS, TokenNumbers
from gatekeeper.suggestions import did_you_mean
from gatekeeper.times import parse_time

blueprint = Blueprint("quotes", __name__)


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


@blueprint.post("/prices/quote")
@describe(QUOTE)
async def quote() -> Response:
    """The cost of a call by the current prices, including your own, line by line. The call is given by text
    token counts, or by a usage that a response has reported. `cost_usd` is null if it is unknown, and the
    notes say why. Nothing is sent or written."""
    fields = await read_fields()
    model = read_text(fields, "model")
    if model is None:
        raise invalid("model", "`model` is missing: the model that would be called", "a text")
    usage = _usage(fields)
    tier, at, action = _tier(fields), _at(fields), read_text(fields, "action")
    try:
        quoted = quote_usage(current_gateway().catalogue, model, usage, at=at, tier=tier, action=action)
    except NotUsageError as error:
        raise invalid("usage", f"`usage`: {error}", "the object in usageMetadata") from None
    return json_response(quote_document(quoted))


def _usage(fields: Document) -> Mapping[str, object]:
    tokens = TokenNumbers(**{name: read_count(fields, name, MOST_TOKENS) for name in MEANINGS})
    usage: object = fields.get("usage")
    if usage is None:
        return _checked(tokens).usage()
    if given := [name for name, number in tokens._asdict().items() if number is not None]:
        raise invalid(given[0], f"`usage` has all counts: give it, or `{given[0]}`", "leave one out")
    if not isinstance(usage, dict):
        raise invalid("usage", "`usage` is the usageMetadata object of an answer", "a JSON object")
    return cast("dict[str, object]", usage)


def _checked(tokens: TokenNumbers) -> TokenNumbers:
    if not tokens.are_given:
        told = "`input` is missing: give the tokens of `input`, of `output` or both, or a `usage`"
        raise invalid("input", told, f"0 to {MOST_TOKENS}")
    if tokens.contradict:
        why = CACHED_IS_PART.format(input="`input`")
        raise invalid("cached", f"`cached` is more than `input`: {why}", f"0 to {tokens.input or 0}")
    return tokens


def _tier(fields: Document) -> str:
    tier = read_text(fields, "tier") or TIERS[0]
    if tier not in TIERS:
        known = did_you_mean(tier, TIERS, f"there are {', '.join(TIERS)}")
        raise invalid("tier", f'`tier`: there is no tier "{tier}"; {known}', list(TIERS))
    return tier


def _at(fields: Document) -> datetime:
    try:
        return parse_time(read_text(fields, "at") or "0s", current_gateway().now())
    except ValueError as error:
        raise invalid("at", f"`at`: {error}", "a time, or null for now") from None
