"""Sums that are cut: what is left out is said, exactly, and told from what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rig.analytics import Analytics
from rig.cases import cases
from rig.examples import examples

from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.ledger.filters import parse
from gatekeeper.times import from_micros
from tui.widgets import filter_line

MONDAY = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
HOUR = 3_600_000_000
NUMBERS = count(1)
PERIODS = {"day", "week", "hour"}
COSTS = {"a": 9, "b": 1, "c": 2}


@dataclass(frozen=True)
class Made:
    hour: int
    tags: tuple[str, ...]
    model: str | None
    cost: int | None
    """Of a pico-dollar; None is unknown."""

    def groups(self, by: list[str]) -> set[tuple[str | None, ...]]:
        """What the call counts under."""
        tags: tuple[str | None, ...] = (self.tags or (None,)) if "tag" in by else (None,)
        return {tuple(tag if name == "tag" else self.model for name in by) for tag in tags}

    def when(self, period: str | None) -> str:
        """The day or hour as the answer writes it."""
        moment = from_micros(MONDAY + self.hour * HOUR)
        return f"{moment:%Y-%m-%d}" if period == "day" else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


NAMES = st.sampled_from(["a", "b", "c", "d"])
CALLS = st.lists(
    st.builds(
        Made,
        hour=st.integers(0, 60),
        tags=st.lists(NAMES, unique=True, max_size=3).map(tuple),
        model=st.none() | NAMES,
        cost=st.none() | st.integers(0, 9),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def analytics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analytics]:
    analytics = Analytics(tmp_path_factory.mktemp("spend"))
    yield analytics
    analytics.release()


def added(analytics: Analytics, calls: list[Made]) -> str:
    """The filter that finds these calls and no other."""
    batch = next(NUMBERS)
    for made in calls:
        number = next(NUMBERS)
        call = CallRecord(
            id=f"019a1b2c-0000-7000-8000-{number:012x}",
            started_at=MONDAY + made.hour * HOUR,
            method="POST",
            path="/v1beta/models/m:generateContent",
            outcome=Outcome.OK,
            trace_id=str(batch),
            tags=list(made.tags),
            model=made.model,
            cost_pico=made.cost,
        )
        analytics.add([(Position(1, number), call)])
    return f"trace:{batch}"


def spend(analytics: Analytics, q: str, by: list[str], **limits: int) -> dict[str, Any]:
    return analytics.spend(by, parse(q, now=from_micros(MONDAY)), **limits)


def total(calls: list[Made]) -> tuple[int, Decimal | None]:
    costs = [made.cost for made in calls if made.cost is not None]
    return len(calls), Decimal(sum(costs)).scaleb(-12) if costs else None


def shown(row: dict[str, Any]) -> tuple[int, Decimal | None]:
    return row["calls"], None if row["cost_usd"] is None else Decimal(row["cost_usd"])


@pytest.mark.parametrize("by", [["tag"], ["model"], ["tag", "model"], ["day", "tag"], ["model", "hour"]])
@settings(max_examples=examples(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([Made(0, ("a", "b"), None, 1), Made(30, ("c",), None, 2), Made(31, (), None, None)], 1)
@given(calls=CALLS, top=st.integers(1, 4))
def test_what_is_not_in_the_top_is_exactly_the_other_row(
    analytics: Analytics, by: list[str], calls: list[Made], top: int
) -> None:
    answer = spend(analytics, added(analytics, calls), by, top=top)
    names, period = [name for name in by if name not in PERIODS], next(iter(PERIODS & set(by)), None)
    own = [row for row in answer["rows"] if "other" not in row]
    leaders = {tuple(row[name] for name in names) for row in own}
    everyone = set[Any]().union(*(made.groups(names) for made in calls))
    assert len(leaders) == min(top, len(everyone))

    def expected(at: str | None, wanted: Any) -> tuple[int, Decimal | None]:
        return total([made for made in calls if at in (None, made.when(period)) and wanted(made)])

    for row in answer["rows"]:
        group = tuple(row[name] for name in names)
        at = period and row[period]
        if "other" in row:
            assert (row["other"], set(group)) == (True, {None})
            assert row["groups"] == len(everyone - leaders) > 0
            assert shown(row) == expected(at, lambda made: made.groups(names) - leaders)
        else:
            assert shown(row) == expected(at, lambda made, group=group: group in made.groups(names))
    if "tag" not in names:
        assert sum(row["calls"] for row in answer["rows"]) == answer["total"]["calls"] == len(calls)


def test_the_top_is_that_of_the_whole_range_and_other_comes_last(analytics: Analytics) -> None:
    """`b` is the dearest of the first day, `a` of both."""
    made = [Made(0, (), "a", 1), Made(1, (), "b", 3), Made(2, (), "c", 2), Made(30, (), "a", 5)]
    rows = spend(analytics, added(analytics, made), ["day", "model"], top=1)["rows"]
    assert [(row["day"], row["model"], row.get("other"), row["calls"]) for row in rows] == [
        ("2026-11-23", "a", None, 1),
        ("2026-11-23", None, True, 2),
        ("2026-11-24", "a", None, 1),
    ]


@cases(("by", "rest"), [(["model"], ["b", "c"]), (["hour"], ["a", "b"])])
def test_rows_beyond_the_limit_are_counted_and_added_up(
    analytics: Analytics, by: list[str], rest: list[str]
) -> None:
    """By cost the cheapest are left out, by time the earliest."""
    made = {
        name: Made(hour, (), name, cost)
        for hour, (name, cost) in enumerate(zip("abc", (9, 1, 2), strict=True))
    }
    q = added(analytics, list(made.values()))
    answer = spend(analytics, q, by, limit=1)
    assert (len(answer["rows"]), answer["truncated"], answer["rest"]["rows"]) == (1, True, 2)
    assert shown(answer["rest"]) == total([made[name] for name in rest])
    assert not {"truncated", "rest"} & set(spend(analytics, q, by, limit=3))


def test_each_group_has_a_term_that_finds_exactly_its_calls(analytics: Analytics) -> None:
    """A key without an alias that was given one later, and nothing at all."""
    known = [
        {"key_id": "key_1", "tags": ["a", "b"], "model": "m*"},
        {"key_id": "key_1", "key_alias": "ci", "tags": ["a,b"], "model": "mm", "user_id": "-"},
        {"key_id": "key_2", "key_alias": "ci", "tags": [], "user_id": 'a "b" \\'},
        {"key_id": None, "tags": [], "model": None},
    ]
    batch = added(analytics, [])
    calls = [
        CallRecord(
            id=f"019a1b2c-0000-7000-8000-{next(NUMBERS):012x}",
            started_at=MONDAY,
            method="POST",
            path="/",
            outcome=Outcome.OK,
            trace_id=batch.partition(":")[2],
            **fields,
        )
        for fields in known
    ]
    for call in calls:
        analytics.add([(Position(1, next(NUMBERS)), call)])
    for by in ("tag", "model", "key", "user"):
        rows = spend(analytics, batch, [by])["rows"]
        for row in rows:
            q = f"{batch} {filter_line.group_filter(by, row[by])}"
            found = parse(q, now=from_micros(MONDAY))
            assert len(analytics.calls(found)) == row["calls"] == sum(map(found.matches, calls)), q
        assert sum(row["calls"] for row in rows) >= len(calls)


@cases("by", [["none"], ["day"], ["day", "hour"]])
def test_a_top_of_periods_alone_is_refused(analytics: Analytics, by: list[str]) -> None:
    with pytest.raises(ValueError, match="add one of tag, model, key, user"):
        analytics.spend(by, top=3)
