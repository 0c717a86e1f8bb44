"""Lists of keys: what is found, in which order, and pages that neither lose nor repeat a key."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.listing import NEWEST_FIRST, SORTS, PageSearch
from gatekeeper.keys.virtual_key import KeyRecord, KeyState


def living(number: int, *, spend: int = 0, used: int | None = None, **fields) -> KeyState:
    given = {"created_at": number, "updated_at": number, **fields}
    record = KeyRecord(token_id=f"key_{number}", secret_hash=str(number), key_name="sk-...wxyz", **given)
    return KeyState(record=record, spend_pico=spend, last_used_at=used)


KEYS = [
    living(1, key_alias="Zebra", tags=("blue", "Grün"), spend=5, used=30),
    living(2, user_id="ann", group="research", spend=10**20),
    living(3, key_alias="apple", expires_at=9, used=10),
    living(4, key_alias="Mango", user_id="Anna", expires_at=4, spend=7),
]


def ids(states) -> list[int]:
    return [int(state.record.token_id.removeprefix("key_")) for state in states]


def listed(states=KEYS, *, q="", limit=1000, cursor=None, sort=NEWEST_FIRST):
    search = PageSearch(0, q=q, limit=limit, cursor=cursor, sort=sort)
    # In any parts.
    search.look_at(states[: len(states) // 2])
    search.look_at(states[len(states) // 2 :])
    return search.page()


@cases(
    ("q", "found"),
    [
        ("", [4, 3, 2, 1]),
        ("zebra", [1]),
        ("GRÜN", [1]),
        ("ann", [4, 2]),
        ("search", [2]),
        ("an", [4, 2]),
        ("key_1", []),
        ("wxyz", []),
    ],
)
def test_text_is_found_in_alias_tags_user_and_group(q, found):
    assert ids(listed(q=q).states) == found


@cases(
    ("sort", "order"),
    [
        ("created_at", [1, 2, 3, 4]),
        ("-created_at", [4, 3, 2, 1]),
        ("key_alias", [3, 4, 1, 2]),
        ("-key_alias", [1, 4, 3, 2]),
        ("spend", [3, 1, 4, 2]),
        ("-spend", [2, 4, 1, 3]),
        ("expires", [4, 3, 1, 2]),
        ("-expires", [3, 4, 2, 1]),
        ("last_used_at", [3, 1, 2, 4]),
        ("-last_used_at", [1, 3, 4, 2]),
    ],
)
def test_keys_are_sorted_and_those_without_a_value_are_last(sort, order):
    assert ids(listed(sort=sort).states) == order


def test_by_the_used_part_of_the_budget_the_fullest_are_first_and_keys_that_may_not_call_last():
    keys = [
        living(1, spend=10**18),
        living(2, spend=5, max_budget_pico=10),
        living(3, spend=9, max_budget_pico=10, blocked_at=1),
        living(4, spend=30, max_budget_pico=20),
        living(5, max_budget_pico=0),
        living(6, spend=9, max_budget_pico=10, expires_at=0),
        living(7, max_budget_pico=10),
    ]
    assert ids(listed(keys, sort="-budget_used").states) == [4, 5, 2, 7, 1, 6, 3]
    assert ids(listed(keys, sort="budget_used").states) == [1, 7, 2, 5, 4, 3, 6]


@given(
    keys=st.lists(st.tuples(st.none() | st.text(max_size=2), st.integers(0, 3)), max_size=12),
    limit=st.integers(1, 5),
    sort=st.sampled_from([way + name for name in SORTS for way in ("", "-")]),
)
def test_pages_hold_every_key_once_in_order(keys, limit, sort):
    states = [living(number, key_alias=alias, spend=spend) for number, (alias, spend) in enumerate(keys)]
    pages = [listed(states, limit=limit, sort=sort)]
    while cursor := pages[-1].next_cursor:
        pages.append(listed(states, limit=limit, sort=sort, cursor=cursor))

    assert [state for each in pages for state in each.states] == listed(states, sort=sort).states
    assert all(len(each.states) == limit for each in pages[:-1])


def test_keys_that_come_and_go_between_pages_shift_nothing():
    first = listed(limit=2)

    second = listed([living(9), *KEYS[:3]], limit=2, cursor=first.next_cursor)

    assert (ids(first.states), ids(second.states)) == ([4, 3], [2, 1])


def forged(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode()


@cases(
    "cursor",
    [
        "",
        "nonsense!",
        "ключ",
        forged(b"\xff\xfe"),
        forged(b"{}"),
        forged(b'["-created_at",[true,7,"key_1"]]'),
        forged(b'["-created_at",[true,"seven","key_1"]]'),
        listed(limit=1, sort="spend").next_cursor,
    ],
)
def test_a_cursor_of_no_page_is_refused(cursor):
    with pytest.raises(FieldError) as caught:
        listed(cursor=cursor)

    assert caught.value.field == "cursor"


@cases("sort", ["", "-", "name", "--spend", "max_budget"])
def test_an_unknown_sort_is_refused_with_those_there_are(sort):
    with pytest.raises(FieldError, match="key_alias") as caught:
        listed(sort=sort)

    assert caught.value.field == "sort"
