"""`gatekeeper calls` and `gatekeeper spend`: tables, one call whole, the live stream, files for others."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatekeeper.client.formats import timestamp
from gatekeeper.ledger.call import COLUMNS
from gatekeeper.times import parse_time

YEARS = datetime(1971, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - the strategy adds the zone
ID = "01a20fc0-e5bd-769d-9140-f60780b123ba"
USAGE = {"promptTokenCount": 1042, "candidatesTokenCount": 318, "totalTokenCount": 1360}
CALL = dict.fromkeys(COLUMNS) | {
    "id": ID,
    "started_at": "2026-11-24T13:07:21.418000Z",
    "duration_ms": 1530.25,
    "first_byte_ms": 212.5,
    "gateway_ms": 0.5,
    "key_id": "key_1",
    "key_alias": "ci",
    "tags": ["a", 'b, "c"'],
    "method": "POST",
    "path": "/v1beta/models/gemini-2.5-flash:generateContent",
    "action": "generateContent",
    "model": "gemini-2.5-flash",
    "model_version": "gemini-2.5-flash",
    "stream": False,
    "status": 200,
    "outcome": "ok",
    "prompt_tokens": 1042,
    "output_tokens": 318,
    "total_tokens": 1360,
    "usage": USAGE,
    "service_tier": "standard",
    "cost_usd": "0.001107600000",
    "price_version": "2026-11-24",
    "finish_reason": "STOP",
    "request_bytes": 43,
    "response_bytes": 585,
}
REFUSED = dict.fromkeys(COLUMNS) | {
    "id": "01a20fc0-e5bd-769d-9140-f60780b123bb",
    "started_at": "2026-11-24T13:07:20Z",
    "key_id": "key_1",
    "tags": ["a"],
    "model": "gemini-9\u001b[2J",
    "status": 429,
    "outcome": "refused",
    "reason": "GATEKEEPER_RATE_LIMITED",
    "error_message": "Spent all of it. " * 6,
    "cost_usd": "0.000000000000",
}


# List and show


def cells(line: str) -> list[str]:
    return re.split(" {2,}", line.strip())


def test_list_is_a_table_of_the_newest(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": {"calls": [CALL, REFUSED], "next_cursor": ID}}
    ended = on("calls", "list", "--query", "tag:a", "--since", "1h", "--until", "1m", "--limit", "2")
    head, first, second = map(cells, ended.out.splitlines())
    assert head == [
        "started", "id", "key", "model", "action", "status", "total", "in", "cached", "out", "cost", "tags",
        "error",
    ]  # fmt: skip
    assert first == [
        "2026-11-24 13:07:21Z", ID, "ci", "gemini-2.5-flash", "generate", "✓ 200", "1.53s", "1,042", "–",
        "318", "$0.0011", 'a b, "c"',
    ]  # fmt: skip
    assert second == [
        "2026-11-24 13:07:20Z", REFUSED["id"], "key_1", "gemini-9�[2J", "–", "⊘ 429", "–", "–", "–", "–", "–",
        "a", "rate limit reached: " + ("Spent all of it. " * 6).strip(),
    ]  # fmt: skip
    assert len({line.index(" ci " if ID in line else " key") for line in ended.out.splitlines()}) == 1
    assert ended.err == f"There are more: --cursor {ID}\n"
    assert gateway.asked[0].query == {"q": "tag:a", "since": "1h", "until": "1m", "limit": "2"}


def test_an_answer_that_lacks_the_file_says_so(on: Any, gateway: Any) -> None:
    answer = {"calls": [CALL], "next_cursor": None, "partial": True}
    gateway.answers = {"GET /calls": answer}
    assert "Partial result: the analytics file cannot be read." in on("calls", "list").err
    gateway.answers = {"GET /calls": {**answer, "partial_reason": "the analytics file is damaged"}}
    assert "Partial result: the analytics file is damaged." in on("calls", "list").err


def test_show_has_the_arithmetic_and_the_usage(on: Any, gateway: Any) -> None:
    line = {"quantity": "1042", "unit": "per_1m_tokens", "unit_usd": "0.3", "usd": "0.0003126"}
    cost = {
        "lines": [{"component": "input_text", **line}],
        "price_version": "2026-11-24",
        "notes": ["so far"],
    }
    gateway.answers = {f"GET /calls/{ID}": {**CALL, "cost": cost}}
    out = on("calls", "show", ID).out
    for text in (
        ID,
        "✓ 200",
        "POST /v1beta/models/gemini-2.5-flash:generateContent",
        "2026-11-24 13:07:21.418Z",
        "input text       1,042   $0.000312600000  at $0.30 per 1M tokens",
        "$0.001107600000  prices 2026-11-24",
        "so far",
        '"candidatesTokenCount": 318',
    ):
        assert text in out
    assert on("calls", "show", ID, "--json").document == {**CALL, "cost": cost}


# Tail


def event(number: int, kind: str, data: object) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


STREAMS = [
    b":\n\n" + event(7, "call.started", {**CALL, "outcome": None}) + event(8, "call.finished", CALL),
    event(11, "gap", {"missed": 3}) + event(12, "tick", {"calls": 1}) + event(13, "call.finished", REFUSED),
    (401, {}),
]


def test_tail_goes_on_where_it_broke(on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    gateway.answers = {"GET /calls/stream": list(STREAMS), "GET /calls": {"calls": [], "next_cursor": None}}
    ended = on("calls", "tail", "--query", "status:>0")
    head, first, second = ended.out.splitlines()
    assert head.split()[:3] == ["started", "key", "model"]
    assert first.split()[:6] == ["2026-11-24", "13:07:21Z", "ci", "gemini-2.5-flash", "generate", "✓"]
    assert second.split()[:3] == ["2026-11-24", "13:07:20Z", "key_1"]
    assert ended.status == 4
    lost, again, *others, why = ended.err.splitlines()
    assert "has ended the connection. Retrying in 0.01 s" in lost
    assert again == "Reconnected."
    assert "3 events of the stream were missed: 0 calls printed from the ledger." in others
    assert "master key" in why
    streams = [asked for asked in gateway.asked if asked.path == "/calls/stream"]
    assert [asked.headers.get("last-event-id") for asked in streams] == [None, "8", "13"]
    assert [asked.query["q"] for asked in gateway.asked if asked.path == "/calls"] == [
        "status:>0",
        "status:>0 outcome:interrupted",
    ]


def test_tail_goes_on_after_a_restart_of_the_gateway(
    on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody knows how many events were missed."""
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    anew = event(1, "gap", {"missed": None}) + event(2, "call.finished", REFUSED)
    ledger = {"calls": [REFUSED, CALL], "next_cursor": None}
    streams = [event(7, "call.started", REFUSED) + event(8, "call.finished", CALL), anew, (401, {})]
    gateway.answers = {"GET /calls/stream": streams, "GET /calls": ledger}
    ended = on("calls", "tail", "--json")
    assert [json.loads(line) for line in ended.out.splitlines()] == [CALL, REFUSED]
    assert "was restarted" in ended.err
    assert ended.status == 4
    asked = [asked for asked in gateway.asked if asked.path == "/calls/stream"]
    assert [request.headers.get("last-event-id") for request in asked] == [None, "8", "2"]


