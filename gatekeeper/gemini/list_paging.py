"""Pagination of filtered lists: what a client asks for, and which of Google's pages fill its page.

The query has the page size and the page token: `pageSize` and `pageToken` in Google's lists
(https://google.aip.dev/158), also in snake_case, which its newer APIs require; `limit` and `after` in
OpenAI's format.

A client's page has only the items that its key may see, collected from one or more of Google's pages. The
client continues at one of Google's own page tokens, so that it misses and repeats no more items than with
Google itself, whatever is created or deleted meanwhile. So a page of Google's can only be used as a whole: if
it has more items than the client's page has room for, it is requested again with a smaller page size (which
may change from page to page). In OpenAI's format a page can begin after any item.

After a full page the next item is looked up: the client gets a page token only if at least one more item
follows, because Google's Python SDK raises IndexError for a page without items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_plus

from gatekeeper.gemini.evasion import alphanumerics, query_risk
from gatekeeper.gemini.resource_list import Item, ListPage

# Accepted spellings of each parameter, camelCase first, by its canonical name.
_NATIVE = {"pagesize": ("pageSize", "page_size"), "pagetoken": ("pageToken", "page_token")}
_OPENAI = {"limit": ("limit",), "after": ("after",)}
_SIZES = ("pagesize", "limit")
MAX_SIZE = 1_000_000  # items of a page; Google's limits are from 20 to 1,000
# The smallest page size that is requested after the first page: a client with small pages would make the
# gateway request thousands of pages. Each is at most the maximum of its list; `fileSearchStores` has the
# lowest maximum of Google's lists.
FULL_PAGES = {
    "files": 100, "cachedContents": 100, "tunedModels": 100, "fileSearchStores": 20, "webhooks": 100,
    "environments": 100, "voices": 100,
}  # fmt: skip
FULL_PAGE = 20
# Google's smallest default page size.
DEFAULT_PAGE = 10


class BadListQuery(ValueError):
    """A query whose list cannot be filtered. The message is for the client; it has no full stop."""


class ListQuery(NamedTuple):
    """`size` and `token` are None if not given. `names` has the client's spellings of the parameters,
    `others` the remaining parameters, unchanged."""

    size: int | None
    token: str | None
    names: dict[str, str]
    others: tuple[bytes, ...]
    is_openai: bool

    def at(self, size: int | None, token: str | None, *, snake_case: bool) -> bytes:
        """The query for another page of the same list."""
        given = zip(_OPENAI if self.is_openai else _NATIVE, (size, token), strict=True)
        paging = [
            (self._name(key, snake_case=snake_case), str(value)) for key, value in given if value is not None
        ]
        return b"&".join(
            [
                *self.others,
                *(f"{name}={quote_from_bytes(value.encode(), '')}".encode() for name, value in paging),
            ]
        )

    def _name(self, key: str, *, snake_case: bool) -> str:
        spellings = (_OPENAI if self.is_openai else _NATIVE)[key]
        return self.names.get(key) or spellings[-1 if snake_case else 0]


def parse_list_query(query: bytes, *, is_openai: bool) -> ListQuery:
    """Raises BadListQuery for parameters that could change the format of the response, and for invalid
    pagination."""
    if query_risk(query):
        raise BadListQuery("a field mask, `callback`, another `alt` or a method override in the query")
    known = _OPENAI if is_openai else _NATIVE
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    others: list[bytes] = []
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.decode("latin-1").partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        folded = alphanumerics(name)
        if folded == "before" or (folded == "alt" and value == "sse"):
            raise BadListQuery(f"`{folded}`" + ("" if folded == "before" else "=sse"))
        if folded not in known:
            others.append(pair)
            continue
        if folded in values or name not in known[folded]:
            raise BadListQuery(f"`{known[folded][0]}` twice, or in another spelling")
        names[folded], values[folded] = name, value
    sizes = [_size(values[key]) for key in _SIZES if key in values]
    token = values.get("after" if is_openai else "pagetoken")
    return ListQuery(sizes[0] if sizes else None, token or None, names, tuple(others), is_openai)


def _size(value: str) -> int | None:
    """None for zero, which means the default."""
    # Truncated before it is parsed: int() raises for more than 4,300 digits (Python 3.11).
    if value and not (value.isascii() and value.isdigit() and int(value[:9]) <= MAX_SIZE and len(value) < 9):
        raise BadListQuery(f"a page size that is no whole number from 0 to {MAX_SIZE:,}")
    return int(value or 0) or None


class PageRequest(NamedTuple):
    """A page to request: where it begins, and its size; None: Google's default."""

    cursor: str
    size: int | None


class FilteredPage:
    """The client's page while it is being filled. `next_request` is the page to request from Google next,
    None once the client's page is complete. Then `items` are its items, and `next_cursor` is where the next
    one begins (None: it is the last)."""

    def __init__(
        self, cursor: str, size: int | None, collection: str, *, items_are_positions: bool = False
    ) -> None:
        self.next_request: PageRequest | None = PageRequest(cursor, size)
        self.items: list[Item] = []
        self.next_cursor: str | None = None
        # None: an unknown list, for which no size was requested.
        self._full_size = max(size or 0, FULL_PAGES.get(collection, size and FULL_PAGE) or 0) or None
        self._wanted = size or 0
        self._items_are_positions = items_are_positions
        self._is_cut = False

    def take(self, page: ListPage, is_own: Sequence[bool], following: str | None) -> None:
        """Adds the requested page: those of its items that are the key's own. `following` is the cursor of
        the page after it, None for the last one."""
        if (asked := self.next_request) is None:
            return
        own = [number for number, is_key_s in enumerate(is_own) if is_key_s]
        if asked.size is None:
            # Google's page size, as far as it is observable.
            self._wanted = max(self._wanted, len(page.items), DEFAULT_PAGE)
        room = self._wanted - len(self.items)
        if len(own) <= room:
            self._keep(page, own)
            self.go_on(following)
        elif self._items_are_positions:
            self._keep(page, own[:room])
            self._finish(self.items[-1].id)
        elif room and not self._is_cut:
            # Up to the last item that there is room for, counting the items of other keys before it.
            self.next_request, self._is_cut = PageRequest(asked.cursor, own[room - 1] + 1), True
        elif self.items:
            # More items follow, from this page on: the item that was looked up, or a page larger than
            # requested.
            self._finish(asked.cursor)
        else:
            self._keep(page, own)
            self._finish(following)

    def go_on(self, cursor: str | None) -> None:
        """Requests the page at this cursor next; None: the list has ended."""
        # The page was requested again only to end at the last item that fits: the client continues after it.
        if cursor is None or (self._is_cut and self.items):
            self._finish(cursor)
        else:
            self._is_cut = False
            self.next_request = PageRequest(cursor, self._full_size)

    def stop(self) -> None:
        """Ends the page before the next request: the client continues there."""
        if self.next_request is not None:
            self._finish(self.next_request.cursor)

    def _keep(self, page: ListPage, numbers: list[int]) -> None:
        self.items += [page.items[number] for number in numbers]

    def _finish(self, cursor: str | None) -> None:
        self.next_request, self.next_cursor = None, cursor
