"""The log's memory: each call once, oldest first, the newest kept, whatever order they are told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.client.call_types import Call
from tui.line_buffer import LineBuffer, day_of

IDS = [f"0193f2c4-{number:04x}" for number in range(30)]
told = st.lists(st.tuples(st.sampled_from(IDS), st.booleans()), max_size=60)


def call(name, finished=True):
    return Call(id=name, outcome="ok" if finished else None)


@given(told)
def test_each_call_is_held_once_in_order_and_an_end_is_not_forgotten(tellings):
    buffer = LineBuffer(100)
    for name, finished in tellings:
        buffer.add([call(name, finished)])
    held = [line.call for line in buffer]
    assert [item.id for item in held] == sorted({name for name, _ in tellings})
    ended = {name for name, finished in tellings if finished}
    assert all((item.outcome is not None) == (item.id in ended) for item in held)


@given(told, st.integers(1, 10))
def test_the_newest_stay(tellings, capacity):
    buffer = LineBuffer(capacity)
    buffer.add(call(name) for name, _ in tellings)
    buffer.trim()
    assert [line.call.id for line in buffer] == sorted({name for name, _ in tellings})[-capacity:]
    assert {name for name in IDS if buffer.get(name)} == {line.call.id for line in buffer}


def test_a_mark_stands_behind_what_was_held_and_before_what_comes():
    buffer = LineBuffer(10)
    buffer.add([call("b"), call("d")])
    buffer.add_marker("lost")
    buffer.add_marker("lost again")
    buffer.add([call("e"), call("a"), call("c")])
    assert [line.call.id if line.call else line.text for line in buffer] == [
        "a",
        "b",
        "c",
        "d",
        "lost",
        "lost again",
        "e",
    ]
    assert buffer.calls == 5


def test_marks_go_with_the_calls_around_them():
    buffer = LineBuffer(1)
    buffer.add_marker("first")
    buffer.add([call("a")])
    assert buffer.trim() == 1
    assert [line.call.id for line in buffer] == ["a"]


def test_how_many_came_after_a_place():
    buffer = LineBuffer(10)
    buffer.add([call("a"), call("c")])
    place = buffer[1].sort_key
    buffer.add([call("b"), call("d"), call("e")])
    assert buffer.after(place) == 2


def test_a_dropped_call_is_gone():
    buffer = LineBuffer(10)
    buffer.add([call("a", finished=False)])
    buffer.drop("a")
    buffer.drop("a")
    assert len(buffer) == 0


def call_at(moment, number=0):
    digits = f"{round(moment.timestamp() * 1000):012x}"
    return call(f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}")


START = datetime(2026, 10, 23, 12, tzinfo=UTC)
minutes = st.lists(st.integers(0, 5 * 24 * 60), min_size=1, max_size=40)


@given(minutes, st.randoms())
def test_a_rule_stands_at_each_change_of_the_local_day(ago, random):
    """Over the night in which Amsterdam's clocks go back, in whatever order calls come."""
    calls = {minute: call_at(START + timedelta(minutes=minute)) for minute in ago}
    buffer, told = LineBuffer(1000), list(calls.values())
    random.shuffle(told)
    for one in told:
        buffer.add([one])
    expected, day = [], None
    for minute in sorted(calls):
        local = (START + timedelta(minutes=minute)).astimezone()
        if local.date() != day:
            day = local.date()
            expected.append(f"{local:%a} {local.day} {local:%b}")
        expected.append(calls[minute].id)
    assert [line.call.id if line.call else line.text for line in buffer] == expected
    assert buffer.calls == buffer.after("") == len(calls)
    for one in random.sample(told, len(told)):
        buffer.drop(one.id)
    assert len(buffer) == 0


def test_a_day_that_was_trimmed_is_said_to_be_cut_and_one_that_was_dropped_comes_back():
    buffer = LineBuffer(2)
    buffer.add([call_at(START, number) for number in range(3)])
    assert (buffer.trim(), buffer.trimmed) == (2, True)
    buffer.add([call_at(START, 3)])
    assert all(line.call for line in buffer)
    buffer = LineBuffer(9)
    for _ in range(2):
        buffer.add([call_at(START)])
        assert [line.is_day for line in buffer] == [True, False]
        buffer.drop(call_at(START).id)
        assert (len(buffer), buffer.trimmed) == (0, False)


@pytest.mark.parametrize(
    "id", ["", "open", "0193f2c4-7b1e-4c40-9d0a-5f1d9c1c2ab1", "x" * 14 + "7", "f" * 14 + "7"]
)
def test_an_id_that_tells_no_time_has_no_day(id):  # noqa: A002
    assert day_of(id) is None
