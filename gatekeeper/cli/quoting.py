"""From JSON that somebody has to a quote: one usage, or a whole call in the form of the contract.

A whole call costs what the gateway would have recorded for it: nothing for an answer of 400 and above or a
method that is free, and nobody knows what where its answer shows something beside tokens without a price.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

import msgspec

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.durations import parse_time
from gatekeeper.gemini.catalogue import Catalogue
from gatekeeper.gemini.price import Quote, quote
from gatekeeper.gemini.route import COSTLY_COLLECTIONS, FREE_COLLECTIONS, FREE_VERBS, MODEL_ACTIONS, Charge
from gatekeeper.gemini.usage import Usage, read_usage

T = TypeVar("T")

LIVE = "live"
READS = frozenset({"list", "get", "delete"})


class Grounding(msgspec.Struct, rename="camel"):
    web_search_queries: list[str] | None = None
    grounding_chunks: list[dict[str, Any]] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    grounding_metadata: Grounding | None = None


class Response(msgspec.Struct):
    candidates: list[Candidate] | None = None


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
    response: Response | list[Response] | None = None
    model_version: str | None = None
    status: int | None = None
    usage: dict[str, Any] | list[dict[str, Any]] | None = None


def quote_usage(catalogue: Catalogue, model: str, document: bytes, at: datetime, tier: str) -> Quote:
    """Of a `usageMetadata` object. Raises Failure for what is no JSON object."""
    return quote(
        catalogue,
        model=model,
        model_version=None,
        usage=usage_of(decoded(document, dict[str, Any])),
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
        charges=tuple(charges(call)),
    )


def decoded(document: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(document, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failure(f"this is not the JSON that is wanted: {error}", Status.REFUSED) from None


def usage_of(members: dict[str, Any]) -> Usage | None:
    return read_usage(msgspec.json.encode(members))


def moment(at: str | None) -> datetime:
    now = datetime.now(UTC)
    try:
        return parse_time(at, now) if at else now
    except ValueError as error:
        raise Failure(f"`at`: {error}", Status.REFUSED) from None


def tier_of(call: Call) -> str:
    asked = call.request.service_tier if call.request else None
    return (call.tier or asked or "standard").lower()


def free(call: Call) -> str | None:
    """Why the call costs nothing, if that is known."""
    if call.status is not None and call.status >= 400:
        return f"answers of {call.status} cost nothing"
    if call.action and is_free(call.action):
        return f"calls of {call.action} cost nothing"
    return None


def is_free(action: str) -> bool:
    """As `gemini.route` knows it of a path; a method of a collection is called `files.list`."""
    *collections, verb = action.split(".")
    if not collections:
        return MODEL_ACTIONS.get(action) is Charge.FREE
    if verb in READS:
        return (FREE_COLLECTIONS | COSTLY_COLLECTIONS).issuperset(collections)
    return action == "files.upload" or (verb in FREE_VERBS and FREE_COLLECTIONS.issuperset(collections))


def charges(call: Call) -> Iterator[str]:
    """What an answer shows to have been used beside tokens. Empty queries are not billed."""
    chunks = call.response if isinstance(call.response, list) else [call.response or Response()]
    for candidate in chain.from_iterable(chunk.candidates or () for chunk in chunks):
        grounding = candidate.grounding_metadata or Grounding()
        if any(grounding.web_search_queries or ()):
            yield "grounding_search_query"
        if any("maps" in source for source in grounding.grounding_chunks or ()):
            yield "grounding_maps_query"
