"""The analytics file: each call once, whatever happens; and what can be asked of it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.analytics import Analytics
from rig.cases import cases
from rig.examples import examples

from gatekeeper.ledger.analytics.messages import (
    ADDED_COLUMNS,
    SEARCHES_NOT_KEPT,
    TEXT_DROPPED_NOTE,
    AnalyticsError,
    FileLocked,
    FileUnusable,
    QueryTimeout,
)
from gatekeeper.ledger.analytics.queries import MAX_UNPRICED_MODELS
from gatekeeper.ledger.analytics.sql_guard import SqlError, execute_select
from gatekeeper.ledger.call import COLUMNS, CallRecord, Outcome, Position, call_document
from gatekeeper.ledger.filters import parse
from gatekeeper.money import usd
from gatekeeper.runtime import drop_executable_pages
from gatekeeper.times import to_micros

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FILE = "gatekeeper.duckdb"


def asked(analytics: Analytics, query: str) -> dict[str, Any]:
    """The answer to a person's query, in this process."""
    with analytics.query_connection() as con:
        return execute_select(con, query, 1000, 20.0)


def made(number: int, **known: Any) -> CallRecord:
    call = CallRecord(
        id=f"019a1b2c-0000-7000-8000-{number:012x}",
        started_at=to_micros(NOON) + number,
        key_id="tok1",
        method="POST",
        path="/v1beta/models/m:generateContent",
        model="m",
        status=200,
        outcome=Outcome.OK,
    )
    for name, value in known.items():
        setattr(call, name, value)
    return call


def placed(calls: list[CallRecord], start: int = 1) -> list[tuple[Position, CallRecord]]:
    return [(Position(1, number), call) for number, call in enumerate(calls, start)]


def several(first: int, last: int) -> list[tuple[Position, CallRecord]]:
    return placed([made(number) for number in range(first, last + 1)], first)


@pytest.fixture
def analytics(tmp_path: Path) -> Iterator[Analytics]:
    analytics = Analytics(tmp_path)
    yield analytics
    analytics.release()


class OtherProgram:
    """Another process that opens and closes the file as it is told."""

    SCRIPT = """
        import duckdb, sys
        for line in sys.stdin:
            word, path = line.split()
            try:
                if word == "open":
                    con = duckdb.connect(path)
                    counted = con.execute("SELECT count(*), count(DISTINCT id) FROM calls")
                    print(counted.fetchall()[0], flush=True)
                else:
                    con.close()
                    print("closed", flush=True)
            except duckdb.IOException:
                print("locked", flush=True)
    """

    def __init__(self) -> None:
        self.process = started(self.SCRIPT)

    def opens(self, folder: Path) -> str:
        """How many calls and different calls it finds there, or `locked`."""
        return self._told("open", folder)

    def closes(self, folder: Path) -> None:
        self._told("close", folder)

    def _told(self, word: str, folder: Path) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {folder / FILE}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def other() -> Iterator[OtherProgram]:
    other = OtherProgram()
    yield other
    other.process.communicate()


# Once


def test_a_call_can_be_asked_for_at_once_and_lies_in_the_file_when_moved(
    analytics: Analytics, tmp_path: Path, other: OtherProgram
) -> None:
    analytics.add(several(1, 3))
    assert (
        len(analytics.calls()) == analytics.spend(["none"])["total"]["calls"] == analytics.pending_count == 3
    )
    assert analytics.flush() == analytics.watermark() == Position(1, 3)
    assert analytics.pending_count == 0
    analytics.add(several(4, 5))
    assert len(analytics.calls()) == analytics.spend(["none"])["total"]["calls"] == 5
    analytics.flush()
    assert len(analytics.calls()) == 5
    analytics.release()
    assert other.opens(tmp_path) == "(5, 5)"
    other.closes(tmp_path)


def test_what_is_offered_again_is_skipped(analytics: Analytics, tmp_path: Path) -> None:
    analytics.add(several(1, 3))
    analytics.add(several(1, 5))
    assert len(analytics.calls()) == 5
    analytics.flush()
    analytics.release()
    restarted = Analytics(tmp_path)
    restarted.add(several(1, 9))
    assert len(restarted.calls()) == 9
    restarted.attach()
    assert restarted.watermark() == Position(1, 5)
    assert len(restarted.calls()) == 9
    assert restarted.flush() == Position(1, 9)
    assert len(restarted.calls()) == 9
    restarted.release()


