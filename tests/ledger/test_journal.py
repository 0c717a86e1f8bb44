"""The journal on real files: threads, full disks, losses of power and kill -9 included."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from rig.disk import disk_ends_at
from rig.rotation import rotate

from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_entries import read_entries
from gatekeeper.ledger.segments import NewerJournalError

START = Position(0, 0)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and memory files with seals")


def running(number: int) -> CallRecord:
    return CallRecord(
        id=f"call-{number}", started_at=number, method="POST", path="/v1beta/models/m:generateContent"
    )


def finished(number: int) -> CallRecord:
    return msgspec.structs.replace(
        running(number), outcome=Outcome.OK, status=200, duration_ms=1.5, cost_pico=number, total_tokens=7
    )


def all_ends(journal: Journal, position: Position = START, page: int = 1000) -> list[CallRecord]:
    """Checks too that the files say what the journal may have had in memory."""
    calls: list[CallRecord] = []
    while True:
        start = journal.clamp(position)
        found, position = journal.read(position, page)
        in_files, _ = read_entries(journal.folder, start, position, page, set())
        assert [(after, call.id) for after, call in in_files] == [(after, call.id) for after, call in found]
        calls += [call for _, call in found]
        if not found:
            return calls


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "journal").iterdir())


def lines_on_disk(*paths: Path) -> list[dict]:
    """What whole lines with right checksums say, read without the journal's own code."""
    found = []
    for path in paths:
        for line in path.read_bytes().split(b"\n")[:-1]:
            assert re.fullmatch(rb"[0-9a-f]{8}", line[:8])
            assert int(line[:8], 16) == crc32(line[9:])
            found.append(json.loads(line[9:]))
    return found


def ids(calls: list[CallRecord]) -> list[str]:
    return [call.id for call in calls]


# Lines


