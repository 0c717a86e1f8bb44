"""A journal on a disk that is full: what is open can be ended, what is new is refused, nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rig.disk import AHEAD, fill, small_disk

from gatekeeper.ledger import journal as journal_module
from gatekeeper.ledger import segments
from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.segments import records, segment_numbers


@pytest.fixture(autouse=True)
def as_in_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "PREALLOCATE_BYTES", AHEAD)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as disk:
        yield disk


def a_call(name: str, outcome: Outcome | None = None) -> CallRecord:
    return CallRecord(id=name, started_at=1, method="POST", path="/" * 1000, outcome=outcome)


def on_disk(folder: Path) -> list[str]:
    """The ids of the ended calls that a killed process would leave behind."""
    journal = folder / "journal"
    found = [record for number in segment_numbers(journal) for _, record in records(journal, number)]
    return [record.end.id for record in found if record and record.end]


def test_open_calls_are_ended_on_a_full_disk_and_refused_ones_wait(disk: Path) -> None:
    with closing(Journal(disk)) as journal:
        filler = fill(disk)
        journal.sync()
        begun: list[str] = []
        while not journal.full:
            journal.begin(a_call(f"open-{len(begun)}"))
            begun.append(f"open-{len(begun)}")
            if len(begun) % 100 == 0:
                journal.sync()
        assert len(begun) > 1000
        assert journal.error, "readiness tells"
        refused = [f"refused-{number}" for number in range(3000)]
        for name in refused:
            assert journal.end(a_call(name, Outcome.REFUSED)) is None
        written = [journal.end(a_call(name, Outcome.OK)) for name in begun]
        assert None not in written
        assert on_disk(disk) == begun
        journal.sync()
        assert journal.full
        assert journal.durable_position >= (written[-1] or Position(0, 0))
        filler.unlink()
        journal.sync()
        assert (journal.error, journal.full) == (None, False)
        assert on_disk(disk) == begun + refused
    with closing(Journal(disk)) as journal:
        assert journal.recover() == []


def test_more_refused_calls_than_memory_is_for_them_are_counted(disk: Path) -> None:
    with closing(Journal(disk, backlog_bytes=5000)) as journal:
        filler = fill(disk)
        journal.sync()
        while not journal.full:
            journal.begin(a_call("open"))
            journal.sync()
        for number in range(10):
            journal.end(a_call(f"refused-{number}", Outcome.REFUSED))
        assert journal.lost_refused_calls == 6
        filler.unlink()
        journal.sync()
        assert on_disk(disk) == [f"refused-{number}" for number in range(4)]


def test_a_start_on_a_full_disk_takes_no_calls_until_there_is_room(disk: Path) -> None:
    filler = fill(disk, leave=1 << 20)
    with closing(Journal(disk)) as journal:
        assert journal.full
        assert journal.error
        filler.unlink()
        journal.sync()
        assert (journal.full, journal.error) == (False, None)


def test_while_room_is_made_for_thousands_of_open_calls_new_ones_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_full: list[bool] = []
    really = segments.allocate

    def allocate(fd: int, start: int, length: int) -> bool:
        was_full.append(journal.full)  # as the event loop sees it while the disk takes its time
        return really(fd, start, length)

    with closing(Journal(tmp_path)) as journal:
        monkeypatch.setattr(segments, "allocate", allocate)
        for number in range(3000):
            journal.begin(a_call(f"{number}"))
        journal.sync()
        assert was_full == [False]
        assert not journal.full


def test_a_segment_is_kept_while_there_is_no_room_for_the_next(disk: Path) -> None:
    with closing(Journal(disk, segment_bytes=1000)) as journal:
        filler = fill(disk)
        for number in range(3):
            journal.begin(a_call(f"{number}"))
            journal.end(a_call(f"{number}", Outcome.OK))
            journal.sync()
        assert journal.write_position.segment == 1
        assert on_disk(disk) == ["0", "1", "2"]
        assert journal.durable_position == journal.write_position
        filler.unlink()
        journal.sync()
        assert journal.write_position.segment == 2


def test_room_that_was_not_needed_is_given_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (segment,) = (tmp_path / "journal").iterdir()
    room = segment.stat().st_blocks * 512
    journal.end(a_call("1", Outcome.OK))
    size = segment.stat().st_size
    journal.close()
    if room > size:  # otherwise this file system cannot allocate ahead
        assert size < AHEAD <= room
        assert segment.stat().st_blocks * 512 < 100_000
    assert segment.stat().st_size == size


def test_killed_processes_leave_no_allocated_space_behind(disk: Path) -> None:
    for number in range(8):  # of which three would fill the disk
        journal = Journal(disk)
        assert journal.error is None
        journal.end(a_call(f"call-{number}", Outcome.OK))
        os.close(journal._segment.fd)  # all that a killed process does
    assert on_disk(disk) == [f"call-{number}" for number in range(8)]
