"""Query parameters: what each may hold is one row of a table; which of them a route takes, the route says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from quart import request

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import invalid
from gatekeeper.ledger import filters
from gatekeeper.times import parse_time

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
    return Query(**{name: _value(name, text) for name, text in given.items()})


def _single(name: str, allowed: tuple[str, ...]) -> str:
    if name not in allowed:
        known = f"there are {', '.join(allowed)}" if allowed else "it takes none"
        raise invalid(name, f"`{name}` is no parameter of {request.path}; {known}", list(allowed))
    texts = request.args.getlist(name)
    if len(texts) > 1:
        raise invalid(name, f"`{name}` is there {len(texts)} times", "give it once")
    return texts[0]


def _value(name: str, text: str) -> Any:
    try:
        return READERS[name](text)
    except ValueError as problem:
        raise invalid(name, f"`{name}`: {problem}", str(problem)) from None


# Readers: the value; ValueError says what is allowed.


def limit(text: str) -> int:
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


def call_cursor(cursor: str | None) -> str | None:
    """The cursor of a list of calls: the last id of the page before. Raises Problem."""
    try:
        return None if cursor is None else str(UUID(cursor))
    except ValueError:
        raise invalid(
            "cursor", "`cursor`: no page of calls ended there", "give a page's `next_cursor`"
        ) from None