def test_tail_prints_from_the_ledger_what_it_missed(
    on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also calls that the killed gateway had in flight; not those of before, and none a second time."""
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    later = {**CALL, "id": f"f{CALL['id'][1:]}"}
    started, killed = {**REFUSED, "outcome": None}, {**REFUSED, "outcome": "interrupted"}
    before = {**CALL, "id": f"0{CALL['id'][1:]}"}
    streams = [event(7, "call.started", started) + event(8, "call.finished", CALL)]
    gateway.answers = {
        "GET /calls/stream": [*streams, event(1, "gap", {"missed": None}), (401, {})],
        "GET /calls": {"calls": [later, CALL, killed, before], "next_cursor": None},
    }
    lines = on("calls", "tail", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == [CALL, killed, later]


def test_tail_says_where_what_it_missed_cannot_be_read(
    on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    streams = [event(8, "call.finished", CALL), event(1, "gap", {"missed": None}), (401, {})]
    gateway.answers = {"GET /calls/stream": streams, "GET /calls": (500, {"detail": "The disk is full."})}
    told = on("calls", "tail").err
    assert "calls that ended meanwhile were missed, and could not be read: " in told
    assert "The disk is full." in told
    assert "`gatekeeper calls list` has them." in told


def test_tail_as_json_is_one_finished_call_a_line(
    on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    gateway.answers = {"GET /calls/stream": list(STREAMS), "GET /calls": {"calls": [], "next_cursor": None}}
    lines = on("calls", "tail", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == [CALL, REFUSED]


# Export


def pages(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    last = len(calls) - 1
    return [
        {"calls": [call], "next_cursor": call["id"] if number < last else None}
        for number, call in enumerate(calls)
    ]


def test_export_as_csv_has_the_columns_of_the_file(on: Any, gateway: Any, tmp_path: Path) -> None:
    gateway.answers = {"GET /calls": pages(CALL, REFUSED)}
    ended = on("calls", "export", "--out", "calls.csv")
    assert (ended.out, ended.err) == ("", "2 calls\n")
    with (tmp_path / "calls.csv").open(newline="") as file:
        head, first, second = csv.reader(file)
    assert head == list(COLUMNS)
    row = dict(zip(head, first, strict=True))
    assert (row["id"], row["cost_usd"], row["duration_ms"]) == (ID, "0.001107600000", "1530.25")
    assert (json.loads(row["tags"]), json.loads(row["usage"])) == (CALL["tags"], USAGE)
    assert (row["stream"], row["user_id"], row["status"]) == ("false", "", "200")
    assert second[head.index("model")] == REFUSED["model"]
    assert [path.name for path in tmp_path.iterdir()] == ["calls.csv"]


def test_export_as_ndjson_is_a_document_a_line(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": pages(CALL, REFUSED)}
    ended = on("calls", "export", "--query", "tag:a")
    assert [json.loads(line) for line in ended.out.splitlines()] == [CALL, REFUSED]
    assert [asked.query.get("cursor") for asked in gateway.asked] == [None, ID]


@pytest.mark.parametrize("calls", [[CALL, REFUSED], [REFUSED], []], ids=len)
def test_export_as_parquet_has_the_types_of_the_file(
    on: Any, gateway: Any, tmp_path: Path, calls: list[dict[str, Any]]
) -> None:
    gateway.answers = {"GET /calls": pages(*calls) or {"calls": [], "next_cursor": None}}
    assert on("calls", "export", "--out", "calls.parquet").status == 0
    with duckdb.connect() as con:
        found = con.read_parquet(str(tmp_path / "calls.parquet"))
        types = [str(kind).replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for kind in found.types]
        texts = {"usage": "VARCHAR", "billed_units": "VARCHAR"}
        assert dict(zip(found.columns, types, strict=True)) == COLUMNS | texts
        rows = found.project("CAST(id AS VARCHAR), cost_usd, tags, usage, epoch_us(started_at)").fetchall()
    assert [row[0] for row in rows] == [call["id"] for call in calls]
    if CALL in calls:
        at = datetime(2026, 11, 24, 13, 7, 21, 418000, tzinfo=UTC)
        assert rows[0][1:3] == (Decimal("0.0011076"), CALL["tags"])
        assert json.loads(rows[0][3]) == USAGE
        assert rows[0][4] == int(at.timestamp() * 1_000_000)


def test_a_span_names_the_same_moment_on_every_page(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": pages(CALL, REFUSED)}
    before = datetime.now(UTC)
    assert on("calls", "export", "--since", "1h", "--until", "2026-11-25").status == 0
    sinces = {asked.query["since"] for asked in gateway.asked}
    assert len(sinces) == 1
    assert (
        timedelta(0)
        <= datetime.fromisoformat(sinces.pop()) - (before - timedelta(hours=1))
        < timedelta(minutes=1)
    )
    assert {asked.query["until"] for asked in gateway.asked} == {"2026-11-25"}


def test_a_day_by_its_name_is_the_same_day_of_the_gateway_on_every_page(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": pages(CALL, REFUSED), "GET /": {"timezone": "Pacific/Kiritimati"}}
    assert on("calls", "export", "--since", "yesterday").status == 0
    sinces = {asked.query["since"] for asked in gateway.asked if asked.path == "/calls"}
    assert len(sinces) == 1
    began = datetime.fromisoformat(sinces.pop())
    assert (began.hour, began.utcoffset()) == (0, timedelta(hours=14))


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_an_export_that_fails_leaves_no_file(on: Any, gateway: Any, tmp_path: Path, form: str) -> None:
    old = tmp_path / "calls"
    old.write_text("as it was")
    gateway.answers = {"GET /calls": [pages(CALL, REFUSED)[0], (500, {})]}
    ended = on("calls", "export", "--format", form, "--out", "calls")
    assert ended.status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["calls"]
    assert old.read_text() == "as it was"


def test_an_export_of_too_long_a_time_is_refused_by_the_gateway(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": (400, {"detail": "the longest is 36500d"})}
    ended = on("calls", "export", "--since", "36501d")
    assert (ended.status, ended.err) == (6, "gatekeeper: the longest is 36500d.\n")
    assert gateway.asked[0].query["since"] == "36501d"


def test_an_export_is_never_a_part_of_it(on: Any, gateway: Any) -> None:
    gateway.answers = {
        "GET /calls": {"calls": [CALL], "next_cursor": None, "partial": True, "partial_reason": "locked"}
    }
    ended = on("calls", "export")
    assert (ended.status, ended.out) == (6, "")
    assert "locked, so the export would be incomplete" in ended.err


def test_an_export_into_a_pipe_or_a_link_leaves_it_what_it_is(on: Any, gateway: Any, tmp_path: Path) -> None:
    """A device is written as a pipe is."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    gateway.answers = {"GET /calls": [pages(CALL)[0] | {"next_cursor": None} for _ in range(2)]}
    for out in (pipe, link):
        assert on("calls", "export", "--format", "ndjson", "--out", str(out)).status == 0
    assert json.loads(os.read(reader, 1 << 16))["id"] == CALL["id"] == json.loads(file.read_text())["id"]
    os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_a_file_that_cannot_be_written(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /calls": pages(CALL)}
    ended = on("calls", "export", "--out", "no/folder/calls.csv")
    assert ended.status == 2
    assert "--out" in ended.err


# Spend

SPEND = {
    "rows": [
        {"tag": "team-a", "model": "gemini-2.5-pro", "calls": 1204, "errors": 3, "prompt_tokens": 1200000,
         "cached_tokens": None, "output_tokens": 8000, "thoughts_tokens": 1000,
         "cost_usd": "12.400000000000", "unpriced_calls": 0},
        {"tag": "team-a", "model": "gemini-2.5-flash", "calls": 10, "errors": 0, "prompt_tokens": 500,
         "cached_tokens": 100, "output_tokens": 90, "cost_usd": "3.100000000000", "unpriced_calls": 0},
        {"tag": None, "model": "gemini-9", "calls": 2, "errors": 0, "prompt_tokens": 5, "cached_tokens": None,
         "output_tokens": 6, "cost_usd": None, "unpriced_calls": 2},
    ],
    "total": {"calls": 1216, "errors": 3, "prompt_tokens": 1200505, "cached_tokens": 100,
              "output_tokens": 8096, "thoughts_tokens": 1000,
              "cost_usd": "15.500000000000", "unpriced_calls": 2},
    "unpriced_models": [{"model": "gemini-9", "calls": 2}],
}  # fmt: skip
TABLE = """\
tag     model                 cost                        share  calls  errors    in  cached    out  unpriced
team-a  gemini-2.5-pro    $12.40    ████████████████████   80 %  1,204       3  1.2M       –  9,000         0
team-a  gemini-2.5-flash   $3.10    █████                  20 %     10       0   500     100     90         0
no tag  gemini-9            ?                                 ?      2       0     5       –      6         2
──────  ────────────────  ────────  ────────────────────  ─────  ─────  ──────  ────  ──────  ─────  ────────
total                     $15.50                          100 %  1,216       3  1.2M     100  9,096         2
"""


def test_spend_is_a_table_with_bars(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /spend": SPEND}
    ended = on("spend", "--by", "tag,model", "--since", "30d", "--query", "-key:me")
    assert ended.out == TABLE
    assert ended.err.startswith("⚠ 2 calls of unknown cost, 1 model: gemini-9 (2). The sums leave them")
    assert gateway.asked[0].query == {"by": "tag,model", "since": "30d", "q": "-key:me", "limit": "1000"}
    assert on("spend", "--json").document == SPEND


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.datetimes(*YEARS, timezones=st.just(UTC)))
def test_a_time_that_is_shown_is_read_back_as_the_same(zone: str, at: datetime) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", zone)
        time.tzset()
        shown = timestamp(at, "auto")
    time.tzset()
    assert parse_time(shown, datetime(2026, 11, 24, tzinfo=UTC)) == at


def test_what_a_sum_stands_for_is_told_and_can_be_listed(on: Any, gateway: Any) -> None:
    meant = {"since": "2026-11-23T23:00:00.000000Z", "until": "2026-11-24T12:00:00.500000Z"}
    gateway.answers = {
        "GET /spend": {**SPEND, **meant, "timezone": "Europe/Berlin"},
        "GET /calls": {"calls": [CALL], "next_cursor": None},
    }
    said = on("spend", "--by", "day,model", "--since", "24h", "--query", "tag:a").err.splitlines()
    assert said[0] == (
        "Calls started from 2026-11-23 23:00:00Z until 2026-11-24 12:00:00.500000Z. "
        "Days and hours are those of Europe/Berlin."
    )
    _, *words = shlex.split(said[1].partition("See them: ")[2])
    on(*words)
    assert gateway.asked[-1].query == {
        "q": "tag:a cost:none",
        "since": "2026-11-23 23:00:00Z",
        "until": "2026-11-24 12:00:00.500000Z",
        "limit": "50",
    }


def test_a_filter_for_unpriced_calls_is_not_told_to_name_them_twice(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /spend": SPEND}
    assert on("spend", "--query", "cost:none tag:a").err.endswith("calls list --query 'cost:none tag:a'\n")


def test_rows_that_are_missing_are_counted_and_added_up(on: Any, gateway: Any) -> None:
    # More than all: calls with several tags are in several rows.
    rest = {**SPEND["total"], "rows": 1400, "cost_usd": "31.00"}
    gateway.answers = {"GET /spend": {**SPEND, "truncated": True, "rest": rest}}
    *_, line, _, total = on("spend", "--by", "tag,model").out.splitlines()
    assert line.startswith("… 1,400 more rows")
    assert "$31.00" in line
    assert "200 %" in line
    assert "█" not in line
    assert total.startswith("total")


def test_spend_of_everything_is_its_total(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /spend": {"rows": [SPEND["total"]], "total": SPEND["total"]}}
    assert on("spend", "--by", "none").out.count("$15.50") == 1
