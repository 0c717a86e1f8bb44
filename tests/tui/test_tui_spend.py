"""The Spend screen: what it asks, what it draws, and where its keys lead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tui.documents import Spend, SpendRow
from tui.spending import SPANS, Picture, Question, short_label
from tui.widgets.bars import Bar, Chart, ceiling, draw

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)


def asked(stage):
    """The groups of the last question, with its span's start."""
    return [
        (request.query["by"], request.query.get("since")) for request in stage.gateway.asked("/spend")[-4:]
    ]


async def opened(stage):
    await stage.press("3")
    await stage.sees("total $1,204")


def test_questions_groups_and_ranges(play):
    async def script(stage):
        await opened(stage)
        since = "2026-10-26T00:00:00Z"
        before = "2026-09-26T10:52:28Z"
        assert sorted(asked(stage)) == [("day", since), ("day,tag", since), ("none", before), ("tag", since)]
        await stage.press("j", "j", "j")
        for key, group in (("b", "model"), ("b", "key"), ("b", "user"), ("b", "tag"), ("B", "user")):
            await stage.press(key)
            await stage.sees(f"Spend by {group} · last 30 days")
        await stage.press("right_square_bracket")
        await stage.sees("last 90 days · per day")
        await stage.press("right_square_bracket", "left_square_bracket", "left_square_bracket")
        await stage.sees("last 7 days · per day")
        await stage.press("left_square_bracket", "left_square_bracket")
        await stage.sees("last 24 hours · per hour")
        assert ("hour,user", "2026-11-23T14:00:00Z") in asked(stage)
        assert any(line.startswith("▶(none)") for line in stage.text().splitlines())

    play(script)


DRILLS = [
    (["g"], ["enter"], "tag:checkout since:30d"),
    (["j"], ["enter"], "tag:eval since:30d"),
    (["G", "k"], ["enter"], "-tag:* since:30d"),
    (["g"], ["u"], "-cost:>=0 since:30d"),
]


def test_sums_lead_to_their_calls_and_back(play):
    async def script(stage):
        await opened(stage)
        for moves, keys, q in DRILLS:
            await stage.press(*moves, *keys)
            await stage.sees(f"/ {q} ")
            assert stage.gateway.asked("/calls")[-1].query["q"] == q
            await stage.press("escape")
            await stage.sees("Spend by tag")
        await stage.press("2")
        await stage.sees("/ key:ALIAS")

    play(script)


def test_a_filter_holds_for_all_sums_and_for_the_calls_behind(play):
    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"key:web", "enter")
        await stage.until(
            lambda: all(r.query.get("q") == "key:web" for r in stage.gateway.asked("/spend")[-4:]),
            "sums of it",
        )
        await stage.sees("/ key:web ")
        await stage.press("enter")
        await stage.sees("/ key:web tag:checkout since:30d")
        await stage.press("escape")
        await stage.sees("/ key:web ")
        await stage.press("escape")
        await stage.sees("/ narrow:")

    play(script)


def test_a_filter_that_is_none(play, sample):
    answers = sample()
    answers["GET /spend"] = lambda r: (
        (400, {"detail": "column 1: what?"}) if r.query.get("q") else sample()["GET /spend"](r)
    )

    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"ö", "enter")
        await stage.sees("^ column 1: what?")
        await stage.press("escape")
        await stage.misses("column 1")

    play(script, answers)


def test_sums_that_cannot_be_had_leave_those_that_were(play, sample):
    answers = sample()

    async def script(stage):
        await opened(stage)
        stage.gateway.answers["GET /spend"] = (500, {"detail": "The ledger is locked."})
        await stage.press("b")
        await stage.sees("The ledger is locked.")
        await stage.sees("Spend by tag")

    play(script, answers)


def picture(rows, by_time, both, span=SPANS[1], by="tag"):
    question = Question(by, span)
    return Picture(question, NOW, Spend(tuple(rows)), Spend(tuple(by_time)), Spend(tuple(both)), SpendRow())


def test_what_no_named_group_spent_is_other():
    groups = ["a", "b", "c", "d", None]
    rows = [SpendRow(tag=tag, cost_usd=Decimal(9 - number)) for number, tag in enumerate(groups)]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal(2)) for tag in groups]
    chart = picture(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal("9.5"))], both).chart()
    assert chart.names == ("a", "b", "c", "other")
    assert chart.bars[-1].parts == (2, 2, 2, Decimal("3.5"))
    assert [bar.label for bar in chart.bars] == [f"{day} Nov" for day in range(18, 25)]


def test_calls_with_two_tags_leave_no_negative_rest():
    rows = [SpendRow(tag=tag, cost_usd=Decimal(5)) for tag in "ab"]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal(5)) for tag in "ab"]
    chart = picture(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal(6))], both).chart()
    assert chart.names == ("a", "b")
    assert chart.bars[-1].parts == (5, 5, 0)


def test_a_gateway_in_another_zone_may_be_a_day_ahead():
    chart = picture([], [SpendRow(day="2026-11-25", cost_usd=Decimal(1))], []).chart()
    assert [bar.label for bar in chart.bars][-2:] == ["24 Nov", "25 Nov"]


def test_spans_begin_with_a_whole_day_or_hour():
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    assert [span.start(tokyo).isoformat() for span in SPANS] == [
        "2026-11-23T14:00:00+00:00",
        "2026-11-18T00:00:00+00:00",
        "2026-10-26T00:00:00+00:00",
        "2026-08-27T00:00:00+00:00",
    ]
    assert [len(span.axis(tokyo)) for span in SPANS] == [24, 7, 30, 90]


@pytest.mark.parametrize(("label", "short"), [("2026-11-04", "4 Nov"), ("2026-11-24T13:00:00Z", "13:00")])
def test_short_labels(label, short):
    assert short_label(label) == short


def test_a_chart():
    bars = tuple(Bar(f"{day} Nov", (Decimal(day), Decimal(4 - day))) for day in range(1, 5))
    assert draw(Chart(("a", "b"), bars), 42, 7).plain.splitlines() == [
        "                                 █ a   ▓ b",
        "      $4 ┤▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ███████ ",
        "         │▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓ ███████ ███████ ",
        "         │▓▓▓▓▓▓▓ ███████ ███████ ███████ ",
        "         │███████ ███████ ███████ ███████ ",
        "      $0 ┼────────────────────────────────",
        "          1 Nov   2 Nov   3 Nov   4 Nov",
    ]


def test_more_bars_than_cells_are_drawn_together():
    bars = tuple(Bar(f"{number:02}:00", (Decimal(1),)) for number in range(24))
    lines = draw(Chart(("a",), bars), 22, 6).plain.splitlines()
    assert lines[1] == "      $2 ┤████████████"
    assert lines[-1].split() == ["00:00", "14:00"]


@pytest.mark.parametrize(
    ("largest", "top"), [("0", "1"), ("0.037", "0.04"), ("1", "1"), ("5.1", "8"), ("81", "100")]
)
def test_the_axis_ends_at_a_round_number(largest, top):
    assert ceiling(Decimal(largest)) == Decimal(top)


def test_nothing_to_draw():
    assert draw(Chart(), 80, 12).plain == ""
    assert draw(Chart(("a",), (Bar("x", (Decimal(1),)),)), 80, 2).plain == ""
