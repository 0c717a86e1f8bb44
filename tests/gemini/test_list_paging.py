"""A page of a list is filled with a key's own items, whoever's stand between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.list_paging import FilteredPage, PageRequest
from gatekeeper.gemini.resource_list import Item, ListPage

DEFAULT_SIZE = 5


def is_own(name: str) -> bool:
    return name.startswith("own")


def owned(page: ListPage) -> list[bool]:
    return [is_own(item.name) for item in page.items]


@dataclass
class Upstream:
    """A list of Google's by cursors: a token is the number of the first item of its page. Some services take
    fewer items than they are asked for, or more."""

    names: list[str | None]  # None once it is deleted
    positions: bool = False
    sizes: str = "honoured"
    asked: list[PageRequest] = field(default_factory=list)

    def page(self, ask: PageRequest) -> ListPage:
        self.asked.append(ask)
        size = ask.size or DEFAULT_SIZE
        if self.sizes == "ignored":
            size = DEFAULT_SIZE
        elif self.sizes == "coerced":
            size = min(size, 3)
        start = int(ask.cursor or 0)
        if self.positions and ask.cursor:
            start += 1
        there = [(at, name) for at, name in enumerate(self.names) if at >= start and name is not None]
        items = tuple(Item(name, str(at), b"{}") for at, name in there[:size])
        more = str(there[size][0]) if len(there) > size else None
        if self.positions and more:
            more = items[-1].id
        return ListPage({}, None, items, more, is_indented=False, ends=b"")


def filled(
    upstream: Upstream, place: str, size: int | None, most: int = 1000, collection: str = "corpora"
) -> FilteredPage:
    filtered = FilteredPage(place, size, collection, items_are_positions=upstream.positions)
    for _ in range(most):
        if filtered.next_request is None:
            break
        page = upstream.page(filtered.next_request)
        filtered.take(page, owned(page), page.next_token)
    filtered.stop()
    return filtered


def pages(
    upstream: Upstream, size: int | None, most: int = 1000, collection: str = "corpora"
) -> Iterator[list[str]]:
    """What a client sees that pages to the end."""
    place: str | None = ""
    for _ in range(1000):
        filtered = filled(upstream, place, size, most, collection)
        yield [item.name for item in filtered.items]
        place = (
            filtered.items[-1].id
            if upstream.positions and filtered.next_cursor and filtered.items
            else filtered.next_cursor
        )
        if place is None:
            return
    pytest.fail("no end")


NAMES = st.lists(st.booleans(), max_size=60).map(
    lambda owns: [f"{'own' if own else 'other'}{at}" for at, own in enumerate(owns)]
)
SIZES = st.none() | st.integers(1, 30)


@given(
    NAMES,
    SIZES,
    st.booleans(),
    st.sampled_from(["honoured", "coerced", "ignored"]),
    st.sampled_from(["files", "novelties"]),
)
def test_each_own_item_is_there_once_and_in_order(
    names: list[str], size: int | None, positions: bool, sizes: str, collection: str
) -> None:
    found = list(pages(Upstream([*names], positions, sizes), size, collection=collection))
    assert [name for page in found for name in page] == [name for name in names if is_own(name)]
    # No client gets an empty page after another: Google's Python SDK would raise IndexError.
    assert all(found[1:])
    if size and sizes == "honoured":
        assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
        assert len(found[-1]) <= size


@given(NAMES, SIZES, st.integers(2, 4), st.sampled_from(["honoured", "ignored"]))
def test_bounded_requests_end_a_page_early_and_nothing_is_missed(
    names: list[str], size: int | None, most: int, sizes: str
) -> None:
    found = pages(Upstream([*names], sizes=sizes), size, most)
    assert [name for page in found for name in page] == [name for name in names if is_own(name)]


@given(NAMES, SIZES, st.data())
def test_what_is_deleted_between_two_pages_hides_nothing_else(
    names: list[str], size: int | None, data: st.DataObject
) -> None:
    """A client that deletes what it has listed, while others do the same."""
    upstream = Upstream([*names])
    seen: list[str] = []
    for page in pages(upstream, size):
        seen += page
        others = [name for name in upstream.names if name is not None and not is_own(name)]
        gone = {*page, *(name for name in others if data.draw(st.booleans()))}
        upstream.names = [None if name in gone else name for name in upstream.names]
    assert seen == [name for name in names if is_own(name)]


def test_small_pages_do_not_cost_a_request_for_each_item_of_others() -> None:
    upstream = Upstream([*(f"other{at}" for at in range(200)), "own"])
    assert [item.name for item in filled(upstream, "", 1).items] == ["own"]
    assert len(upstream.asked) == 11


@cases(
    ("collection", "size", "asked"),
    [
        ("files", None, [None, 100]),
        ("files", 1, [1, 100]),
        ("files", 200, [200, 200]),
        ("fileSearchStores", None, [None, 20]),
        ("fileSearchStores", 5, [5, 20]),
        ("novelties", None, [None, None]),
        ("novelties", 5, [5, 20]),
        ("novelties", 50, [50, 50]),
    ],
)
def test_further_pages_are_as_large_as_a_list_allows(
    collection: str, size: int | None, asked: list[int | None]
) -> None:
    upstream = Upstream([f"other{at}" for at in range(300)])
    filled(upstream, "", size, 2, collection)
    assert [ask.size for ask in upstream.asked] == asked


def test_a_page_of_the_clients_size_is_asked_for_first() -> None:
    upstream = Upstream(["own0", "own1", "own2"])
    assert filled(upstream, "", 2).next_cursor == "2"
    assert upstream.asked == [PageRequest("", 2), PageRequest("2", 20)]


def test_a_page_that_was_cut_and_has_lost_its_items_goes_on() -> None:
    upstream = Upstream(["other0", "other1", "own2", "own3", "own4", "own5"])
    filtered = FilteredPage("", 1, "corpora")
    filtered.take(upstream.page(PageRequest("", 1)), [False], "1")
    assert filtered.next_request == PageRequest("1", 20)
    page = upstream.page(filtered.next_request)
    filtered.take(page, owned(page), None)
    assert filtered.next_request == PageRequest("1", 2)
    upstream.names[2] = None
    upstream.names.insert(2, "other")
    page = upstream.page(filtered.next_request)
    filtered.take(page, owned(page), "4")
    assert (filtered.items, filtered.next_request) == ([], PageRequest("4", 20))


def test_stopping_twice_changes_nothing() -> None:
    filtered = filled(Upstream(["own0", "other1"]), "", 1)
    filtered.stop()
    assert (filtered.next_cursor, len(filtered.items)) == (None, 1)
    filtered.take(Upstream([]).page(PageRequest("", 1)), [], None)
    assert len(filtered.items) == 1
