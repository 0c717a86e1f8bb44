"""The paging of lists: what a client asks for, and the pages that fill its own.

How many items a page has, and where it begins, is in the query. Google's lists take `pageSize` and
`pageToken` (https://google.aip.dev/158), also in snake_case, its newer APIs only so; those of OpenAI's form
`limit` and `after`.

A page of what a key may see is filled out of the pages that Google has for all. The client continues at
Google's own tokens, so that it misses and repeats no more than with Google itself, whatever is made or
deleted meanwhile. Google's page is therefore taken as a whole or not at all: where it has more than the
client's page has room for, it is asked for once more, only as far as it is needed (a page size may change
from page to page). In OpenAI's form each item is a position.

After a full page the next item is looked for: the client gets a token only if there is one more item for it.
Google's Python SDK raises IndexError for a page without items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_plus

from gatekeeper.gemini.evasion import alphanumerics, query_risk
from gatekeeper.gemini.resource_list import Item, ListPage

# By what the spelling of a parameter is reduced to: all spellings that are taken, camelCase first.
_NATIVE = {"pagesize": ("pageSize", "page_size"), "pagetoken": ("pageToken", "page_token")}
_OPENAI = {"limit": ("limit",), "after": ("after",)}
_SIZES = ("pagesize", "limit")
MAX_SIZE = 1_000_000  # items of a page; Google's limits are from 20 to 1,000
# Items that are asked for behind the first page, at least: a client with small pages would have the gateway
# ask for thousands of them. Each is the maximum of its list, or below it; no list of Google's has a lower one
# than `fileSearchStores`.
FULL_PAGES = {
    "files": 100, "cachedContents": 100, "tunedModels": 100, "fileSearchStores": 20, "webhooks": 100,
    "environments": 100, "voices": 100,
}  # fmt: skip
FULL_PAGE = 20
# Google's smallest page size where none is asked for.
DEFAULT_PAGE = 10


class BadListQuery(ValueError):
    """A query whose list could not be filtered; the text, a sentence without its dot, is for the client."""


class ListQuery(NamedTuple):
    """`size` and `token` are None where they were not given; `names` are the parameters as the client spells
    them, `others` all the rest, as it came."""

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
    """Raises BadListQuery for what could change the answer's form, or is no valid paging."""
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
    """Zero is the same as none."""
    # Cut before it is read: int() raises for more than 4,300 digits (Python 3.11).
    if value and not (value.isascii() and value.isdigit() and int(value[:9]) <= MAX_SIZE and len(value) < 9):
        raise BadListQuery(f"a page size that is no whole number from 0 to {MAX_SIZE:,}")
    return int(value or 0) or None


class PageRequest(NamedTuple):
    """A page to ask for: where it begins, and how many items; None: Google's own page size."""

    cursor: str
    size: int | None


class FilteredPage:
    """The client's page, as it is filled. `next_request` is what to ask Google for next, None once it is
    complete; then `items` are on it, and `next_cursor` is where the next one begins (None: there is no
    more)."""

    def __init__(
        self, cursor: str, size: int | None, collection: str, *, items_are_positions: bool = False
    ) -> None:
        self.next_request: PageRequest | None = PageRequest(cursor, size)
        self.items: list[Item] = []
        self.next_cursor: str | None = None
        # None: of a list that is not known, and that no size is asked of.
        self._full_size = max(size or 0, FULL_PAGES.get(collection, size and FULL_PAGE) or 0) or None
        self._wanted = size or 0
        self._items_are_positions = items_are_positions
        self._is_cut = False

    def take(self, page: ListPage, is_own: Sequence[bool], following: str | None) -> None:
        """Takes the page that was asked for: of its items, the key's own. `following` is the cursor behind
        it, if there is more."""
        if (asked := self.next_request) is None:
            return
        own = [number for number, is_key_s in enumerate(is_own) if is_key_s]
        if asked.size is None:
            # Google's own page size, as far as it shows.
            self._wanted = max(self._wanted, len(page.items), DEFAULT_PAGE)
        room = self._wanted - len(self.items)
        if len(own) <= room:
            self._keep(page, own)
            self.go_on(following)
        elif self._items_are_positions:
            self._keep(page, own[:room])
            self._finish(self.items[-1].id)
        elif room and not self._is_cut:
            # As far as the last item that there is room for, those of others before it included.
            self.next_request, self._is_cut = PageRequest(asked.cursor, own[room - 1] + 1), True
        elif self.items:
            # There is more, from this page on: what was looked for, or the page is larger than asked.
            self._finish(asked.cursor)
        else:
            self._keep(page, own)
            self._finish(following)

    def go_on(self, cursor: str | None) -> None:
        """Asks for the page at this cursor next; at None the list has come to its end."""
        # The page was asked for once more only to end where there is room: what is behind it is the client's
        # next.
        if cursor is None or (self._is_cut and self.items):
            self._finish(cursor)
        else:
            self._is_cut = False
            self.next_request = PageRequest(cursor, self._full_size)

    def stop(self) -> None:
        """Ends the page before the next one is asked for: the client continues there."""
        if self.next_request is not None:
            self._finish(self.next_request.cursor)

    def _keep(self, page: ListPage, numbers: list[int]) -> None:
        self.items += [page.items[number] for number in numbers]

    def _finish(self, cursor: str | None) -> None:
        self.next_request, self.next_cursor = None, cursor
