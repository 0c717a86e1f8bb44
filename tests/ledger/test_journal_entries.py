"""What a consumer gets is the same, whether the journal has it in memory or reads its files."""

import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rig.disk import disk_ends_at

from gatekeeper.ledger.analytics.messages import encode_row
from gatekeeper.ledger.call import Amendment, CallRecord, JournalEntry, Outcome, Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import read_entries

START = Position(0, 0)
TEXTS = st.text(st.characters(codec=None), max_size=5)  # lone surrogates too
USAGES = [None, b"{}", b'{\n  "promptTokenCount": 3,\r\n "x": "\xc3\xa4"}']


@st.composite
def calls(draw: st.DrawFn) -> CallRecord:
    usage = draw(st.sampled_from(USAGES))
    return CallRecord(
        id=draw(st.uuids()).hex,
        started_at=draw(st.integers(0, 2**62)),
        duration_ms=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        key_alias=draw(st.none() | TEXTS),
        tags=draw(st.lists(TEXTS, max_size=2)),
        method="POST",
        path=draw(TEXTS),
        outcome=draw(st.sampled_from(Outcome)),
        usage=None if usage is None else msgspec.Raw(usage),
        cost_pico=draw(st.none() | st.integers(0, 2**62)),
        billed_units=draw(st.none() | st.just({"search": None, "image": 3})),
    )


def row(position: Position, entry: JournalEntry) -> str:
    return encode_row(position, entry.call if isinstance(entry, Amendment) else entry)


@given(written=st.lists(calls() | calls().map(lambda call: Amendment(call=call)), max_size=5))
def test_rows_are_the_same_from_memory_and_from_files(written: list[JournalEntry]) -> None:
    with tempfile.TemporaryDirectory() as name, closing(Journal(Path(name))) as journal:
        _, start = journal.read(START, 1)
        for entry in written:
            if isinstance(entry, Amendment):
                journal.amend(entry)
            else:
                journal.end(entry)
        in_memory, _ = journal.read(start, 100)
        in_files, _ = read_entries(journal.folder, start, journal.durable_position, 100, set())
    assert all(found is entry for (_, found), entry in zip(in_memory, written, strict=True))
    assert [row(*entry) for entry in in_memory] == [row(*entry) for entry in in_files]


def call(number: int) -> CallRecord:
    return CallRecord(id=f"call-{number}", started_at=number, method="POST", path="/", outcome=Outcome.OK)


def test_memory_has_a_few_and_what_it_has_dropped_is_in_the_files(tmp_path: Path) -> None:
    ended = [call(number) for number in range(9)]
    with closing(Journal(tmp_path, recent_bytes=300)) as journal:
        for each in ended:
            journal.end(each)
        found, on = journal.read(START, 100)
        assert [entry for _, entry in found] == ended
        assert not any(entry is each for (_, entry), each in zip(found, ended, strict=True))
        latest, end = journal.read(found[-2][0], 100)
        assert latest[0][1] is ended[-1]
        assert end == on


def test_what_every_consumer_has_read_leaves_memory(tmp_path: Path) -> None:
    ended = [call(number) for number in range(4)]
    with closing(Journal(tmp_path)) as journal:
        _, start = journal.read(START, 1)
        for each in ended:
            journal.end(each)
        found, _ = journal.read(start, 2)
        assert [entry for _, entry in found] == ended[:2]
        journal.discard([found[-1][0], journal.durable_position])
        again, _ = journal.read(start, 1)
        assert again == found[:1]
        assert again[0][1] is not ended[0]
        later, _ = journal.read(found[-1][0], 2)
        assert all(entry is each for (_, entry), each in zip(later, ended[2:], strict=True))


def test_a_line_that_had_to_wait_is_read_in_its_place(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        _, start = journal.read(START, 1)
        journal.end(call(1))
        with disk_ends_at(journal.write_position.offset + 10):
            journal.end(call(2))
        journal.end(call(3))
        found, _ = journal.read(start, 100)
        journal.end(call(4))
        later, _ = journal.read(found[-1][0], 100)
    assert [entry for _, entry in found + later] == [call(number) for number in (1, 2, 3, 4)]
