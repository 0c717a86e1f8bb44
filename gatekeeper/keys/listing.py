"""Pages of keys for people who read: filtered, sorted, and continued by a cursor.

A cursor holds the sort key of the last key of a page (the value sorted by, and the id), not a number of rows:
keys that are created or deleted between two pages shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.virtual_key import KeyState

SORTS: dict[str, Callable[[KeyState], int | str | None]] = {
    "created_at": lambda state: state.record.created_at,
    "expires": lambda state: state.record.expires_at,
    "key_alias": lambda state: state.record.key_alias and state.record.key_alias.casefold(),
    "last_used_at": lambda state: state.last_used_at,
    "spend": lambda state: state.spend_pico,
}
NEWEST_FIRST = "-created_at"

SortKey = tuple[bool, str, str]


class Page(NamedTuple):
    """Some keys, and the cursor of the next page; None after the last."""

    states: list[KeyState]
    next_cursor: str | None


def page(states: Iterable[KeyState], *, q: str, limit: int, cursor: str | None, sort: str) -> Page:
    """The keys whose alias, tags, user or group contain the text `q`, case-insensitively.

    `sort` is a name of `SORTS`, with a leading `-` in descending order; keys without a value come last.
    Raises FieldError for any other sort, and for a cursor that is not of a page of this sort.
    """
    descending = sort.startswith("-")
    if sort.removeprefix("-") not in SORTS:
        raise FieldError("sort", sort, f"sort by {', '.join(SORTS)}, with `-` before it from high to low")
    by_sort_key = {_sort_key(state, sort): state for state in states if _matches_text(q.casefold(), state)}
    after = None if cursor is None else _decode_cursor(cursor, sort)
    rest = [
        sort_key
        for sort_key in sorted(by_sort_key, reverse=descending)
        if after is None or (sort_key < after if descending else sort_key > after)
    ]
    more = len(rest) > limit
    next_cursor = _encode_cursor(rest[limit - 1], sort) if more else None
    return Page([by_sort_key[sort_key] for sort_key in rest[:limit]], next_cursor)


def _matches_text(q: str, state: KeyState) -> bool:
    record = state.record
    texts = (record.key_alias, record.user_id, record.group, *record.tags)
    return not q or any(q in text.casefold() for text in texts if text)


def _sort_key(state: KeyState, sort: str) -> SortKey:
    value = SORTS[sort.removeprefix("-")](state)
    # Keys without a value come last in both directions.
    last = (value is None) != sort.startswith("-")
    # With leading zeros numbers sort as text; 40 digits, because a spend may exceed 64 bits.
    return last, f"{value:040d}" if isinstance(value, int) else value or "", state.record.token_id


def _encode_cursor(sort_key: SortKey, sort: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, sort_key))).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: str) -> SortKey:
    try:
        # `_encode_cursor` omits the padding, which would have to be percent-encoded in a query.
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.urlsafe_b64decode(padded)
        given, sort_key = msgspec.json.decode(decoded, type=tuple[str, SortKey])
    except (binascii.Error, ValueError):
        given, sort_key = None, None
    if sort_key is None or given != sort:
        raise FieldError("cursor", cursor, f"give the `next_cursor` of a page sorted by `{sort}`, or none")
    return sort_key
