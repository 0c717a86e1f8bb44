"""The cost of one call described by its documents, for `gatekeeper prices quote`.

A call costs what the gateway would have recorded for it: nothing for a response of 400 and above or a method
that is free; its cost is unknown where it used something that has no price. What the gateway counts over many
calls has to be said in the request: `free_searches_left` of the project's allowance, none if it is left out.
The storage of a cache is a call of `cachedContents` with the `ttl` of its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from gatekeeper.cli.catalogue import parsed_time
from gatekeeper.cli.conventions import CommandError, ExitStatus
from gatekeeper.cli.output import print_cells
from gatekeeper.client import formats
from gatekeeper.client.columns import TextRole
from gatekeeper.gemini.actions import CACHE_STORAGE_ACTION
from gatekeeper.gemini.billed_units import BilledUnits, billed_units
from gatekeeper.gemini.json_values import read_count
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.response_parser import ResponseParser
from gatekeeper.gemini.usage import read_usage
from gatekeeper.money import usd
from gatekeeper.pricing import priced_call
from gatekeeper.pricing import quote as pricing
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_lines import SEARCH_KINDS, CostLine
from gatekeeper.pricing.price_components import CACHE_TOKEN_SECONDS, PIECES, UNITS
from gatekeeper.pricing.price_documents import plain_decimal
from gatekeeper.pricing.priced_call import free_reason
from gatekeeper.pricing.quote import Quote
from gatekeeper.times import parse_duration

T = TypeVar("T")
Members = dict[str, object]

# The action of a Live session, whose turns each have a usage.
LIVE = "live"
CACHES = ("cachedContents", "cachedContents.create", CACHE_STORAGE_ACTION)


class Call(msgspec.Struct):
    """The JSON of `--call`; a missing field is unknown. `usage` is a list for Live turns, `response` may be
    a list of a stream's chunks."""

    model: str
    at: str | None = None
    tier: str | None = None
    action: str | None = None
    request: Members | None = None
    response: Members | list[Members] | None = None
    model_version: str | None = None
    status: int | None = None
    usage: Members | list[Members] | None = None


def quote_usage(
    catalogue: Catalogue, model: str, usage: Mapping[str, object], at: datetime, tier: str
) -> Quote:
    """Prices a `usageMetadata` object. Raises CommandError for a whole response."""
    try:
        return priced_call.quote_usage(catalogue, model, usage, at=at, tier=tier)
    except priced_call.NotUsageError as error:
        raise CommandError(f"{error}, or all of the call with --call", ExitStatus.REJECTED) from None


def usage_of(document: bytes) -> Members:
    """Raises CommandError for what is not a JSON object."""
    return decoded(document, Members)


def quote_call(catalogue: Catalogue, document: bytes) -> Quote:
    """Prices a whole call. Raises CommandError for invalid JSON."""
    call = decoded(document, Call)
    if why := free_reason(None, call.status, call.action):
        return Quote(
            (call.model_version or call.model).removeprefix("models/"), 0, (), catalogue.version, (why,)
        )
    # Only a Live session has a usage for each of its turns.
    units, action = units_of(call), LIVE if isinstance(call.usage, list) else call.action
    if action in CACHES and (stored := token_seconds(call)) is not None:
        units, action = {CACHE_TOKEN_SECONDS: stored}, CACHE_STORAGE_ACTION
    # Where the tier is not given, what the request asked for is the best that is known.
    asked = (call.request or {}).get("serviceTier")
    return pricing.quote(
        catalogue,
        model=call.model,
        model_version=call.model_version,
        usage=None if call.usage is None else read_usage(msgspec.json.encode(call.usage)),
        at=parsed_time(call.at or "0s", "`at`", ExitStatus.REJECTED),
        tier=str(call.tier or asked or "standard").lower(),
        action=action,
        billed_units=units,
    )


def decoded(document: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(document, type=form)
    # RecursionError: thousands of nested lists.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"the JSON is not as expected: {error}", ExitStatus.REJECTED) from None


def units_of(call: Call) -> BilledUnits:
    """The billed units other than tokens, by request and response, as for a call through the gateway."""
    parser = ResponseParser()
    for chunk in call.response if isinstance(call.response, list) else [call.response or {}]:
        parser.read(msgspec.json.encode(chunk))
    said = parser.summary(complete=True, truncated=False)
    if call.usage is not None:
        said = msgspec.structs.replace(said, usage=msgspec.json.encode(call.usage))
    request = call.request or {}
    asked = read_request(msgspec.json.encode(request))
    units = billed_units(call.action, call.model.removeprefix("models/"), asked, said)
    left = read_count(request.get("free_searches_left"))
    return units | {kind.free: left for name, kind in SEARCH_KINDS.items() if left and name in units}


def token_seconds(call: Call) -> int | None:
    """Tokens x seconds that a cache is stored, if request and usage say both."""
    usage = read_usage(msgspec.json.encode(call.usage)) if call.usage else None
    try:
        seconds = parse_duration(str((call.request or {}).get("ttl")))
    except ValueError:
        return None
    return usage.total * seconds if usage and usage.total is not None else None


# For people


def quantity_of(line: CostLine) -> str:
    whole, point, fraction = plain_decimal(line.quantity).partition(".")
    return f"{int(whole):,}{point}{fraction}"


def print_quote(quote: Quote) -> None:
    """Prints the arithmetic line by line, to the last decimal, and the total."""
    print_cells([(quote.model, TextRole.ACCENT), (f"  prices of {quote.price_version}", TextRole.DIM)])
    size = max((len(quantity_of(line)) for line in quote.lines), default=0)
    name = max((len(line.component) for line in quote.lines), default=0)
    for line in quote.lines:
        price = formats.price(Decimal(usd(line.unit_pico)))
        unit = "" if line.unit == PIECES.name else f" / {UNITS[line.unit].short}"
        print(f"{quantity_of(line):>{size}} {line.component:<{name}} × {price}{unit} = ${usd(line.pico)}")
    if quote.cost_pico is None:
        print_cells([("total unknown", TextRole.WARNING)])
    else:
        print_cells([(f"total ${usd(quote.cost_pico)}", TextRole.ACCENT)])
    for note in quote.notes:
        print_cells([(f"note: {note}", TextRole.DIM)])