def test_a_segment_is_a_header_and_a_line_for_each_begin_and_end(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.begin(running(1))
        journal.end(finished(1))
    (path,) = segments(tmp_path)
    call = {"id": "call-1", "started_at": 1, "method": "POST", "path": "/v1beta/models/m:generateContent"}
    result = {"outcome": "ok", "status": 200, "duration_ms": 1.5, "cost_pico": 1, "total_tokens": 7}
    assert path.name == "00000001.ndjson"
    assert lines_on_disk(path) == [{"v": 1, "segment": 1}, {"begin": call}, {"end": call | result}]


def test_a_pretty_printed_usage_stays_on_its_line_and_means_the_same(tmp_path: Path) -> None:
    call = finished(1)
    call.usage = msgspec.Raw(b'{\n  "promptTokenCount": 3\r\n}')
    with closing(Journal(tmp_path)) as journal:
        journal.end(call)
        (read,) = all_ends(journal)
    assert read.usage is not None
    assert json.loads(bytes(read.usage)) == {"promptTokenCount": 3}
    assert len(lines_on_disk(*segments(tmp_path))) == 2


@pytest.mark.parametrize("write", [Journal.begin, Journal.end])
def test_text_that_is_no_unicode_costs_its_odd_characters_only(
    tmp_path: Path, write: Callable[[Journal, CallRecord], object]
) -> None:
    call = running(1)
    call.key_alias, call.tags = "team-\ud800", ["a\udc80"]
    with closing(Journal(tmp_path)) as journal:
        write(journal, call)
    record = lines_on_disk(*segments(tmp_path))[1]
    (kept,) = record.values()
    assert (kept["key_alias"], kept["tags"]) == ("team-?", ["a?"])


# Reading


def test_reading_hands_out_each_end_once_in_order_across_segments(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in range(10):
            journal.begin(running(number))
            written = journal.end(finished(number))
            if number % 3 == 0:
                rotate(journal)
        found, on = journal.read(START, 100)
        assert [call for _, call in found] == [finished(number) for number in range(10)]
        assert found[-1][0] == written
        assert on >= written
        assert len(segments(tmp_path)) == 5


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_any_page_size_and_any_position_give_the_same_calls(tmp_path: Path, page: int) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in range(6):
            journal.end(finished(number))
            if number in (1, 4):
                rotate(journal)
        expected = ids([finished(number) for number in range(6)])
        assert ids(all_ends(journal, page=page)) == expected
        positions = [after for after, _ in journal.read(START, 100)[0]]
        assert positions == sorted(set(positions))
        for index, position in enumerate(positions, 1):
            assert ids(all_ends(journal, position, page)) == expected[index:]


def test_who_has_read_all_gets_what_ends_afterwards(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        _, on = journal.read(START, 10)
        assert journal.read(on, 10) == ([], on)
        rotate(journal)
        _, on = journal.read(on, 10)
        journal.begin(running(2))
        journal.end(finished(2))
        assert ids(all_ends(journal, on)) == ["call-2"]


def test_what_is_read_at_once_is_bounded_in_memory_too(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, recent_bytes=0)) as journal:
        for number in range(20):
            journal.end(msgspec.structs.replace(finished(number), path="/" * 1_000_000))
        found, on = journal.read(START, 1000)
        assert ids([call for _, call in found]) == [f"call-{number}" for number in range(3)]
        assert on == found[-1][0] < journal.write_position
        assert ids(all_ends(journal)) == [f"call-{number}" for number in range(20)]


def test_what_is_read_is_durable(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        written = journal.end(finished(1))
        assert written is not None
        assert journal.durable_position < written
        journal.read(START, 10)
        assert journal.durable_position >= written


def framed(body: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(body), body)


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"not a line\n",
        framed(b'{"end":{"id":"x","started_at":1,"method":"GET","path":"/"}}').replace(b"GET", b"PUT"),
        framed(b'{"end":{"id":"x"}}').upper(),
        framed(b'{"end":{"id":"x"}}'),
        framed(b'{"end":'),
        framed(b'{"end":{"id":"\xff"}}'),
    ],
    ids=["empty", "garbage", "flipped", "upper-case", "no call", "no JSON", "no UTF-8"],
)
def test_a_damaged_line_is_skipped_and_counted_once(tmp_path: Path, damage: bytes) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    header_size = whole.index(b"\n") + 1
    path.write_bytes(whole[:header_size] + damage + whole[header_size:])
    with closing(Journal(tmp_path)) as journal:
        assert journal.recover() == []
        assert ids(all_ends(journal)) == ids(all_ends(journal)) == ["call-1"]
        assert journal.damaged_lines == 1


def test_a_line_of_a_kind_yet_unknown_is_no_damage(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + framed(b'{"note":{"id":"x"}}'))
    with closing(Journal(tmp_path)) as journal:
        assert journal.recover() == all_ends(journal) == []
        assert journal.damaged_lines == 0


def test_a_newer_format_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "00000007.ndjson").write_bytes(framed(b'{"v":2,"segment":7}'))
    with (
        closing(Journal(tmp_path)) as journal,
        pytest.raises(NewerJournalError, match=r"00000007.*newer gatekeeper .*format 2; this one reads 1"),
    ):
        journal.recover()


def test_after_the_journal_was_removed_consumers_start_anew(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        rotate(journal)
        journal.end(finished(2))
        _, watermark = journal.read(START, 10)
    for path in segments(tmp_path):
        path.unlink()
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(3))
        rotate(journal)
        journal.discard([watermark])
        assert ids(all_ends(journal, Position(watermark.segment + 5, 0))) == ["call-3"]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    stray = tmp_path / "journal" / "notes.ndjson"
    stray.write_text("mine")
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        rotate(journal)
        journal.discard([journal.read(START, 10)[1]])
    assert stray.read_text() == "mine"


# Recovery


