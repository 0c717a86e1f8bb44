"""Pages of calls in any order: each call once, in that order, whatever the values and the size of a page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.analytics import Analytics
from rig.cases import cases
from rig.examples import examples

from gatekeeper.ledger.analytics.call_pages import SORTS, parse_order, split_page
from gatekeeper.ledger.analytics.messages import CursorError, SortError
from gatekeeper.ledger.call import COLUMNS, CallRecord, Position

# Few values, so that many calls have the same.
texts = st.none() | st.sampled_from(["", "a", "B", "ä", "😀", "a\nb", '"'])
numbers = st.none() | st.sampled_from([0, 1, 2**53 + 1])
spans = st.none() | st.sampled_from([0.0, 0.1, 0.30000000000000004, 1e12])
calls = st.builds(
    CallRecord,
    id=st.uuids(version=4).map(str),
    started_at=st.just(1),
    duration_ms=spans,
    key_alias=texts,
    user_id=texts,
    method=st.just("GET"),
    path=st.just("/"),
    model=texts,
    status=st.none() | st.sampled_from([200, 404]),
    total_tokens=numbers,
    cost_pico=st.none() | st.sampled_from([0, 1, 10**17]),
)
sorts = st.builds(str.__add__, st.sampled_from(["", "-"]), st.sampled_from(list(SORTS)))


def pages(analytics: Analytics, sort: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        rows, order = analytics.calls(limit=limit + 1, sort=sort, cursor=cursor), parse_order(sort)
        page, cursor = split_page(rows, limit, order)
        found += page
        if cursor is None:
            return found
        assert len(page) == limit


def key_of(sort: str) -> Any:
    column = SORTS[sort.removeprefix("-")]

    def key(row: dict[str, Any]) -> Any:
        value = row[column]
        if isinstance(value, str) and column == "cost_usd":
            return float(value)
        return value.encode() if isinstance(value, str) else value

    return key


@settings(max_examples=examples(3))
@given(
    st.lists(calls, min_size=1, max_size=12, unique_by=lambda call: call.id),
    st.lists(sorts, min_size=8, max_size=8),
    st.integers(1, 5),
)
def test_pages_hold_each_call_once_in_their_order(
    known: list[CallRecord], asked: list[str], limit: int
) -> None:
    with TemporaryDirectory() as folder:
        analytics = Analytics(Path(folder))
        analytics.add([(Position(1, number), call) for number, call in enumerate(known, 1)])
        newest = analytics.calls()
        for sort in asked:
            key = key_of(sort)
            valued = [row for row in newest if key(row) is not None]
            ordered = sorted(valued, key=key, reverse=sort.startswith("-"))
            unknown = [row for row in newest if key(row) is None]
            # `sorted` is stable: equal ones stay newest first, in reverse, too.
            assert [row["id"] for row in pages(analytics, sort, limit)] == [
                row["id"] for row in [*ordered, *unknown]
            ], sort
        analytics.release()


def test_any_text_is_a_cursor_or_refused_as_one(tmp_path: Path) -> None:
    analytics = Analytics(tmp_path)
    analytics.add(
        [
            (
                Position(1, 1),
                CallRecord(id="019a1b2c-0000-7000-8000-000000000001", started_at=1, method="GET", path="/"),
            )
        ]
    )

    @given(
        st.text() | st.binary().map(lambda data: data.hex()), st.sampled_from(["-cost", "model", "started"])
    )
    def refused_or_read(cursor: str, sort: str) -> None:
        with suppress(CursorError):
            analytics.calls(sort=sort, cursor=cursor)

    refused_or_read()
    analytics.release()


@cases("sort", ["", "-", "--cost", "tags", "usage", "cost;", "Cost", "continues"])
def test_any_other_sort_is_refused_and_those_there_are_are_named(sort: str) -> None:
    with pytest.raises(SortError, match="cost_usd") as caught:
        parse_order(sort)
    assert set(caught.value.allowed) <= {*SORTS}


def test_each_column_with_one_value_can_be_sorted_by() -> None:
    composite = {"id", "started_at", "tags", "stream", "usage", "continues", "billed_units"}
    assert set(COLUMNS) - composite <= set(SORTS)
