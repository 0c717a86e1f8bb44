"""Fills a page of a list with the items that a key may see, out of the pages that Google has for all.

The client continues at Google's own tokens, so that it misses and repeats no more than with Google itself,
whatever is made or deleted meanwhile. Google's page is therefore taken as a whole or not at all: where it has
more than the client's page has room for, it is asked for once more, only as far as it is needed (a page size
may change from page to page: https://google.aip.dev/158). In OpenAI's form each item is a position.

After a full page the next item is looked for: the client gets a token only if there is one more item for it.
Google's Python SDK raises IndexError for a page without items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.gemini.resource_list import Item, ListPage

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


class Ask(NamedTuple):
    """A page to ask for: where it begins, and how many items; None: Google's own page size."""

    place: str
    size: int | None


class ListFill:
    """`ask` is the next page to ask for, None once the client's is complete; then `items` are on it, and
    `place` is where the next one begins (None: there is no more)."""

    def __init__(
        self, place: str, size: int | None, collection: str, *, items_are_positions: bool = False
    ) -> None:
        self.ask: Ask | None = Ask(place, size)
        self.items: list[Item] = []
        self.place: str | None = None
        # None: of a list that is not known, and that no size is asked of.
        self._full_size = max(size or 0, FULL_PAGES.get(collection, size and FULL_PAGE) or 0) or None
        self._wanted = size or 0
        self._items_are_positions = items_are_positions
        self._is_cut = False

    def take(self, page: ListPage, is_own: Sequence[bool], following: str | None) -> None:
        """Takes the page that was asked for: of its items, the key's own. `following` is the place behind it,
        if there is more."""
        if (asked := self.ask) is None:
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
            self.ask, self._is_cut = Ask(asked.place, own[room - 1] + 1), True
        elif self.items:
            # There is more, from this page on: what was looked for, or the page is larger than asked.
            self._finish(asked.place)
        else:
            self._keep(page, own)
            self._finish(following)

    def go_on(self, place: str | None) -> None:
        """Asks for the page at this place next; at None the list has come to its end."""
        # The page was asked for once more only to end where there is room: what is behind it is the client's
        # next.
        if place is None or (self._is_cut and self.items):
            self._finish(place)
        else:
            self._is_cut = False
            self.ask = Ask(place, self._full_size)

    def stop(self) -> None:
        """Ends the page before the next one is asked for: the client continues there."""
        if self.ask is not None:
            self._finish(self.ask.place)

    def _keep(self, page: ListPage, numbers: list[int]) -> None:
        self.items += [page.items[number] for number in numbers]

    def _finish(self, place: str | None) -> None:
        self.ask, self.place = None, place
