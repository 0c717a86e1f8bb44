"""What a listener has seen: each end once, in whatever order stream and ledger tell of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.client.call_stream import SeenCalls, first_id, id_before, id_term, in_parts, joined
from gatekeeper.client.call_types import Call

BEGAN = 1_764_000_000.0  # seconds since 1970
# Calls from a minute before it began to follow to a minute after.
SECONDS = range(-60, 60, 5)
IDS = [f"{first_id(int((BEGAN + second) * 1000))}-7000-8000-{second & 0xFF:012x}" for second in SECONDS]
told = st.lists(st.tuples(st.sampled_from(("starts", "ends", "missed")), st.sampled_from(IDS)), max_size=60)


@given(told)
def test_each_end_is_new_once_and_what_ended_before_is_not_missed(tellings: list[tuple[str, str]]) -> None:
    seen, shown, running = SeenCalls(BEGAN), set[str](), set[str]()
    for how, name in tellings:
        call = Call(id=name)
        if how == "starts":
            seen.starts(call)
            running |= {name} - shown
        else:
            new = seen.ends(call) if how == "ends" else seen.missed(call)
            wanted = how == "ends" or name in running or name >= first_id(int(BEGAN * 1000))
            assert new == (wanted and name not in shown)
            if new:
                shown.add(name)
                running.discard(name)
        assert set(seen.running) == running


def test_its_memory_is_bounded() -> None:
    seen = SeenCalls(BEGAN, capacity=3)
    assert all(seen.ends(Call(id=name)) for name in IDS[:5])
    assert [seen.ends(Call(id=name)) for name in IDS[2:5]] == [False] * 3


@cases(
    ("name", "milliseconds", "bound"),
    [
        ("01a20dab-04ca-7c40-9d0a-5f1d9c1c0001", 0x4CA, "01a20dab-0000"),
        ("00000000-0001-7c40-9d0a-5f1d9c1c0001", 60_000, "00000000-0000"),
        ("not an id", 60_000, "not an id"),
        ("", 60_000, ""),
    ],
)
def test_the_smallest_id_of_a_time_before(name: str, milliseconds: int, bound: str) -> None:
    assert id_before(name, milliseconds) == bound


def test_ids_are_asked_for_in_parts_of_a_filter() -> None:
    assert [len(part) for part in in_parts([str(number) for number in range(90)])] == [40, 40, 10]
    assert joined("tag:a", id_term(["1", "2"])) == "tag:a id:1,2"
    assert joined(None, "id:1") == "id:1"