def test_recovery_ends_what_was_left_open_and_touches_nothing_else(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in (1, 2, 3):
            journal.begin(running(number))
        rotate(journal)
        journal.end(finished(2))
    with closing(Journal(tmp_path)) as journal:
        interrupted = [msgspec.structs.replace(running(n), outcome=Outcome.INTERRUPTED) for n in (1, 3)]
        assert journal.recover() == interrupted
        assert all_ends(journal) == [finished(2), *interrupted]
    with closing(Journal(tmp_path)) as journal:
        assert journal.recover() == []
        assert all_ends(journal) == [finished(2), *interrupted]


def test_a_crash_during_recovery_is_recovered_from(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in range(3):
            journal.begin(running(number))
    with closing(Journal(tmp_path)) as journal:
        journal.recover()
    path = segments(tmp_path)[-1]
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with closing(Journal(tmp_path)) as journal:
            journal.recover()
            assert sorted(ids(all_ends(journal))) == ["call-0", "call-1", "call-2"]
        segments(tmp_path)[-1].unlink()


def test_a_torn_tail_is_no_damage(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        journal.end(finished(2))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with closing(Journal(tmp_path)) as journal:
        journal.recover()
        assert ids(all_ends(journal)) == ["call-1"]
        assert journal.damaged_lines == 0


# Discarding


@pytest.mark.parametrize(
    ("watermarks", "left"),
    [
        ([], [1, 2, 3]),
        ([START, Position(3, 0)], [1, 2, 3]),
        ([Position(2, 10_000), Position(3, 0)], [2, 3]),
        ([Position(3, 0), Position(3, 0)], [3]),
        ([Position(9, 0)], [1, 2, 3]),
    ],
    ids=[
        "no consumer",
        "one knows nothing",
        "one in the second",
        "both in the current",
        "of another journal",
    ],
)
def test_segments_go_when_every_consumer_has_passed_them(
    tmp_path: Path, watermarks: list[Position], left: list[int]
) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in (1, 2):
            journal.end(finished(number))
            rotate(journal)
        journal.sync()
        journal.discard(watermarks)
        assert [int(path.stem) for path in segments(tmp_path)] == left


def test_the_begin_of_a_running_call_keeps_its_segment_and_all_later_ones(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in (1, 2, 3):
            journal.begin(running(number))
            rotate(journal)
        journal.end(finished(1))
        journal.end(finished(3))
        rotate(journal)
        _, all_read = journal.read(START, 10)
        journal.discard([all_read])
        assert [int(path.stem) for path in segments(tmp_path)] == [2, 3, 4, 5]
        journal.end(finished(2))
        journal.discard([journal.read(all_read, 10)[1]])
        assert [int(path.stem) for path in segments(tmp_path)] == [5]


def test_nothing_is_discarded_before_the_ends_are_durable(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.begin(running(1))
    with closing(Journal(tmp_path)) as journal:
        journal.sync()
        with disk_ends_at(segments(tmp_path)[-1].stat().st_size):
            journal.recover()
            journal.discard([journal.durable_position])
            assert [int(path.stem) for path in segments(tmp_path)] == [1, 2]
        journal.discard([journal.durable_position])
        assert [int(path.stem) for path in segments(tmp_path)] == [2]
        assert ids(all_ends(journal)) == ["call-1"]


def test_numbers_go_on_after_a_discard(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        rotate(journal)
        _, watermark = journal.read(START, 10)
        journal.discard([watermark])
    with closing(Journal(tmp_path)) as journal:
        journal.recover()
        journal.end(finished(2))
        assert ids(all_ends(journal, watermark)) == ["call-2"]


# Rotation and threads


def test_a_segment_that_has_grown_too_long_is_followed_by_another(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, segment_bytes=500)) as journal:
        for number in range(9):
            journal.end(finished(number))
            journal.sync()
        assert len(segments(tmp_path)) == 4
        assert len(all_ends(journal)) == 9


@pytest.fixture
def restless_threads() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless_threads")
def test_writing_never_minds_threads_that_sync_rotate_read_and_discard(tmp_path: Path) -> None:
    total = 3000
    rows: list[str] = []
    done = threading.Event()
    with closing(Journal(tmp_path, segment_bytes=2_000)) as journal:

        def consume() -> None:
            position = START
            while len(rows) < total and not (done.is_set() and journal.error):
                found, position = journal.read(position, 50)
                rows.extend(ids([call for _, call in found]))
                journal.discard([position])

        def keep_syncing() -> None:
            while not done.is_set():
                journal.sync()

        threads = [threading.Thread(target=consume), threading.Thread(target=keep_syncing)]
        for thread in threads:
            thread.start()
        for number in range(total):
            journal.begin(running(number))
            assert journal.end(finished(number)) is not None
        done.set()
        for thread in threads:
            thread.join()
        assert journal.error is None
    assert rows == [f"call-{number}" for number in range(total)]


# A disk that refuses


@given(
    steps=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 4)), min_size=1, max_size=5),
    segment_bytes=st.sampled_from([300, 1 << 20]),
)
def test_a_full_disk_loses_nothing_and_leaves_no_half_line(
    steps: list[tuple[int, int]], segment_bytes: int
) -> None:
    numbers = iter(range(100))
    expected: list[str] = []
    # Not in memory, where the limit would stop what is allocated ahead, too.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        with closing(Journal(folder, segment_bytes=segment_bytes)) as journal:
            for room, calls in steps:
                with disk_ends_at(segments(folder)[-1].stat().st_size + room):
                    for number, _ in zip(numbers, range(calls), strict=False):
                        journal.begin(running(number))
                        journal.end(finished(number))
                        expected.append(f"call-{number}")
                    journal.sync()
                    readable = ids(all_ends(journal))
                assert readable == expected[: len(readable)]
                assert (journal.error is None) == (readable == expected)
                assert all(path.read_bytes()[-1:] == b"\n" for path in segments(folder))
            journal.sync()
            assert journal.error is None
            assert ids(all_ends(journal)) == expected
            assert journal.damaged_lines == 0
        kinds = [
            kind for line in lines_on_disk(*segments(folder)) for kind in line if kind in ("begin", "end")
        ]
        assert kinds == ["begin", "end"] * len(expected)


def test_the_fault_tells_the_trouble_and_goes_with_it(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, backlog_bytes=300)) as journal:
        journal.begin(running(1))
        size = segments(tmp_path)[0].stat().st_size
        with disk_ends_at(size + 10):
            assert journal.end(finished(1)) is None
            assert isinstance(journal.error, OSError)
            assert not journal.full
            journal.begin(running(2))
            journal.begin(running(3))
            assert journal.full
            assert journal.end(finished(2)) is None
            journal.sync()
            assert journal.error
            assert segments(tmp_path)[0].stat().st_size == size
        journal.sync()
        assert (journal.error, journal.full) == (None, False)
        assert journal.end(finished(3)) is not None
        assert ids(all_ends(journal)) == ["call-1", "call-2", "call-3"]


def test_a_new_segment_that_cannot_be_made_is_made_later(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.end(finished(1))
        with disk_ends_at(10):
            rotate(journal)
        assert journal.error
        journal.end(finished(2))
        rotate(journal)
        journal.end(finished(3))
        assert ids(all_ends(journal)) == ["call-1", "call-2", "call-3"]
        assert journal.error is None
        assert len(segments(tmp_path)) == 2


def descriptor_of(path: Path) -> int:
    (fd,) = (
        int(link.name) for link in Path("/proc/self/fd").iterdir() if link.exists() and link.samefile(path)
    )
    return fd


@linux_only
def test_what_the_disk_has_not_confirmed_is_not_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.end(finished(1))
    _, on = journal.read(START, 10)
    # A pipe takes every write and can confirm none.
    reader, writer = os.pipe()
    os.dup2(writer, descriptor_of(segments(tmp_path)[0]))
    assert journal.end(finished(2)) is not None
    assert journal.read(on, 10) == ([], on)
    assert journal.error
    rotate(journal)
    journal.end(finished(3))
    assert journal.read(on, 10) == ([], on)
    assert journal.error
    journal.close()
    os.close(reader)
    os.close(writer)


@linux_only
def test_a_torn_line_that_cannot_be_taken_back_ends_the_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    path = segments(tmp_path)[0]
    # A file that may grow but never shrink takes the place of the segment under the journal's feet.
    stubborn = os.memfd_create("segment", os.MFD_ALLOW_SEALING)
    os.write(stubborn, path.read_bytes())
    fcntl.fcntl(stubborn, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    os.dup2(stubborn, descriptor_of(path))
    with disk_ends_at(path.stat().st_size + 20):
        assert journal.end(finished(1)) is None
    assert os.fstat(stubborn).st_size == path.stat().st_size + 20
    os.close(stubborn)
    journal.end(finished(2))
    assert ids(all_ends(journal)) == ["call-1", "call-2"]
    assert [line["end"]["id"] for line in lines_on_disk(segments(tmp_path)[1])[1:]] == ["call-1", "call-2"]
    journal.close()


# Crashes


Step = Callable[[Journal, int], object]
STEPS: dict[str, Step] = {
    "begin": lambda journal, number: journal.begin(running(number)),
    "end": lambda journal, number: journal.end(finished(number)),
    "sync": lambda journal, _: journal.sync(),
    "rotate": lambda journal, _: rotate(journal),
}


@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 5)), max_size=14),
    where=st.floats(0, 1),
)
def test_after_a_cut_at_any_byte_each_call_with_a_whole_line_has_one_row(
    steps: list[tuple[str, int]], where: float
) -> None:
    seen: set[tuple[str, int]] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(Journal(folder)) as journal:
            for step, number in steps:
                if step in ("sync", "rotate") or not {(step, number), ("end", number)} & seen:
                    STEPS[step](journal, number)
                    seen.add((step, number))
        last = segments(folder)[-1]
        os.truncate(last, round(where * last.stat().st_size))
        whole = lines_on_disk(*segments(folder))
        with closing(Journal(folder)) as journal:
            journal.recover()
            rows = all_ends(journal)
        ended = [line["end"]["id"] for line in whole if "end" in line]
        begun = [line["begin"]["id"] for line in whole if "begin" in line]
        assert ids(rows) == ended + [each for each in begun if each not in ended]
        assert all((row.outcome is Outcome.OK) == (row.id in ended) for row in rows)


