"""`GET /key/list`: which keys, in which order, page by page.

A cursor holds the place of the last key of a page, its sorted value and id, not a number of rows: keys that
come or go between two pages shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.record import KeyState

SORTS: dict[str, Callable[[KeyState], int | str | None]] = {
    "created_at": lambda state: state.record.created_at,
    "expires": lambda state: state.record.expires_at,
    "key_alias": lambda state: state.record.key_alias and state.record.key_alias.casefold(),
    "last_used_at": lambda state: state.last_used_at,
    "spend": lambda state: state.spend_pico,
}
NEWEST_FIRST = "-created_at"

Place = tuple[bool, str, str]


class Page(NamedTuple):
    """Some keys, and the cursor of the next page; None after the last."""

    states: list[KeyState]
    next_cursor: str | None


def page(states: Iterable[KeyState], *, q: str, limit: int, cursor: str | None, sort: str) -> Page:
    """The keys in whose alias, tags, user or group the text `q` is found, whatever its case.

    `sort` is a name of `SORTS`, with `-` before it from high to low; keys without a value come last. Raises
    FieldError for another sort and for a cursor that no page of this sort has given.
    """
    down = sort.startswith("-")
    if sort.removeprefix("-") not in SORTS:
        raise FieldError("sort", sort, f"sort by {', '.join(SORTS)}, with `-` before it from high to low")
    places = {_place(state, sort): state for state in states if _found(q.casefold(), state)}
    after = None if cursor is None else _read(cursor, sort)
    rest = [
        place
        for place in sorted(places, reverse=down)
        if after is None or (place < after if down else place > after)
    ]
    more = len(rest) > limit
    return Page([places[place] for place in rest[:limit]], _write(rest[limit - 1], sort) if more else None)


def _found(q: str, state: KeyState) -> bool:
    record = state.record
    texts = (record.key_alias, record.user_id, record.group, *record.tags)
    return not q or any(q in text.casefold() for text in texts if text)


def _place(state: KeyState, sort: str) -> Place:
    value = SORTS[sort.removeprefix("-")](state)
    last = (value is None) != sort.startswith("-")  # what has no value comes last in either direction
    return last, f"{value:040d}" if isinstance(value, int) else value or "", state.record.token_id


def _write(place: Place, sort: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, place))).decode().rstrip("=")


def _read(cursor: str, sort: str) -> Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.urlsafe_b64decode(padded)
        given, place = msgspec.json.decode(decoded, type=tuple[str, Place])
    except (binascii.Error, ValueError):
        given, place = None, None
    if place is None or given != sort:
        raise FieldError("cursor", cursor, f"give the `next_cursor` of a page sorted by `{sort}`, or none")
    return place
