"""A call's row is completed after its end: in the file, in what is not in it yet, and for subscribers; once,
whenever the process is killed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import pytest
import trio
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rig.examples import examples

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.analytics.projection import Projection
from gatekeeper.ledger.call import (
    AMENDED_COLUMNS,
    COLUMNS,
    START,
    Amendment,
    CallRecord,
    Outcome,
    PendingCharge,
    Position,
)
from gatekeeper.ledger.events import CallEvent
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.journal import Journal
from gatekeeper.ledger.journal_record import decode_line, encode_amend
from gatekeeper.ledger.ledger import Ledger

AMENDED = {
    "prompt_tokens": 3, "cached_tokens": 1, "output_tokens": 4, "thoughts_tokens": 5, "tool_tokens": 0,
    "total_tokens": 12, "service_tier": "batch", "model": "gemini-2.5-flash", "model_version": "gemini-2.5-f",
    "price_version": "v", "usage_note": "a batch", "billed_units": {"image_each": 3}, "cost_pico": 7,
    "finish_reason": "completed",
    "usage": msgspec.Raw(b'[{"totalTokenCount": 12}]'),
}  # fmt: skip


def ended(**fields: object) -> CallRecord:
    call = CallRecord(id=str(uuid_utils.uuid7()), started_at=1, method="POST", path="/", outcome=Outcome.OK)
    return replace(call, pending=PendingCharge(begun_by=call.id, resource="batches/b"), **fields)


def amended(call: CallRecord, **fields: object) -> Amendment:
    return Amendment(call=replace(call, pending=None, **fields))


def stored(folder: Path) -> list[tuple[str, int | None]]:
    """What the file has: ids and costs."""
    with duckdb.connect(folder / ANALYTICS_FILE, read_only=True) as con:
        rows = con.execute("SELECT CAST(id AS VARCHAR), cost_usd FROM calls ORDER BY id").fetchall()
    return [(name, None if cost is None else int(cost * 10**12)) for name, cost in rows]


def test_an_amendment_survives_the_journal_line_whatever_its_texts() -> None:
    read = decode_line(encode_amend(Amendment(call=ended(path="/\ud800"), charged_before=3)))
    assert read is not None
    assert read.amend is not None
    assert (read.amend.call.path, read.amend.charged_before, read.end) == ("/?", 3, None)


@pytest.mark.parametrize("state", ["in the file", "in memory"])
async def test_every_amended_column_is_shown_and_nothing_else_changes(tmp_path: Path, state: str) -> None:
    ledger = Ledger(tmp_path, "UTC")
    call = ended(key_id="k", tags=["a"], resource="batches/b", charged_pico=9)
    ledger.end(call)
    if state == "in the file":
        await ledger.consumers.run_rounds()
    before = (await ledger.analytics.call(call.id)).value
    ledger.amend(amended(call, **AMENDED))
    after = (await ledger.analytics.call(call.id)).value
    assert before is not None
    assert after is not None
    assert after["cost_usd"] == "0.000000000007"
    assert bytes(after["usage"]) == b'[{"totalTokenCount": 12}]'
    assert {name for name in COLUMNS if after[name] != before[name]} == set(AMENDED_COLUMNS)
    (row,) = (await ledger.analytics.spend(["none"], Filter(), None)).value["rows"]
    assert (row["calls"], row["cost_usd"], row["unpriced_calls"]) == (1, "0.000000000007", 0)
    await ledger.close()
    assert stored(tmp_path) == [(call.id, 7)]


async def test_subscribers_get_the_amended_call_and_its_end_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "UTC")
    subscription = ledger.events.subscribe()
    call = ended()
    ledger.begin(call)
    ledger.end(call)
    ledger.amend(amended(call, cost_pico=7))
    events = [event for event in await subscription.batch(10) if isinstance(event, CallEvent)]
    assert [(event.kind, event.call.cost_pico) for event in events] == [
        ("call.started", None), ("call.finished", None), ("call.amended", 7),
    ]  # fmt: skip
    assert ledger.events.publish_tick().calls == 1
    await ledger.close()


async def test_a_row_that_the_locked_file_has_is_amended_when_it_is_free(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "UTC")
    call = ended()
    ledger.end(call)
    await ledger.consumers.run_rounds()
    assert await ledger.analytics.lend(60)
    ledger.amend(amended(call, cost_pico=7))
    other = ended()
    ledger.end(other)
    await ledger.consumers.run_rounds()
    assert [row["id"] for row in (await ledger.analytics.calls(Filter(), 10)).value] == [other.id]
    ledger.analytics.end_loan()
    rows = (await ledger.analytics.calls(Filter(), 10)).value
    assert [(row["id"], row["cost_usd"] and Decimal(row["cost_usd"])) for row in rows] == [
        (other.id, None), (call.id, Decimal("0.000000000007")),
    ]  # fmt: skip
    await ledger.close()


# What happens, in any order: a call ends, one of the calls so far is amended, rows are read or moved into the
# file, the process is killed.
STEPS = st.lists(
    st.one_of(
        st.just(("end", 0)),
        st.tuples(st.just("amend"), st.integers(0, 9)),
        st.just(("read", 0)),
        st.just(("query", 0)),
        st.just(("flush", 0)),
        st.just(("kill", 0)),
    ),
    max_size=25,
)


@settings(max_examples=examples(12))
@given(STEPS)
def test_each_row_has_its_last_amendment_once_whenever_the_process_is_killed(
    steps: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        journal, calls, costs = Journal(folder), list[CallRecord](), dict[str, int | None]()
        projection, position = Projection(folder), START

        def read() -> Position:
            entries, end = journal.read(position, 3)
            projection.add(entries)
            return end

        for number, (step, which) in enumerate([*steps, *[("read", 0)] * 30]):
            if step == "end":
                calls.append(ended())
                costs[calls[-1].id] = None
                journal.end(calls[-1])
            elif step == "amend" and calls:
                call = calls[which % len(calls)]
                costs[call.id] = number
                journal.amend(amended(call, cost_pico=number))
            elif step == "read":
                position = read()
            elif step == "query":
                with projection.query_connection() as con:
                    con.execute("SELECT count(*) FROM calls").fetchall()
            elif step == "flush":
                projection.flush()
            elif step == "kill":
                projection.release()
                projection = Projection(folder)
                projection.attach()
                position = projection.watermark() or START
        projection.flush_amendments()
        with projection.query_connection() as con:
            seen = con.execute("SELECT CAST(id AS VARCHAR), cost_usd FROM calls ORDER BY id").fetchall()
        projection.flush()
        projection.release()
        journal.close()
        assert dict(stored(folder)) == costs
        assert len(seen) == len(costs)
        assert {key: None if cost is None else int(cost * 10**12) for key, cost in seen} == costs


async def test_a_query_waits_for_no_amendment_of_a_call_that_the_file_lost(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "UTC")
    ledger.amend(amended(ended(), cost_pico=7))
    ledger.end(other := ended())
    rows = (await ledger.analytics.calls(Filter(), 10)).value
    assert [row["id"] for row in rows] == [other.id]
    with trio.fail_after(20):
        await ledger.close()