def test_moving_nothing_tells_the_watermark_and_never_moves_it_back(
    analytics: Analytics, tmp_path: Path
) -> None:
    assert analytics.watermark() is None
    assert analytics.flush() == Position(0, 0)
    analytics.add(several(1, 5))
    analytics.flush()
    analytics.release()
    restarted = Analytics(tmp_path)
    restarted.add(several(1, 2))
    assert restarted.flush() == Position(1, 5)
    restarted.release()


def test_after_a_removed_journal_the_positions_start_anew(analytics: Analytics, tmp_path: Path) -> None:
    analytics.add(several(1, 5))
    analytics.flush()
    analytics.release()
    restarted = Analytics(tmp_path)
    restarted.attach()
    restarted.reset_watermark()
    restarted.add(placed([made(101), made(102)]))
    assert restarted.flush() == Position(1, 2)
    assert len(restarted.calls()) == 7
    restarted.release()


def test_many_more_than_one_portion(analytics: Analytics) -> None:
    for first in range(1, 12_001, 1_500):
        analytics.add(several(first, first + 1_499))
    assert analytics.spend(["none"])["total"]["calls"] == 12_000
    assert analytics.flush() == Position(1, 12_000)
    assert analytics.spend(["none"])["total"]["calls"] == 12_000
    assert asked(analytics, "SELECT count(DISTINCT id) FROM calls")["rows"] == [[12_000]]


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    from gatekeeper.ledger.analytics.projection import Projection as Analytics
    from gatekeeper.ledger.call import CallRecord, Position

    folder = Path(sys.argv[1])

    def made(n):
        return CallRecord(id=f"019a1b2c-0000-7000-8000-{n:012x}", started_at=n, method="GET", path="/")

    def live(calls, batch):
        analytics = Analytics(folder)
        analytics.attach()
        done = analytics.watermark().offset
        for first in range(done + 1, done + calls + 1, batch):
            analytics.add([(Position(1, n), made(n)) for n in range(first, first + batch)])
            with analytics.query_connection():
                pass
            analytics.flush()
        analytics.release()

    def die_at(line):
        def count(frame, event, _):
            nonlocal line
            if event == "line":
                line -= 1
                if line == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return count

        steps = {"attach", "_create", "append", "_set_watermark", "close"}
        sys.settrace(lambda frame, *_: count if frame.f_code.co_name in steps else None)

    def child(work):
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        return pid

    def died(pid):
        return os.waitpid(pid, 0)[1] == signal.SIGKILL

    deaths = line = 0
    while deaths == line:
        line += 1
        deaths += died(child(lambda: (die_at(line), live(10, 10))))
    for _ in range(5):
        pid = child(lambda: live(1000, 10))
        time.sleep(random.uniform(0.03, 0.1))
        os.kill(pid, signal.SIGKILL)
        deaths += died(pid)
    died(child(lambda: live(10, 10)))
    print(deaths)
"""


def test_a_process_killed_at_any_line_or_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, other: OtherProgram, analytics: Analytics
) -> None:
    output, _ = started(KILLED, tmp_path).communicate(timeout=60)
    assert int(output) > 20
    analytics.attach()
    mark = analytics.watermark()
    assert mark is not None
    assert asked(analytics, "SELECT count(*), count(DISTINCT id), max(epoch_us(started_at)) FROM calls")[
        "rows"
    ] == [[mark.offset] * 3]


FULL = """
    import resource, signal, sys
    from contextlib import suppress
    from pathlib import Path
    from gatekeeper.ledger.analytics.messages import FileUnusable
    from gatekeeper.ledger.analytics.projection import Projection as Analytics
    from gatekeeper.ledger.call import CallRecord, Position

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    analytics = Analytics(Path(sys.argv[1]))
    last = 0

    def made(n):
        return CallRecord(id=f"019a1b2c-0000-7000-8000-{n:012x}", started_at=n, method="GET", path="/" * 500)

    def add(count):
        global last
        analytics.add([(Position(1, n), made(n)) for n in range(last + 1, last + count + 1)])
        last += count

    def counted():
        with analytics.query_connection() as con:
            return con.execute("SELECT count(*) FROM calls").fetchall()[0][0]

    add(100)
    analytics.flush()
    biggest = max(path.stat().st_size for path in Path(sys.argv[1]).iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (biggest + 4096, resource.RLIM_INFINITY))
    refused = 0
    for _ in range(3):
        add(1000)
        try:
            analytics.flush()
        except FileUnusable:
            refused += 1
    pending = analytics.pending_count
    with suppress(FileUnusable):
        analytics.attach()
    print(refused, pending, counted())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(tuple(analytics.flush()), analytics.pending_count, counted())
    analytics.release()
