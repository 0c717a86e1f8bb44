"""What is held for a while, and in bounds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rig.cases import cases

from gatekeeper.sandbox.errors import GoogleError
from gatekeeper.sandbox.store import (
    ExpiringStore,
    format_timestamp,
    page,
    parse_duration,
    parse_timestamp,
)


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 1
    expires: float = 10.0


def test_the_oldest_make_room():
    store = ExpiringStore[Thing](5, lambda: 0.0)
    for name, size in (("a", 2), ("b", 2), ("c", 1), ("d", 3)):
        store.put(Thing(name, size))
    assert [thing.name for thing in store.all()] == ["d", "c"]
    store.put(Thing("giant", 50))
    assert [thing.name for thing in store.all()] == ["giant"]


def test_what_is_put_again_is_new_again():
    store = ExpiringStore[Thing](2, lambda: 0.0)
    for name in ("a", "b", "a", "c"):
        store.put(Thing(name))
    assert [thing.name for thing in store.all()] == ["c", "a"]


def test_what_is_expired_is_gone():
    now = [0.0]
    store = ExpiringStore[Thing](9, lambda: now[0])
    store.put(Thing("a", expires=5.0))
    store.put(Thing("b", expires=15.0))
    now[0] = 5.0
    assert store.get("a") is None
    assert [thing.name for thing in store.all()] == ["b"]


def test_pages_follow_each_other_to_the_end():
    seen, token = [], None
    while True:
        some, more = page(range(7), "3", token)
        seen.append(list(some))
        token = more.get("nextPageToken")
        if token is None:
            break
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


@cases(("size", "token"), [("0", None), ("x", None), ("-1", None), (None, "nonsense"), (None, "!")])
def test_what_is_no_page_is_refused(size, token):
    with pytest.raises(GoogleError):
        page(range(7), size, token)


def test_times_are_written_and_read_as_google_writes_them():
    assert format_timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"
    assert parse_timestamp("2023-11-14T22:13:20.250000123Z") == 1_700_000_000.25
    assert parse_duration("3.5s") == 3.5


@cases("bad", ["", "5", "-5s", "5m", "tomorrow"])
def test_other_durations_and_times_are_refused(bad):
    with pytest.raises(GoogleError):
        parse_duration(bad)
    with pytest.raises(GoogleError):
        parse_timestamp(bad)
