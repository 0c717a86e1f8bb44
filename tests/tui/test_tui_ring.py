"""The log's memory: each call once, oldest first, the newest kept, whatever order they are told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.client.api_types import Call
from tui.ring import Ring, day_of

IDS = [f"0193f2c4-{number:04x}" for number in range(30)]
told = st.lists(st.tuples(st.sampled_from(IDS), st.booleans()), max_size=60)


def call(name, finished=True):
    return Call(id=name, outcome="ok" if finished else None)


@given(told)
@settings(max_examples=150)
def test_each_call_is_held_once_in_order_and_an_end_is_not_forgotten(tellings):
    ring = Ring(100)
    for name, finished in tellings:
        ring.add([call(name, finished)])
    held = [line.call for line in ring]
    assert [item.id for item in held] == sorted({name for name, _ in tellings})
    ended = {name for name, finished in tellings if finished}
    assert all((item.outcome is not None) == (item.id in ended) for item in held)


@given(told, st.integers(1, 10))
@settings(max_examples=150)
def test_the_newest_stay(tellings, capacity):
    ring = Ring(capacity)
    ring.add(call(name) for name, _ in tellings)
    ring.trim()
    assert [line.call.id for line in ring] == sorted({name for name, _ in tellings})[-capacity:]
    assert {name for name in IDS if ring.get(name)} == {line.call.id for line in ring}


def test_a_mark_stands_behind_what_was_held_and_before_what_comes():
    ring = Ring(10)
    ring.add([call("b"), call("d")])
    ring.mark("lost")
    ring.mark("lost again")
    ring.add([call("e"), call("a"), call("c")])
    assert [line.call.id if line.call else line.text for line in ring] == [
        "a",
        "b",
        "c",
        "d",
        "lost",
        "lost again",
        "e",
    ]
    assert ring.calls == 5


def test_marks_go_with_the_calls_around_them():
    ring = Ring(1)
    ring.mark("first")
    ring.add([call("a")])
    assert ring.trim() == 1
    assert [line.call.id for line in ring] == ["a"]


def test_how_many_came_after_a_place():
    ring = Ring(10)
    ring.add([call("a"), call("c")])
    place = ring[1].place
    ring.add([call("b"), call("d"), call("e")])
    assert ring.after(place) == 2


def test_a_dropped_call_is_gone():
    ring = Ring(10)
    ring.add([call("a", finished=False)])
    ring.drop("a")
    ring.drop("a")
    assert len(ring) == 0


def call_at(moment, number=0):
    digits = f"{round(moment.timestamp() * 1000):012x}"
    return call(f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}")


START = datetime(2026, 10, 23, 12, tzinfo=UTC)
minutes = st.lists(st.integers(0, 5 * 24 * 60), min_size=1, max_size=40)


@given(minutes, st.randoms())
@settings(max_examples=150)
def test_a_rule_stands_at_each_change_of_the_local_day(ago, random):
    """Over the night in which Amsterdam's clocks go back, in whatever order calls come."""
    calls = {minute: call_at(START + timedelta(minutes=minute)) for minute in ago}
    ring, told = Ring(1000), list(calls.values())
    random.shuffle(told)
    for one in told:
        ring.add([one])
    expected, day = [], None
    for minute in sorted(calls):
        local = (START + timedelta(minutes=minute)).astimezone()
        if local.date() != day:
            day = local.date()
            expected.append(f"{local:%a} {local.day} {local:%b}")
        expected.append(calls[minute].id)
    assert [line.call.id if line.call else line.text for line in ring] == expected
    assert ring.calls == ring.after("") == len(calls)
    for one in random.sample(told, len(told)):
        ring.drop(one.id)
    assert len(ring) == 0


def test_a_day_that_was_trimmed_is_said_to_be_cut_and_one_that_was_dropped_comes_back():
    ring = Ring(2)
    ring.add([call_at(START, number) for number in range(3)])
    assert (ring.trim(), ring.trimmed) == (2, True)
    ring.add([call_at(START, 3)])
    assert all(line.call for line in ring)
    ring = Ring(9)
    for _ in range(2):
        ring.add([call_at(START)])
        assert [line.is_day for line in ring] == [True, False]
        ring.drop(call_at(START).id)
        assert (len(ring), ring.trimmed) == (0, False)


@pytest.mark.parametrize(
    "id", ["", "open", "0193f2c4-7b1e-4c40-9d0a-5f1d9c1c2ab1", "x" * 14 + "7", "f" * 14 + "7"]
)
def test_an_id_that_tells_no_time_has_no_day(id):  # noqa: A002
    assert day_of(id) is None
