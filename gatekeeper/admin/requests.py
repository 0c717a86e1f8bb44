"""Parsing of request bodies and query parameters, and JSON responses.

`msgspec` encodes the JSON: it passes Google's `usage` on byte for byte. `PARSERS` has the parser of each
parameter; each route names the parameters that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import cast

import msgspec
from quart import Response, request

from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.problems import invalid
from gatekeeper.ledger import filters
from gatekeeper.ledger.call import Document
from gatekeeper.times import parse_time

MAX_BODY_BYTES = 1024 * 1024  # bytes
_OBJECT = "send one JSON object, or nothing where no field is needed"


def json_response(document: object) -> Response:
    return Response(msgspec.json.encode(document), content_type="application/json")


async def read_object() -> Document:
    """The request's body, whatever its Content-Type; an empty body is an empty object.

    Raises Problem if it is not a JSON object.
    """
    # Without form parsing: curl sets a form's Content-Type by default, and the body would be read as a form.
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    # RecursionError: thousands of nested lists.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("body", f"The body is not JSON: {error}", _OBJECT) from None
    if not isinstance(document, dict):
        raise invalid("body", "The body is not a JSON object", _OBJECT)
    return cast("Document", document)


async def read_fields(*allowed: str) -> Document:
    """The body of a request, which may have these fields only. Raises Problem."""
    document = await read_object()
    for name in document:
        if name not in allowed:
            # Ignoring it would leave a misspelt limit without effect, unnoticed.
            raise invalid(
                name,
                f"`{name}` is not a field of this request; there are {', '.join(allowed)}",
                list(allowed),
            )
    return document


MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
REJECT_EMPTY = ("since", "until", "by", "limit", "top")
"""Parameters that must not be empty: treating them as absent would widen the query."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of one request; those that are absent, or empty and not in `REJECT_EMPTY`, have their
    default."""

    q: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    top: int | None = None
    cursor: str | None = None
    sort: str | None = None
    by: tuple[str, ...] = ("none",)
    key: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    api_key: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    summarize: bool = False

    def filter(self) -> filters.Filter:
        """`q` in the filter grammar, within `since` and `until`. Raises FilterError."""
        return filters.parse(self.q, now=current_gateway().now()).in_period(self.since, self.until)


def read_query(*allowed: str) -> Query:
    """Raises Problem for a parameter that the route does not take, that is given twice, or that is
    invalid."""
    given = {
        name: text for name in request.args if (text := _single_value(name, allowed)) or name in REJECT_EMPTY
    }
    return msgspec.structs.replace(
        Query(), **{name: _parse_value(name, text) for name, text in given.items()}
    )


def _single_value(name: str, allowed: tuple[str, ...]) -> str:
    if name not in allowed:
        known = f"there are {', '.join(allowed)}" if allowed else "it takes none"
        raise invalid(name, f"`{name}` is not a parameter of {request.path}; {known}", list(allowed))
    # Of two values, one would be ignored silently.
    texts = request.args.getlist(name)
    if len(texts) > 1:
        raise invalid(name, f"`{name}` is given {len(texts)} times", "give it once")
    return texts[0]


def _parse_value(name: str, text: str) -> object:
    try:
        return PARSERS[name](text)
    except ValueError as problem:
        raise invalid(name, f"`{name}`: {problem}", str(problem)) from None


# Parsers: return the value; their ValueError says what is allowed.


def limit(text: str) -> int:
    # ASCII digits only, and few, because `int` is slow for very many digits.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= MAX_LIMIT):
        raise ValueError(f"give a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def moment(text: str) -> datetime:
    return parse_time(text, current_gateway().now())


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("give a date like 2026-11-24") from None


def false_only(text: str) -> bool:
    if text.lower() != "false":
        raise ValueError("give false, or leave it out: GET /spend?by=day,model has the sums")
    return False


PARSERS: dict[str, Callable[[str], object]] = {
    "q": str,
    "since": moment,
    "until": moment,
    "limit": limit,
    "top": limit,
    "cursor": str,
    "sort": str,
    "by": names,
    "key": str,
    "start_date": day,
    "end_date": day,
    "api_key": str,
    "user_id": str,
    "request_id": str,
    "summarize": false_only,
}
