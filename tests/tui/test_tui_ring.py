"""The log's memory: each call once, oldest first, the newest kept, whatever order they are told in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.documents import Call
from tui.ring import Ring

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