class PowerLoss(RuleBasedStateMachine):
    """Two consumers keep what they read, the gateway loses what was not synced: still one row a call."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.count = 0
        self.open: list[int] = []
        self.begun: set[str] = set()
        self.ended: set[str] = set()
        self.durably_begun: set[str] = set()
        self.durably_ended: set[str] = set()
        self.fates: dict[str, Outcome] = {}  # of the calls of earlier lives
        self.rows: list[list[CallRecord]] = [[], []]
        self.marks = [START, START]
        self.journal = self.new_journal()

    def new_journal(self) -> Journal:
        """Small, so that some calls are read from memory and some from files."""
        return Journal(self.folder, segment_bytes=1500, recent_bytes=500)

    @rule()
    def begin(self) -> None:
        self.count += 1
        self.open.append(self.count)
        self.begun.add(f"call-{self.count}")
        self.journal.begin(running(self.count))

    @rule()
    def refuse(self) -> None:
        self.count += 1
        self.write_end(self.count)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def end(self, which: int) -> None:
        self.write_end(self.open.pop(which % len(self.open)))

    def write_end(self, number: int) -> None:
        self.ended.add(f"call-{number}")
        self.journal.end(finished(number))

    @rule()
    def sync(self) -> None:
        self.journal.sync()
        self.durably_begun |= self.begun
        self.durably_ended |= self.ended

    @rule()
    def rotate(self) -> None:
        rotate(self.journal)

    @rule(consumer=st.integers(0, 1), limit=st.integers(1, 9))
    def read(self, consumer: int, limit: int) -> None:
        found, self.marks[consumer] = self.journal.read(self.marks[consumer], limit)
        self.rows[consumer] += [call for _, call in found]
        self.durably_ended.update(call.id for _, call in found)

    @rule()
    def discard(self) -> None:
        self.journal.discard(self.marks)

    @rule(keep=st.lists(st.floats(0, 1), min_size=1, max_size=4))
    def crash(self, keep: list[float]) -> None:
        self.lose_power(keep)
        for line in lines_on_disk(*segments(self.folder)):
            self.durably_begun.add(line.get("begin", {}).get("id"))
            self.durably_ended.add(line.get("end", {}).get("id"))
        ends = dict.fromkeys(self.durably_ended, Outcome.OK)
        self.fates = dict.fromkeys(self.durably_begun, Outcome.INTERRUPTED) | ends | self.fates
        self.fates.pop(None, None)
        self.begun, self.ended, self.durably_begun, self.durably_ended, self.open = (
            set(),
            set(),
            set(),
            set(),
            [],
        )
        self.journal = self.new_journal()
        self.journal.recover()
        for consumer in (0, 1):
            self.check(consumer)

    def lose_power(self, keep: list[float]) -> None:
        durable = self.journal.durable_position
        self.journal.close()
        for index, path in enumerate(segments(self.folder)):
            size = path.stat().st_size
            if int(path.stem) >= durable.segment:
                safe = durable.offset if int(path.stem) == durable.segment else 0
                os.truncate(path, safe + round(keep[index % len(keep)] * (size - safe)))

    def check(self, consumer: int) -> None:
        rows = self.rows[consumer]
        found, self.marks[consumer] = self.journal.read(self.marks[consumer], 1000)
        rows += [call for _, call in found]
        assert len(rows) == len(self.fates)
        assert {row.id: row.outcome for row in rows} == self.fates
        assert all(row == finished(row.started_at) for row in rows if row.outcome is Outcome.OK)

    def teardown(self) -> None:
        self.crash([1.0])
        self.journal.close()
        self.place.cleanup()


TestPowerLoss = PowerLoss.TestCase
TestPowerLoss.settings = settings(max_examples=40, stateful_step_count=25)


WRITER = """
import sys, threading, time
from pathlib import Path
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.journal import Journal

