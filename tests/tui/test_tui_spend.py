"""The Spend screen: what it asks, what it draws, and where its keys lead."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from gatekeeper.client.spend_types import Spend, SpendRow
from gatekeeper.ledger import call as ledger_call
from gatekeeper.ledger import filters
from tui.spending import SPANS, SpendData, SpendRequest, short_label, utc_timestamp
from tui.widgets.filter_line import term

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
            assert any(line.startswith("▶(none)") for line in stage.text().splitlines())
        await stage.press("right_square_bracket")
        await stage.sees("last 90 days · per day")
        await stage.press("right_square_bracket", "left_square_bracket", "left_square_bracket")
        await stage.sees("last 7 days · per day")
        await stage.press("left_square_bracket", "left_square_bracket")
        await stage.sees("last 24 hours · per hour")
        assert ("hour,user", "2026-11-23T14:00:00Z") in asked(stage)
        assert any(line.startswith("▶(none)") for line in stage.text().splitlines())

    play(script)


SUMMED = "since:2026-10-26T00:00:00Z until:2026-11-24T13:07:32Z"
DRILLS = [
    (["g"], ["enter"], f"tag:checkout {SUMMED}"),
    (["j"], ["enter"], f"tag:eval {SUMMED}"),
    (["G", "k"], ["enter"], f"-tag:* {SUMMED}"),
    (["g"], ["u"], f"cost:none {SUMMED}"),
]


def test_sums_lead_to_their_calls_and_back(play):
    async def script(stage):
        await opened(stage)
        for moves, keys, q in DRILLS:
            await stage.press(*moves, *keys)
            await stage.until(lambda q=q: stage.gateway.asked("/calls")[-1].query.get("q") == q, q)
            await stage.sees(q[:40])
            await stage.press("escape")
            await stage.sees("Spend by tag")
        await stage.press("2")
        await stage.sees("/ key:ALIAS")

    play(script)


def test_the_cursor_stays_on_its_line_and_comes_back_to_its_group(play):
    def line(stage):
        return next(line.split()[0] for line in stage.text().splitlines() if line.startswith("▶"))

    async def script(stage):
        await opened(stage)
        await stage.press("j", "j")
        assert line(stage) == "▶search"
        await stage.press("b")
        await stage.sees("Spend by model")
        assert line(stage) == "▶search"
        await stage.press("k")
        assert line(stage) == "▶eval"
        await stage.press("B")
        await stage.sees("Spend by tag")
        assert line(stage) == "▶search"
        await stage.press("b")
        await stage.sees("Spend by model")
        assert line(stage) == "▶eval"

    play(script)


def test_groups_that_are_not_told_apart_are_counted_and_have_no_calls_to_show(play, sample):
    sums = sample()["GET /spend"]

    def cut(request):
        response = sums(request)
        if "top" in request.query:
            last = {**response["rows"][-1], "tag": None, "other": True, "groups": 14, "cost_usd": "900"}
            response["rows"] = [*response["rows"][:-1], last]
        return response

    async def script(stage):
        await opened(stage)
        await stage.sees(" … 14 more ")
        await stage.sees("calls in 18 groups")
        await stage.press("G")
        await stage.sees("▶… 14 more ")
        await stage.press("enter")
        await stage.sees("This row sums many tags: / filters the calls.")
        await stage.sees("Spend by tag")

    play(script, {**sample(), "GET /spend": cut})


def test_days_of_another_zone_than_ones_own_are_named(play, sample):
    def zone(name):
        return {**sample(), "GET /": {**sample()["GET /"], "timezone": name}}

    async def other(stage):
        await opened(stage)
        await stage.sees("per day (Asia/Tokyo)")
        assert asked(stage)[-1][1] in ("2026-10-25T15:00:00Z", "2026-09-25T16:52:28Z")

    async def same(stage):
        await opened(stage)
        await stage.sees("· per day  ")
        await stage.sees("last 30 days")
        assert "2026-10-25T23:00:00Z" in [since for _, since in asked(stage)]

    play(other, zone("Asia/Tokyo"))
    play(same, zone("Europe/Berlin"))


def test_bars_that_stand_for_several_days_say_so(play):
    async def script(stage):
        await opened(stage)
        await stage.press("right_square_bracket")
        await stage.sees("last 90 days · per 2 days")

    play(script, size=(80, 24))


DAY = 86_400_000_000
AT = 1_792_000_000_000_000


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ({"started_at": AT}, True),
        ({"started_at": AT + DAY - 1}, True),
        ({"started_at": AT - 1}, False),
        ({"started_at": AT + DAY}, False),
        ({"started_at": AT, "tags": ["a"]}, False),
        ({"started_at": AT, "model": "other"}, False),
    ],
)
def test_the_calls_behind_a_sum_are_those_that_were_summed(call, found):
    """As the gateway reads the filter that the screen writes, of the calls without a tag."""
    start = datetime.fromtimestamp(AT / 1_000_000, UTC)
    bounds = (utc_timestamp(start), utc_timestamp(start + timedelta(days=1)))
    data = SpendData(SpendRequest(q="model:m"), (), *bounds, Spend(), Spend(), Spend(), SpendRow())
    text = data.drill_down_filter(term("tag", None))
    made = ledger_call.Call(**{"id": "x", "method": "POST", "path": "/", "model": "m", **call})
    assert filters.parse(text, now=NOW).matches(made) == found


def test_a_filter_holds_for_all_sums_and_for_the_calls_behind(play):
    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"key:web", "enter")
        await stage.until(
            lambda: all(r.query.get("q") == "key:web" for r in stage.gateway.asked("/spend")[-4:]),
            "sums of it",
        )
        await stage.until(lambda: stage.app.screen._data.request.q == "key:web", "their picture")
        await stage.press("enter")
        await stage.sees(f"/ key:web tag:checkout {SUMMED} ")
        await stage.press("escape")
        await stage.sees("/ key:web ")
        await stage.press("escape")
        await stage.sees("/ filter:")

    play(script)


def test_a_filter_that_is_none(play, sample):
    responses = sample()
    responses["GET /spend"] = lambda r: (
        (400, {"detail": "column 1: what?"}) if r.query.get("q") else sample()["GET /spend"](r)
    )

    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"ö", "enter")
        await stage.sees("^ column 1: what?")
        await stage.press("escape")
        await stage.misses("column 1")

    play(script, responses)


def test_sums_that_cannot_be_had_leave_those_that_were(play, sample):
    responses = sample()

    async def script(stage):
        await opened(stage)
        stage.gateway.answers["GET /spend"] = (500, {"detail": "The ledger is locked."})
        await stage.press("b")
        await stage.sees("The ledger is locked.")
        await stage.sees("Spend by tag")

    play(script, responses)


def data(rows, by_time, both, span=SPANS[1], by="tag"):
    axis = [span.label(start) for start in span.axis(NOW, UTC)]
    sums = (Spend(tuple(rows)), Spend(tuple(by_time)), Spend(tuple(both)))
    return SpendData(SpendRequest(by, span), axis, "S", "U", *sums, SpendRow())


def test_what_no_named_group_spent_is_that_of_others():
    groups = ["a", "b", "c", None, "e", "f", "g"]
    rows = [SpendRow(tag=tag, cost_usd=Decimal(9 - number)) for number, tag in enumerate(groups)]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal(2)) for tag in groups]
    chart = data(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal("14.5"))], both).chart()
    assert chart.names == ("a", "b", "c", "(none)", "e")
    assert chart.bars[-1].parts == (2, 2, 2, 2, 2, Decimal("4.5"))
    assert [bar.label for bar in chart.bars] == [f"{day} Nov" for day in range(18, 25)]
    assert chart.note == ""


def test_calls_with_several_tags_count_once_in_a_bar_and_that_is_said():
    rows = [SpendRow(tag=tag, cost_usd=Decimal(4)) for tag in "abc"]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal("0.0263")) for tag in "abc"]
    chart = data(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal("0.0263"))], both).chart()
    assert chart.names == ("a", "b", "c")
    assert chart.bars[-1].total == pytest.approx(Decimal("0.0263"))
    assert chart.bars[-1].parts[0] == chart.bars[-1].parts[1] == chart.bars[-1].parts[2]
    assert chart.note == "calls with several tags: split among them here, counted under each below"


def test_a_gateway_with_another_clock_may_be_a_day_ahead():
    chart = data([], [SpendRow(day="2026-11-25", cost_usd=Decimal(1))], []).chart()
    assert [bar.label for bar in chart.bars][-2:] == ["24 Nov", "25 Nov"]


@pytest.mark.parametrize(
    ("zone", "starts"),
    [
        ("UTC", ["2026-11-23T14:00:00Z", "2026-11-18", "2026-10-26", "2026-08-27"]),
        ("Asia/Tokyo", ["2026-11-23T23:00:00+09:00", "2026-11-18", "2026-10-26", "2026-08-27"]),
        ("Asia/Kolkata", ["2026-11-23T19:00:00+05:30", "2026-11-18", "2026-10-26", "2026-08-27"]),
    ],
)
def test_spans_begin_with_a_whole_day_or_hour_of_the_gateways_zone(zone, starts):
    axes = [span.axis(NOW, ZoneInfo(zone)) for span in SPANS]
    assert [span.label(axis[0]) for span, axis in zip(SPANS, axes, strict=True)] == starts
    assert [len(axis) for axis in axes] == [24, 7, 30, 90]
    assert all(axis[0].time() == time() for axis in axes[1:])


def test_hours_in_the_night_when_the_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")
    axis = SPANS[0].axis(datetime(2026, 10, 25, 10, tzinfo=berlin), berlin)
    assert [SPANS[0].label(start)[11:] for start in axis[14:17]] == [
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
    ]


@pytest.mark.parametrize(("label", "short"), [("2026-11-04", "4 Nov"), ("2026-11-24T13:00:00Z", "13:00")])
def test_short_labels(label, short):
    assert short_label(label) == short
