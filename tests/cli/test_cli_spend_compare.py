"""`gatekeeper spend --compare`: which period is the one before, and what is said of each row."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.cli.spend_compare import Span, period_before
from gatekeeper.times import WEEKDAYS

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@cases(
    ("given_as", "since", "until", "is_open", "before"),
    [
        ("today", "2026-11-24", "2026-11-24T13:07", True, ("2026-11-23", "2026-11-23T13:07")),
        ("yesterday", "2026-11-23", "2026-11-24T13:07", True, ("2026-11-21", "2026-11-22T13:07")),
        ("yesterday", "2026-11-23", "2026-11-24", False, ("2026-11-22", "2026-11-23")),
        ("monday", "2026-11-23", "2026-11-24T13:07", True, ("2026-11-16", "2026-11-17T13:07")),
        ("Monday", "2026-11-23", "2026-11-30", False, ("2026-11-16", "2026-11-23")),
        ("2026-11-01", "2026-11-01", "2026-11-24T13:07", True, ("2026-10-01", "2026-10-24T13:07")),
        ("2026-03-01", "2026-03-01", "2026-03-30T13:07", True, ("2026-02-01", "2026-03-01")),
        ("2026-11-01", "2026-11-01", "2026-12-01", False, ("2026-10-01", "2026-11-01")),
        ("2026-10-01", "2026-10-01", "2027-01-01", False, ("2026-07-01", "2026-10-01")),
        ("2026-11-01", "2026-11-01", "2026-11-02", False, ("2026-10-31", "2026-11-01")),
        # The clocks of Berlin went back on 25 October.
        ("2026-10-25", "2026-10-25", "2026-10-26", False, ("2026-10-24", "2026-10-25")),
        ("3h", "2026-10-25T01:30", "2026-10-25T03:30", True, ("2026-10-24T22:30", "2026-10-25T01:30")),
        ("24h", "2026-11-23T13:07", "2026-11-24T13:07", True, ("2026-11-22T13:07", "2026-11-23T13:07")),
    ],
)
def test_the_period_before_is_the_one_that_people_mean(
    given_as: str, since: str, until: str, is_open: bool, before: tuple[str, str]
) -> None:
    found = period_before(Span(at(since), at(until)), given_as, is_open=is_open)
    assert found == Span(*map(at, before))


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
    st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    st.sampled_from(["1h", "today", *WEEKDAYS]),
    st.booleans(),
    st.booleans(),
)
def test_the_period_before_never_reaches_into_the_one_it_is_compared_with(
    since: datetime, length: timedelta, given_as: str, is_open: bool, midnight: bool
) -> None:
    since = since.replace(hour=0, minute=0, second=0, microsecond=0) if midnight else since
    before = period_before(Span(since, since + length), given_as, is_open=is_open)
    assert before.since < before.until
    assert before.until <= since


def row(tag: str | None, cost: str | None, calls: int, unpriced: int = 0) -> dict[str, Any]:
    return {"tag": tag, "cost_usd": cost, "calls": calls, "unpriced_calls": unpriced}


def period(since: str, until: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    total = {"cost_usd": "16.000000000000", "calls": 30, "unpriced_calls": 0}
    bounds = {"since": since, "until": until, "timezone": "UTC"}
    return {"rows": rows, "total": total, "unpriced_models": [], **bounds, **more}


CURRENT = period(
    "2026-11-23T00:00:00Z",
    "2026-11-24T13:07:32Z",
    row("web", "12.000000000000", 10),
    row("fresh", "3.000000000000", 2),
    row(None, "1.000000000000", 8),
    row("odd", None, 1, 1),
)
BEFORE = period(
    "2026-11-16T00:00:00Z",
    "2026-11-17T13:07:32Z",
    row("left", "9.000000000000", 4),
    row("web", "10.000000000000", 11),
    row(None, "2.000000000000", 9),
    row("odd", "0.500000000000", 1),
    total={"cost_usd": "21.500000000000", "calls": 25, "unpriced_calls": 0},
)
TABLE = """\
tag      cost     before   change          calls  before
web     $12.00    $10.00   +$2.00   +20 %     10      11
fresh    $3.00      –      +$3.00     new      2       –
no tag   $1.00     $2.00   -$1.00   -50 %      8       9
odd       ?        $0.5000   ?                 1       1
left      –        $9.00   -$9.00    gone      –       4
"""


def words(table: str) -> list[list[str]]:
    return [re.split(" {2,}", line.strip()) for line in table.splitlines()]


def test_each_row_has_its_change_and_says_what_is_new_and_what_is_gone(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /spend": [CURRENT, BEFORE] * 2}
    ended = on("spend", "--since", "monday", "--compare", "--query", "-key:me")
    *rows, _, total = words(ended.out)
    assert rows == words(TABLE)
    assert total == ["total", "$16.00", "$21.50", "-$5.50", "-26 %", "30", "25"]
    assert ended.err == (
        "Calls started 2026-11-23 00:00:00Z until 2026-11-24 13:07:32Z, "
        "before: 2026-11-16 00:00:00Z until 2026-11-17 13:07:32Z.\n"
    )
    asked = {"by": "tag", "q": "-key:me", "limit": "1000"}
    assert [each.query for each in gateway.asked] == [
        {**asked, "since": "monday", "until": "0s"},
        {**asked, "since": "2026-11-16T00:00:00+00:00", "until": "2026-11-17T13:07:32+00:00"},
    ]
    both = on("spend", "--since", "monday", "--compare", "--json").document
    assert both == {"current": json_of(CURRENT), "before": json_of(BEFORE)}


def json_of(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "rows": list(document["rows"])}


def test_a_group_that_a_cut_answer_lacks_is_neither_new_nor_gone(on: Any, gateway: Any) -> None:
    rest = {"rows": 3, "calls": 3}
    gateway.answers = {"GET /spend": [CURRENT, {**BEFORE, "truncated": True, "rest": rest}]}
    out = words(on("spend", "--since", "monday", "--compare").out)
    assert ["fresh", "$3.00", "?", "?", "2", "?"] in out
    assert not any("new" in line for line in out)


def test_rows_beyond_the_limit_are_counted(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /spend": [CURRENT, BEFORE]}
    ended = on("spend", "--since", "monday", "--compare", "--limit", "2")
    assert len(ended.out.splitlines()) == 5
    assert ended.err.startswith("There are 3 more rows: --limit.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--compare"], "--compare needs --since"),
        (["--compare", "--since", "7d", "--by", "day,tag"], "no hour or day is in both"),
        (["--reconcile", "bill.csv", "--compare"], "--compare has no effect with --reconcile"),
    ],
)
def test_what_cannot_be_compared_is_refused(cli: Any, arguments: list[str], said: str) -> None:
    ended = cli("spend", *arguments)
    assert ended.status == 2
    assert said in ended.err


def test_a_period_that_has_not_begun_is_said_to_be_none(on: Any, gateway: Any) -> None:
    bounds = {"since": "2026-12-24T00:00:00Z", "until": "2026-11-24T13:07:00Z", "timezone": "UTC"}
    gateway.answers = {"GET /spend": {"rows": [], "total": {"calls": 0}, **bounds}}
    ended = on("spend", "--compare", "--since", "2026-12-24")
    assert (ended.status, ended.out) == (2, "")
    assert "--since 2026-12-24 is not before now" in ended.err
    ended = on("spend", "--compare", "--since", "2026-12-24", "--until", "2026-11-24")
    assert "--until is not after --since" in ended.err