journal = Journal(Path(sys.argv[1]), segment_bytes=20_000)
journal.recover()

def keep_syncing():
    while True:
        journal.sync()
        time.sleep(0.002)

threading.Thread(target=keep_syncing, daemon=True).start()
number = 0
while True:
    number += 1
    call = CallRecord(id=f"{sys.argv[2]}-{number}", started_at=number, method="GET", path="/")
    journal.begin(call)
    print("begun", call.id, flush=True)
    if number % 3:
        call.outcome = Outcome.OK
        journal.end(call)
        print("ended", call.id, flush=True)
"""


def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    for life in "abc":
        command = [sys.executable, "-c", WRITER, str(tmp_path), life]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(300)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        assert writer.returncode == -signal.SIGKILL
        said += [(verb, call_id) for verb, call_id in (line.split() for line in lines if line.endswith("\n"))]
    with closing(Journal(tmp_path)) as journal:
        journal.recover()
        rows = all_ends(journal)
    outcomes = {row.id: row.outcome for row in rows}
    assert len(outcomes) == len(rows)
    assert {outcomes[call_id] for verb, call_id in said if verb == "ended"} == {Outcome.OK}
    left_open = [call_id for verb, call_id in said if verb == "begun" and int(call_id[2:]) % 3 == 0]
    assert len(left_open) >= 150
    assert {outcomes[call_id] for call_id in left_open} == {Outcome.INTERRUPTED}


def test_what_is_inherited(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    assert not first.has_earlier_records
    first.close()
    second = Journal(tmp_path)
    assert not second.has_earlier_records, "a header is nothing to tell"
    second.begin(CallRecord(id="a", started_at=1, method="GET", path="/"))
    second.close()
    assert Journal(tmp_path).has_earlier_records
