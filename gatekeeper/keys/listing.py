"""Pages of keys: filtered, sorted, and continued by a cursor.

A cursor has the sort key of the last key of a page (the sorted value and the id), not an offset, so that
creating or deleting keys between two pages does not shift the pages.

A page takes one pass over all keys, and keeps only those of the page. The pass yields to other tasks if there
are very many keys.
"""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.spend import current_spend
from gatekeeper.keys.virtual_key import KeyState

USED_PRECISION = 10**12
"""The used part of a budget is an integer in these fractions: exact in cursors, and precise enough for
display."""


def used_part(state: KeyState, now: int) -> int | None:
    """The part of its budget that a key has spent. A budget of 0 counts as used up; no budget is lower than
    any. None for keys that may not make calls, whose budget does not matter."""
    record = state.record
    if record.blocked_at is not None or (record.expires_at is not None and record.expires_at <= now):
        return None
    if record.max_budget_pico is None:
        return -1
    if record.max_budget_pico == 0:
        return USED_PRECISION
    return current_spend(state, now)[0] * USED_PRECISION // record.max_budget_pico


SORTS: dict[str, Callable[[KeyState, int], int | str | None]] = {
    "budget_used": used_part,
    "created_at": lambda state, _: state.record.created_at,
    "expires": lambda state, _: state.record.expires_at,
    "key_alias": lambda state, _: state.record.key_alias and state.record.key_alias.casefold(),
    "last_used_at": lambda state, _: state.last_used_at,
    "spend": lambda state, now: current_spend(state, now)[0],
}
NEWEST_FIRST = "-created_at"

SortKey = tuple[bool, int | str, str]
"""Whether it has no value (in descending order: whether it has one), the value, and the id."""


class Page(NamedTuple):
    """A page of keys, and the cursor of the next one; None on the last page."""

    states: list[KeyState]
    next_cursor: str | None


class PageSearch:
    """Finds the keys whose alias, tags, user or group contain `q`, case-insensitively, at `now`.

    `sort` is a name of `SORTS`, with a leading `-` in descending order; keys without a value come last.
    Raises FieldError for any other sort, and for a cursor that is not of a page of this sort.
    """

    def __init__(self, now: int, *, q: str, limit: int, cursor: str | None, sort: str) -> None:
        self._sort, self._limit, self._q, self._now = sort, limit, q.casefold(), now
        self._descending = sort.startswith("-")
        if (name := sort.removeprefix("-")) not in SORTS:
            raise FieldError("sort", sort, f"sort by {', '.join(SORTS)}, with `-` before it from high to low")
        self._value = SORTS[name]
        self._after = None if cursor is None else _decode_cursor(cursor, sort)
        self._first: list[tuple[SortKey, KeyState]] = []
        """The keys of the page, and one more if a page follows."""

    def look_at(self, states: Iterable[KeyState]) -> None:
        """Examines some of the keys; each must be passed once."""
        found = self._first + [(self._sort_key(state), state) for state in states if self._matches(state)]
        if (after := self._after) is not None:
            found = [each for each in found if (each[0] < after if self._descending else each[0] > after)]
        choose = heapq.nlargest if self._descending else heapq.nsmallest
        # Not a full sort: sorting 100,000 keys for each page would block calls for 0.2 s.
        self._first = choose(self._limit + 1, found, key=_first)

    def page(self) -> Page:
        """The page, after all keys were examined."""
        shown = self._first[: self._limit]
        more = len(self._first) > self._limit
        next_cursor = _encode_cursor(shown[-1][0], self._sort) if more else None
        return Page([state for _, state in shown], next_cursor)

    def _matches(self, state: KeyState) -> bool:
        if not self._q:
            return True
        record = state.record
        texts = (record.key_alias, record.user_id, record.group, *record.tags)
        return any(self._q in text.casefold() for text in texts if text)

    def _sort_key(self, state: KeyState) -> SortKey:
        value = self._value(state, self._now)
        # Keys without a value come last in both directions.
        return (value is None) != self._descending, "" if value is None else value, state.record.token_id


def _first(found: tuple[SortKey, KeyState]) -> SortKey:
    return found[0]


def _encode_cursor(sort_key: SortKey, sort: str) -> str:
    last, value, token_id = sort_key
    # As a string: a spend may exceed 64 bits.
    content = msgspec.json.encode((sort, (last, str(value), token_id)))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: str) -> SortKey:
    try:
        # `_encode_cursor` omits the padding, which would have to be percent-encoded in a query.
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.urlsafe_b64decode(padded)
        given, (last, value, token_id) = msgspec.json.decode(decoded, type=tuple[str, tuple[bool, str, str]])
        has_number = last == sort.startswith("-") and sort.removeprefix("-") != "key_alias"
        sort_key = (last, int(value) if has_number else value, token_id)
    except (binascii.Error, ValueError):
        given, sort_key = None, None
    if sort_key is None or given != sort:
        raise FieldError("cursor", cursor, f"give the `next_cursor` of a page sorted by `{sort}`, or none")
    return sort_key
