"""What a request says and how it is answered: JSON in and out, and query parameters.

`msgspec` does the JSON: it passes Google's `usage` on byte for byte. What each parameter may hold is one row
of a table; which of them a route takes, the route says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import cast

import msgspec
from quart import Response, request

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import invalid
from gatekeeper.ledger import filters
from gatekeeper.ledger.call import Document
from gatekeeper.times import parse_time

LARGEST_BODY = 1024 * 1024  # bytes
_OBJECT = "send one JSON object, or nothing where no field is needed"


def answer(document: object) -> Response:
    return Response(msgspec.json.encode(document), content_type="application/json")


async def read_object() -> Document:
    """The request's body, whatever its Content-Type says; an empty one is an empty object.

    Raises Problem for what is no JSON object.
    """
    # Parsing a form would read the body by its Content-Type, which curl sets to a form's without being asked.
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    # RecursionError: lists within lists by the thousand.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("body", f"The body is no JSON: {error}", _OBJECT) from None
    if not isinstance(document, dict):
        raise invalid("body", "The body is no JSON object", _OBJECT)
    return cast("Document", document)


async def read_fields(*allowed: str) -> Document:
    """The body of a request that takes these fields and no other. Raises Problem."""
    document = await read_object()
    for name in document:
        if name not in allowed:
            # To pass it over would leave a misspelt limit without effect, and nobody would know.
            raise invalid(name, f"`{name}` is no field here; there are {', '.join(allowed)}", list(allowed))
    return document


LARGEST_LIMIT = 1000
DEFAULT_LIMIT = 100
NEVER_EMPTY = ("since", "until", "by", "limit", "top")
"""To read these, given empty, as if they were not there would widen what was asked for."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of one request; those that were not given have their default, and so have those that
    were given empty and are not among `NEVER_EMPTY`."""

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
        return filters.parse(self.q, now=gateway().now()).within(self.since, self.until)


def read_query(*allowed: str) -> Query:
    """Raises Problem for a parameter that the route does not take, that is there twice, or that does not
    hold what it may."""
    given = {name: text for name in request.args if (text := _single(name, allowed)) or name in NEVER_EMPTY}
    return msgspec.structs.replace(Query(), **{name: _value(name, text) for name, text in given.items()})


def _single(name: str, allowed: tuple[str, ...]) -> str:
    if name not in allowed:
        known = f"there are {', '.join(allowed)}" if allowed else "it takes none"
        raise invalid(name, f"`{name}` is no parameter of {request.path}; {known}", list(allowed))
    # Of two, whichever was taken, the other would be passed over in silence.
    texts = request.args.getlist(name)
    if len(texts) > 1:
        raise invalid(name, f"`{name}` is there {len(texts)} times", "give it once")
    return texts[0]


def _value(name: str, text: str) -> object:
    try:
        return READERS[name](text)
    except ValueError as problem:
        raise invalid(name, f"`{name}`: {problem}", str(problem)) from None


# Readers: the value; ValueError says what is allowed.


def limit(text: str) -> int:
    # Digits of ours alone, and not so many that `int` takes long.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= LARGEST_LIMIT):
        raise ValueError(f"give a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


def moment(text: str) -> datetime:
    return parse_time(text, gateway().now())


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("give a date like 2026-11-24") from None


def not_summed(text: str) -> bool:
    if text.lower() != "false":
        raise ValueError("give false, or leave it out: GET /spend?by=day,model has the sums")
    return False


READERS: dict[str, Callable[[str], object]] = {
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
    "summarize": not_summed,
}
