"""From JSON that somebody has to a quote: one usage, or a whole call in the form of the contract.

A whole call costs what the gateway would have recorded for it: nothing for an answer of 400 and above or a
method that is free, and nobody knows what where its answer shows something beside tokens without a price.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from gatekeeper.cli.conventions import Failure, Status
from gatekeeper.gemini.actions import Charge, charge_of
from gatekeeper.gemini.response_parser import ResponseParser
from gatekeeper.gemini.usage import Usage, read_usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import Quote, quote
from gatekeeper.times import parse_time

T = TypeVar("T")
Members = dict[str, object]

# The action of a Live session, whose turns each have a usage.
LIVE = "live"


class Request(msgspec.Struct, rename="camel"):
    service_tier: str | None = None


class Call(msgspec.Struct):
    """The contract's form; what is left out is not known. `usage` is a list for Live turns, and `response`
    may be one, of a stream's chunks."""

    model: str
    at: str | None = None
    tier: str | None = None
    action: str | None = None
    request: Request | None = None
    response: Members | list[Members] | None = None
    model_version: str | None = None
    status: int | None = None
    usage: Members | list[Members] | None = None


def quote_usage(catalogue: Catalogue, model: str, document: bytes, at: datetime, tier: str) -> Quote:
    """Of a `usageMetadata` object. Raises Failure for what is no JSON object."""
    return quote(
        catalogue,
        model=model,
        model_version=None,
        usage=usage_of(decoded(document, Members)),
        at=at,
        tier=tier,
    )


def quote_call(catalogue: Catalogue, document: bytes) -> Quote:
    """Raises Failure for what is not of the form."""
    call = decoded(document, Call)
    if why := free(call):
        return Quote(
            (call.model_version or call.model).removeprefix("models/"), 0, (), catalogue.version, (why,)
        )
    turns = isinstance(call.usage, list)
    return quote(
        catalogue,
        model=call.model,
        model_version=call.model_version,
        usage=usage_of(call.usage) if isinstance(call.usage, dict) else None,
        at=moment(call.at),
        tier=tier_of(call),
        action=LIVE if turns else call.action,
        charges=charges(call),
    )


def decoded(document: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(document, type=form)
    # RecursionError: lists within lists by the thousand.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failure(f"this is not the JSON that is wanted: {error}", Status.REFUSED) from None


def usage_of(members: Members) -> Usage | None:
    return read_usage(msgspec.json.encode(members))


def moment(at: str | None) -> datetime:
    now = datetime.now(UTC)
    try:
        return parse_time(at, now) if at else now
    except ValueError as error:
        raise Failure(f"`at`: {error}", Status.REFUSED) from None


def tier_of(call: Call) -> str:
    # Where the tier is not said, what the request asked for is the best that is known.
    asked = call.request.service_tier if call.request else None
    return (call.tier or asked or "standard").lower()


def free(call: Call) -> str | None:
    """Why the call costs nothing, if that is known."""
    if call.status is not None and call.status >= 400:
        return f"answers of {call.status} cost nothing"
    if call.action and charge_of(call.action) is Charge.FREE:
        return f"calls of {call.action} cost nothing"
    return None


def charges(call: Call) -> dict[str, int | None]:
    """What the answer shows to have been used beside tokens, as the meter reads it."""
    tally = ResponseParser()
    for chunk in call.response if isinstance(call.response, list) else [call.response or {}]:
        tally.read(msgspec.json.encode(chunk))
    return tally.charges