"""


def test_a_full_disk_loses_and_doubles_nothing(tmp_path: Path, other: OtherProgram) -> None:
    output, _ = started(FULL, tmp_path).communicate(timeout=60)
    assert output.splitlines() == ["3 3000 3100", "(1, 3100) 0 3100"]
    assert other.opens(tmp_path) == "(3100, 3100)"
    other.closes(tmp_path)


# Others at the file


def test_while_another_program_holds_the_file_everything_goes_on_without_it(
    analytics: Analytics, tmp_path: Path, other: OtherProgram
) -> None:
    analytics.add(several(1, 2))
    analytics.flush()
    assert other.opens(tmp_path) == "locked"
    analytics.release()
    assert other.opens(tmp_path) == "(2, 2)"
    analytics.add(several(3, 5))
    with pytest.raises(FileLocked, match=rf"{FILE} is open in another process \(PID {other.process.pid}\)"):
        analytics.attach()
    assert analytics.flush() is None
    assert analytics.watermark() is None
    assert len(analytics.calls()) == analytics.spend(["none"])["total"]["calls"] == 3
    analytics.add(several(6, 6))
    assert len(analytics.calls()) == 4
    other.closes(tmp_path)
    assert analytics.flush() == Position(1, 6)
    assert len(analytics.calls()) == 6


def test_starting_while_the_file_is_held(analytics: Analytics, tmp_path: Path, other: OtherProgram) -> None:
    analytics.add(several(1, 2))
    analytics.flush()
    analytics.release()
    other.opens(tmp_path)
    restarted = Analytics(tmp_path)
    restarted.add(several(1, 3))
    assert restarted.flush() is None
    assert len(restarted.calls()) == 3
    other.closes(tmp_path)
    assert restarted.flush() == Position(1, 3)
    assert len(restarted.calls()) == 3
    restarted.release()


def test_released_means_unlocked_even_with_an_answer_and_an_error_in_hand(
    analytics: Analytics, tmp_path: Path, other: OtherProgram
) -> None:
    analytics.add(several(1, 1))
    analytics.flush()
    found = asked(analytics, "SELECT id FROM calls")
    with pytest.raises(SqlError) as caught:
        asked(analytics, "SELECT CAST(path AS INTEGER) FROM calls")
    analytics.release()
    analytics.release()
    assert other.opens(tmp_path) == "(1, 1)"
    other.closes(tmp_path)
    assert found["rows"] == [[made(1).id]]
    assert "Could not convert" in str(caught.value)


def test_what_waits_can_be_asked_for_again_after_a_release(analytics: Analytics) -> None:
    for number in (1, 2):
        analytics.add(several(number, number))
        assert len(analytics.calls()) == number
        analytics.release()
        assert len(analytics.calls()) == number


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000])
def test_a_damaged_file_is_told_of_left_alone_and_not_needed(
    analytics: Analytics, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    analytics.add(several(1, 2))
    with pytest.raises(FileUnusable, match=f"{FILE} cannot be used: .*not a valid DuckDB") as caught:
        analytics.flush()
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(FileUnusable):
        analytics.attach()
    assert len(analytics.calls()) == analytics.pending_count == 2
    assert (tmp_path / FILE).read_bytes() == content
    (tmp_path / FILE).unlink()
    assert analytics.flush() == Position(1, 2)


def test_a_file_with_another_table_of_that_name_is_not_touched(analytics: Analytics, tmp_path: Path) -> None:
    script = (
        f"import duckdb; duckdb.connect('{tmp_path / FILE}').execute('CREATE TABLE calls (number INTEGER)')"
    )
    started(script).communicate()
    analytics.add(several(1, 1))
    with pytest.raises(FileUnusable, match='"id"'):
        analytics.flush()
    assert len(analytics.calls()) == 1


def test_a_file_of_an_earlier_version_gains_the_columns_it_lacks(
    analytics: Analytics, tmp_path: Path
) -> None:
    analytics.add(several(1, 1))
    analytics.flush()
    analytics.release()
    drop = ";".join(f"ALTER TABLE calls DROP COLUMN {name}" for name in ADDED_COLUMNS)
    started(f"import duckdb; duckdb.connect('{tmp_path / FILE}').execute('{drop}')").communicate()
    added = dict.fromkeys(ADDED_COLUMNS, "why")
    added |= {"continues": str(UUID(int=1)), "billed_units": {"image_each": 3}}
    analytics.add(placed([made(2, **added)], 2))
    analytics.flush()
    rows = json.loads(msgspec.json.encode(analytics.calls()))
    assert [[row[name] for name in ADDED_COLUMNS] for row in rows] == [
        list(added.values()),
        [None] * len(added),
    ]


def test_a_file_of_the_version_before_keeps_its_messages_and_gains_resource_and_block_reason(
    analytics: Analytics, tmp_path: Path
) -> None:
    analytics.add(placed([made(1, error_message="why")], 1))
    analytics.flush()
    analytics.release()
    drop = ";".join(f"ALTER TABLE calls DROP COLUMN {name}" for name in ("resource", "block_reason"))
    started(f"import duckdb; duckdb.connect('{tmp_path / FILE}').execute('{drop}')").communicate()
    analytics.add(placed([made(2, resource="files/x", block_reason="SAFETY")], 2))
    analytics.flush()
    kept = [(row["resource"], row["error_message"], row["block_reason"]) for row in analytics.calls()]
    assert kept == [("files/x", None, "SAFETY"), (None, "why", None)]


def test_calls_from_before_billed_units_that_may_have_searched_stay_unknown(
    analytics: Analytics, tmp_path: Path
) -> None:
    calls = [
        made(1, tool_tokens=7, usage_note="odd"),
        made(2, tool_tokens=7, cost_pico=1),
        made(3, tool_tokens=0),
        made(4, usage=msgspec.Raw(b'{"grounding_tool_count": [{"count": 1}]}')),
        made(5, usage=msgspec.Raw(b'{"promptTokenCount": 1}')),
    ]
    analytics.add(placed(calls))
    analytics.flush()
    analytics.release()
    drop = "ALTER TABLE calls DROP COLUMN billed_units"
    started(f"import duckdb; duckdb.connect('{tmp_path / FILE}').execute('{drop}')").communicate()
    analytics.add(placed([made(6, tool_tokens=7)], 6))
    analytics.flush()
    rows = json.loads(msgspec.json.encode(analytics.calls()))
    given_up = SEARCHES_NOT_KEPT
    assert [row["usage_note"] for row in rows] == [None, None, given_up, None, None, f"odd; {given_up}"]


def test_a_file_whose_making_was_interrupted_is_made_anew(analytics: Analytics, tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.new").write_bytes(b"half")
    (tmp_path / f"{FILE}.new.wal").write_bytes(b"half")
    assert analytics.flush() == Position(0, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_the_file_is_as_the_contract_says_and_in_the_format_of_1_5(analytics: Analytics) -> None:
    analytics.attach()
    described = asked(analytics, "DESCRIBE file.calls")["rows"]
    types = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    assert {name: types.get(kind, kind) for name, kind, *_ in described} == COLUMNS
    assert [name for name, *_ in described] == list(COLUMNS)
    version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'file'"
    assert analytics._database is not None
    assert analytics._database.con.execute(version).fetchall()[0][0].startswith("v1.5.0")


def test_a_folder_with_a_quote_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    analytics = Analytics(folder)
    analytics.add(several(1, 1))
    assert analytics.flush() == Position(1, 1)
    analytics.release()


def test_released_code_leaves_memory(analytics: Analytics) -> None:
    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))

    analytics.attach()
    analytics.spend(["tag"])
    used = resident()
    analytics.release()
    drop_executable_pages("_duckdb")
    assert resident() < used - 5_000


# Rows

texts = st.text(st.characters(codec="utf-8"), max_size=8)
counts = st.none() | st.integers(0, 2**63 - 1)
spans = st.none() | st.floats(0, 1e9)
calls = st.builds(
    CallRecord,
    id=st.uuids(version=4).map(str),
    started_at=st.integers(0, 4_102_444_800_000_000),
    duration_ms=spans,
    first_byte_ms=spans,
    gateway_ms=spans,
    key_id=st.none() | texts,
    key_alias=st.none() | texts,
    user_id=st.none() | texts,
    tags=st.lists(texts, max_size=3),
    method=texts,
    path=texts,
    action=st.none() | texts,
    model=st.none() | texts,
    model_version=st.none() | texts,
    stream=st.booleans(),
    status=st.none() | st.integers(100, 599),
    outcome=st.sampled_from(Outcome),
    reason=st.none() | texts,
    prompt_tokens=counts,
    cached_tokens=counts,
    output_tokens=counts,
    thoughts_tokens=counts,
    tool_tokens=counts,
    total_tokens=counts,
    usage=st.none()
    | st.dictionaries(texts, st.integers() | texts).map(
        lambda x: msgspec.Raw(json.dumps(x, indent=1).encode())
    ),
    service_tier=st.none() | texts,
    cost_pico=st.none() | st.integers(0, 10**18 - 1),
    price_version=st.none() | texts,
    finish_reason=st.none() | texts,
    request_bytes=st.integers(0, 2**62),
    response_bytes=st.integers(0, 2**62),
    upstream_key=st.none() | texts,
    user_agent=st.none() | texts,
    trace_id=st.none() | texts,
    resource=st.none() | texts,
    error_message=st.none() | texts,
    block_reason=st.none() | texts,
    usage_note=st.none() | texts,
)


def plain(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "usage": None if call["usage"] is None else bytes(call["usage"])}


@settings(max_examples=examples(3))
@given(known=st.lists(calls, min_size=1, max_size=6, unique_by=lambda call: call.id))
def test_a_call_comes_out_as_it_went_in(
    known: list[CallRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    analytics = Analytics(tmp_path_factory.mktemp("rows"))
    analytics.add(placed(known))
    from_memory = [plain(call) for call in analytics.calls()]
    analytics.flush()
    newest_first = sorted(known, key=lambda call: call.id, reverse=True)
    assert from_memory == [plain(call_document(call)) for call in newest_first]
    assert from_memory == [plain(call) for call in analytics.calls()]
    assert list(from_memory[0]) == list(COLUMNS)
    analytics.release()


def test_a_value_that_no_column_holds_is_unknown_and_stops_no_other_row(analytics: Analytics) -> None:
    odd = [
        made(1, usage=msgspec.Raw(rb'{"text": "\ud800"}')),
        made(2, usage=msgspec.Raw(b"\xff")),
        made(3, total_tokens=2**70),
        made(4, cost_pico=10**18),
        made(5, id="no uuid"),
        made(6, duration_ms=float("inf")),
        made(7),
    ]
    analytics.add(placed(odd))
    assert analytics.flush() == Position(1, 7)
    found = {call["id"]: call for call in analytics.calls()}
    assert len(found) == 6
    assert found[odd[0].id]["usage"] is None
    assert found[odd[2].id]["total_tokens"] is None
    assert found[odd[3].id]["cost_usd"] is None
    assert asked(analytics, "SELECT count(*) FROM calls WHERE id IS NULL")["rows"] == [[1]]


# Questions


def test_pages_show_every_call_once_newest_first(analytics: Analytics) -> None:
    analytics.add(several(1, 25))
    analytics.flush()
    analytics.add(several(26, 31))
    seen: list[str] = []
    cursor = None
    while page := analytics.calls(limit=7, cursor=cursor):
        seen += [call["id"] for call in page]
        cursor = page[-1]["id"]
    assert seen == [made(number).id for number in range(31, 0, -1)]


def test_pages_of_a_filter_and_a_span_of_time(analytics: Analytics) -> None:
    analytics.add(
        placed([made(number, user_id="even" if number % 2 == 0 else "odd") for number in range(1, 11)])
    )
    moment = lambda number: NOON + timedelta(microseconds=number)  # noqa: E731
    found = analytics.calls(parse("user:even", now=NOON), moment(4), moment(8))
    assert [call["id"] for call in found] == [made(6).id, made(4).id]
    found = analytics.calls(parse("user:even", now=NOON), limit=2, cursor=made(8).id)
    assert [call["id"] for call in found] == [made(6).id, made(4).id]
    with pytest.raises(ValueError, match="is not a cursor"):
        analytics.calls(cursor="x")


def test_one_call_or_none(analytics: Analytics) -> None:
    analytics.add(several(1, 2))
    found = analytics.call(made(2).id)
    assert found is not None
    assert found["started_at"] == "2026-11-24T12:00:00.000002Z"
    assert analytics.call(made(3).id) is None
    assert analytics.call("x'; DROP TABLE pending") is None


def test_a_question_that_takes_too_long_is_stopped_and_the_next_one_answered(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.ledger.analytics.database.QUERY_TIMEOUT", 0.1)
    analytics.add(placed([made(1)]))
    with (
        pytest.raises(QueryTimeout, match=r"longer than 0\.1 s and was stopped: ask for"),
        analytics.query_connection() as con,
    ):
        con.execute("SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE hash(a.range) <> b.range")
    assert [call["id"] for call in analytics.calls()] == [made(1).id]


def test_models_seen(analytics: Analytics) -> None:
    analytics.add(
        placed([made(1, cost_pico=1), made(2, model="n"), made(3, model=None), made(4, cost_pico=2)])
    )
    assert analytics.models() == [
        {
            "model": "m",
            "calls": 2,
            "last_used_at": "2026-11-24T12:00:00.000004Z",
            "cost_usd": "0.000000000003",
            "unpriced_calls": 0,
        },
        {
            "model": "n",
            "calls": 1,
            "last_used_at": "2026-11-24T12:00:00.000002Z",
            "cost_usd": None,
            "unpriced_calls": 1,
        },
    ]


# Spend


@pytest.fixture
def spent(analytics: Analytics) -> Analytics:
    priced = [
        made(
            1,
            tags=["a", "b"],
            key_alias="alpha",
            user_id="ada",
            cost_pico=5,
            prompt_tokens=10,
            output_tokens=1,
            total_tokens=11,
        ),
        made(
            2,
            tags=["a"],
            key_alias="alpha",
            cost_pico=7,
            prompt_tokens=20,
            cached_tokens=4,
            thoughts_tokens=6,
        ),
        made(3, tags=[], key_id="tok2", model="n", user_id="ada", cost_pico=0, outcome=Outcome.REFUSED),
        made(4, tags=["c"], key_id="tok2", model="n", prompt_tokens=3, outcome=Outcome.CUT),
        made(5, tags=["a,c"], key_id="tok2", model=None, cost_pico=100),
    ]
    analytics.add(placed(priced))
    return analytics


def table(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in answer["rows"]]


def test_spend_by_tag_counts_a_call_under_each_tag_and_once_in_the_total(spent: Analytics) -> None:
    answer = spent.spend(["tag"])
    tokens = ["prompt_tokens", "cached_tokens", "output_tokens", "thoughts_tokens", "total_tokens"]
    assert list(answer["rows"][0]) == ["tag", "calls", "errors", *tokens, "cost_usd", "unpriced_calls"]
    assert table(answer) == [
        ("a,c", 1, 0, None, None, None, None, None, "0.000000000100", 0),
        ("a", 2, 0, 30, 4, 1, 6, 11, "0.000000000012", 0),
        ("b", 1, 0, 10, None, 1, None, 11, "0.000000000005", 0),
        (None, 1, 1, None, None, None, None, None, "0.000000000000", 0),
        ("c", 1, 1, 3, None, None, None, None, None, 1),
    ]
    assert tuple(answer["total"].values()) == (5, 2, 33, 4, 1, 6, 11, "0.000000000112", 1)


@cases(
    ("by", "groups"),
    [
        (["model"], [(None,), ("m",), ("n",)]),
        (["key"], [("tok2",), ("alpha",)]),
        (["user"], [(None,), ("ada",)]),
        (["model", "user"], [(None, None), ("m", None), ("m", "ada"), ("n", "ada"), ("n", None)]),
        (["tag", "key"], [("a,c", "tok2"), ("a", "alpha"), ("b", "alpha"), (None, "tok2"), ("c", "tok2")]),
        (["day"], [("2026-11-24",)]),
        (["week"], [("2026-11-23",)]),
        (["hour"], [("2026-11-24T12:00:00Z",)]),
    ],
)
def test_groups_come_costliest_first(spent: Analytics, by: list[str], groups: list[tuple[Any, ...]]) -> None:
    assert [tuple(row[name] for name in by) for row in spent.spend(by)["rows"]] == groups


def test_what_costs_the_same_comes_in_order_of_its_calls_and_then_of_its_name(analytics: Analytics) -> None:
    models = {"a single": [2], "many": [1, 1], "both": [0, 2], "absent": [None]}
    known = [(model, cost) for model, costs in models.items() for cost in costs]
    analytics.add(placed([made(n, model=model, cost_pico=cost) for n, (model, cost) in enumerate(known)]))
    assert [row["model"] for row in analytics.spend(["model"])["rows"]] == [
        "both",
        "many",
        "a single",
        "absent",
    ]


def test_spend_of_everything_of_a_filter_and_of_nothing(spent: Analytics) -> None:
    everything = spent.spend(["none"])
    assert everything["rows"] == [everything["total"]] == spent.spend([])["rows"]
    some = spent.spend(["user"], parse("tag:a", now=NOON))
    assert [(row["user"], row["calls"]) for row in some["rows"]] == [(None, 1), ("ada", 1)]
    assert spent.spend(["tag"], until=NOON) == {
        "rows": [],
        "total": dict(zip(everything["total"], (0, 0, 0, 0, 0, 0, 0, usd(0), 0), strict=True)),
        "unpriced_models": [],
    }


def test_the_models_without_a_price_are_named_most_calls_first(analytics: Analytics) -> None:
    served = ["x", "y", "y", None, None, None, *(f"z{n:02}" for n in range(MAX_UNPRICED_MODELS))]
    unpriced = [
        made(n, model="m" if version else None, model_version=version) for n, version in enumerate(served)
    ]
    priced = [made(100, model="p", cost_pico=1), made(101, model="f", cost_pico=0)]
    analytics.add(placed([*unpriced, *priced]))
    assert analytics.spend(["tag"], parse("model:p,f", now=NOON))["unpriced_models"] == []
    everything = analytics.spend(["day"])
    assert everything["unpriced_models"][:3] == [
        {"model": None, "calls": 3},
        {"model": "y", "calls": 2},
        {"model": "x", "calls": 1},
    ]
    assert (len(everything["unpriced_models"]), everything["unpriced_models_truncated"]) == (20, True)
    assert everything["total"]["unpriced_calls"] == len(served)


def test_a_limit_leaves_the_total_alone(spent: Analytics) -> None:
    cut, whole = spent.spend(["tag"], limit=1), spent.spend(["tag"])
    assert (cut["rows"], cut["total"]) == (whole["rows"][:1], whole["total"])


@cases("by", [["hat"], ["tag", "none"], ["tag", "tag"], ["tag", "model", "key"], [""]])
def test_another_way_to_group_is_refused(spent: Analytics, by: list[str]) -> None:
    allowed = "one or two of tag, model, key, user, day, week, hour, minute, or none"
    with pytest.raises(ValueError, match=allowed):
        spent.spend(by)


def test_days_and_hours_are_those_of_the_zone_and_in_order_of_time(tmp_path: Path) -> None:
    berlin = Analytics(tmp_path, "Europe/Berlin")
    # The night of 25 October 2026 has the hour from two to three twice.
    moments = ["2026-10-24T21:59:59", "2026-10-24T22:00:00", "2026-10-25T00:30:00", "2026-10-25T01:30:00"]
    started = [to_micros(datetime.fromisoformat(moment).replace(tzinfo=UTC)) for moment in moments]
    costs = [9, 1, 5, 7]
    berlin.add(
        placed(
            [made(n, started_at=start, cost_pico=costs[n], model=f"m{n}") for n, start in enumerate(started)]
        )
    )
    days = berlin.spend(["day"])["rows"]
    assert [(row["day"], row["calls"]) for row in days] == [("2026-10-24", 1), ("2026-10-25", 3)]
    assert [row["hour"] for row in berlin.spend(["hour"])["rows"]] == [
        "2026-10-24T23:00:00+02:00",
        "2026-10-25T00:00:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]
    minutes = berlin.spend(["minute"], limit=2)
    assert [(row["minute"], row["calls"]) for row in minutes["rows"]] == [
        ("2026-10-25T02:30:00+02:00", 1),
        ("2026-10-25T02:30:00+01:00", 1),
    ]
    assert (minutes["truncated"], minutes["rest"]["rows"]) == (True, 2)
    both = berlin.spend(["model", "day"])["rows"]
    assert [(row["day"], row["model"]) for row in both] == [
        ("2026-10-24", "m0"),
        ("2026-10-25", "m3"),
        ("2026-10-25", "m2"),
        ("2026-10-25", "m1"),
    ]
    assert [row["day"] for row in berlin.spend(["day"], limit=1)["rows"]] == ["2026-10-25"]
    berlin.release()


def test_weeks_begin_on_monday_in_the_zone(tmp_path: Path) -> None:
    berlin = Analytics(tmp_path, "Europe/Berlin")
    # In Berlin the last of them is on Monday already, an hour before Monday begins in UTC.
    moments = ["2026-10-18T22:00:00", "2026-10-25T22:59:59", "2026-10-25T23:00:00"]
    started = [to_micros(datetime.fromisoformat(moment).replace(tzinfo=UTC)) for moment in moments]
    berlin.add(placed([made(n, started_at=start, model=f"m{n}") for n, start in enumerate(started, 1)]))
    assert [(row["week"], row["calls"]) for row in berlin.spend(["week"])["rows"]] == [
        ("2026-10-19", 2),
        ("2026-10-26", 1),
    ]
    latest = berlin.spend(["week", "model"], limit=1)["rows"]
    assert [(row["week"], row["model"]) for row in latest] == [("2026-10-26", "m3")]
    berlin.release()


def test_hours_of_a_zone_that_is_half_an_hour_off(tmp_path: Path) -> None:
    kolkata = Analytics(tmp_path, "Asia/Kolkata")
    kolkata.add(
        placed(
            [made(1, started_at=to_micros(NOON)), made(2, started_at=to_micros(NOON + timedelta(minutes=30)))]
        )
    )
    assert [row["hour"] for row in kolkata.spend(["hour"])["rows"]] == [
        "2026-11-24T17:00:00+05:30",
        "2026-11-24T18:00:00+05:30",
    ]
    kolkata.release()


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no time zone is called"):
        Analytics(tmp_path, "Mars/Olympus")


@settings(max_examples=examples(3))
@given(known=st.lists(calls, max_size=8, unique_by=lambda call: call.id))
def test_the_total_is_exact(known: list[CallRecord], tmp_path_factory: pytest.TempPathFactory) -> None:
    analytics = Analytics(tmp_path_factory.mktemp("total"))
    analytics.add(placed(known))
    total = analytics.spend(["tag"])["total"]
    costs = [call.cost_pico for call in known if call.cost_pico is not None]
    assert total["cost_usd"] == (usd(sum(costs)) if costs or not known else None)
    assert total["unpriced_calls"] == len(known) - len(costs)
    assert total["errors"] == sum(call.outcome is not Outcome.OK for call in known)
    analytics.release()


def test_a_count_that_no_integer_holds_is_unknown(analytics: Analytics) -> None:
    analytics.add(placed([made(number, prompt_tokens=2**63 - 1, output_tokens=1) for number in (1, 2)]))
    total = analytics.spend(["none"])["total"]
    assert (total["prompt_tokens"], total["output_tokens"]) == (None, 2)


def test_an_instance_that_breaks_loses_nothing(analytics: Analytics) -> None:
    analytics.add(several(1, 2))
    analytics.flush()
    analytics.add(several(3, 4))
    assert analytics._database is not None
    analytics._database.con.close()
    with pytest.raises(AnalyticsError):
        analytics.calls()
    assert len(analytics.calls()) == 2
    analytics.attach()
    assert len(analytics.calls()) == 4
    assert analytics.flush() == Position(1, 4)


# Rows that DuckDB does not take


def test_a_row_that_duckdb_refuses_loses_its_texts_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit of memory is small here, so that a text of some megabytes passes it."""
    calls = [made(number, tags=["a"], cost_pico=number) for number in range(1, 201)]
    calls[76].path = "/" + "x" * 8_000_000
    calls[76].usage = msgspec.Raw(b'{"n": 1}')
    analytics = Analytics(tmp_path, memory="16MB")
    analytics.add(placed(calls))
    assert analytics.flush() == Position(1, 200)
    assert (analytics.pending_count, analytics.pending_chars) == (0, 0)
    found = {row["id"]: row for row in analytics.calls(limit=1000)}
    assert list(found) == [call.id for call in calls[::-1]]
    assert [row["tags"] for row in found.values()].count(["a"]) == 199
    bare = found[calls[76].id]
    assert bare == call_document(
        CallRecord(
            id=calls[76].id,
            started_at=calls[76].started_at,
            key_id="tok1",
            method="…",
            path="…",
            status=200,
            outcome=Outcome.OK,
            cost_pico=77,
            usage_note=TEXT_DROPPED_NOTE,
        )
    )
    assert capsys.readouterr().err.count("row_stored_without_text_columns") == 1
    analytics.release()


def test_rows_that_together_take_more_memory_than_there_is_go_one_by_one(tmp_path: Path) -> None:
    analytics = Analytics(tmp_path, memory="64MB")
    for number in range(1, 31):
        analytics.add(placed([made(number, path="/" + "x" * 1_000_000)], number))
    assert analytics.pending_chars > 30_000_000
    assert analytics.flush() == Position(1, 30)
    assert analytics.spend(["none"])["total"]["calls"] == 30
    assert [row["usage_note"] for row in analytics.calls(limit=2)] == [None, None]
    analytics.release()
