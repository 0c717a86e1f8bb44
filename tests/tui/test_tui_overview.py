"""The Overview screen: what it asks, what it says at every size, and where its keys lead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.admin_gateway import sample_answers, sorted_keys

from gatekeeper.ledger import filters
from tui import overview_text
from tui.app import GatekeeperApp
from tui.overview import OverviewRequest, this_month, today
from tui.screens import overview_screen

FAULT = (500, {"title": "Internal error", "detail": "The ledger cannot be read: the disk is full."})
NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
DAY = "since:2026-11-24T00:00:00Z"


@pytest.fixture
def see(play):
    """Plays a script that begins where the application does: with this screen."""

    def run(script, answers=None, size=(120, 40), **more):
        usual = {**sample_answers(), "GET /key/list": sorted_keys}
        play(script, usual if answers is None else answers, size=size, start=GatekeeperApp, **more)

    return run


async def shown(stage):
    await stage.sees("▶checkout")


def test_full(see, pictures):
    async def script(stage):
        await shown(stage)
        await pictures(stage, "overview-full")

    see(script)


@pytest.mark.usefixtures("soon")
def test_the_first_start_shows_the_first_call_and_then_what_it_cost(see, empty, pictures):
    async def script(stage):
        await stage.sees("No calls yet. Send one:")
        await pictures(stage, "overview-empty")
        await stage.press("y")
        await stage.sees("✓ the command copied")
        assert "curl" in stage.app.clipboard
        one = {"calls": 1, "total_tokens": 24, "cost_usd": "0.000096000000"}
        stage.gateway.answers["GET /spend"] = {"rows": [{**one, "tag": "checkout"}], "total": one}
        stage.gateway.publish("tick", {"calls": 1, "errors": 0, "in_flight": 0, "tokens": 24})
        await shown(stage)
        assert "1 call" in stage.text()

    see(script, empty())


def test_an_error(see, sample, pictures):
    async def script(stage):
        await stage.sees("The ledger cannot be read")
        await pictures(stage, "overview-error")

    see(script, {**sample(), "GET /spend": FAULT})


def test_loading(see, pictures):
    async def script(stage):
        await stage.sees("◌ loading")
        await pictures(stage, "overview-loading")

    see(script, held=True)


def test_keys_or_health_that_cannot_be_loaded_leave_the_rest(see, sample):
    async def script(stage):
        await shown(stage)
        assert "✗ its health is unknown: " in stage.text()
        assert "✗ budgets are unknown: " in stage.text()
        assert "$28,410" in stage.text()

    see(script, {**sample(), "GET /readyz": FAULT, "GET /key/list": FAULT})


HEALTH = [
    (503, {"reasons": ["the disk is full"], "warnings": ["b lags"]}, "✗ takes no calls: the disk is full"),
    (200, {"ready": True, "warnings": ["Google refuses the key b"]}, "✗ Google refuses the key b"),
    (200, {"ready": True, "google_keys": [{"label": "b", "state": "cooling"}]}, "◌ Google key b: cooling"),
    (200, {"ready": True, "analytics_lag_seconds": 95.2}, "◌ the analytics file is 95 s behind"),
    (
        200,
        {"ready": True, "google_keys": [{"label": "a", "state": "ok"}, {"label": "b", "state": "full"}]},
        "✓ all is well: takes calls · 2 Google keys ok\n",
    ),
]


def test_calls_that_fail_and_budgets_that_end_are_not_well(see, sample):
    async def script(stage):
        await shown(stage)
        lines = [line.rpartition("│ ")[2] for line in stage.text().splitlines()]
        first = lines.index("✗ 12 of 100 calls failed in the last hour (12 %)")
        assert lines[first + 1 : first + 3] == [
            "⊘ budget used up: nightly-eval",
            "⊘ budget nearly used up: intern-bot",
        ]

    total = {"calls": 100, "errors": 12, "cost_usd": "1.000000000000"}
    answers = {**sample(), "GET /key/list": sorted_keys}
    answers["GET /spend"] = {"rows": [{"tag": "checkout", **total}], "total": total}
    see(script, answers, size=(200, 60))


def test_the_first_line_says_what_is_worst(see, sample):
    async def script(stage):
        await shown(stage)
        for status, document, said in HEALTH:
            stage.gateway.answers["GET /readyz"] = (status, document)
            stage.app.screen.load(OverviewRequest())
            await stage.sees(said)
        await stage.press("i")
        await stage.sees("health")
        await stage.press("q")
        await stage.sees("last hour")

    nobody = {"keys": [], "next_cursor": None}
    total = {"calls": 7, "cost_usd": "1.000000000000"}
    sums = {"rows": [{"tag": "checkout", **total}], "total": total}
    see(script, {**sample(), "GET /key/list": nobody, "GET /spend": sums}, size=(80, 24))


def test_it_asks_for_the_same_part_of_the_day_and_of_the_month_before(see):
    async def script(stage):
        await shown(stage)
        until = "2026-11-24T13:07:32Z"
        asked = {
            tuple(ask.query.get(name) for name in ("by", "since", "until", "top"))
            for ask in stage.gateway.asked("/spend")
        }
        assert asked >= {
            ("minute", "2026-11-24T12:08:00Z", "0s", None),
            ("none", "2026-11-24T00:00:00Z", until, None),
            ("none", "2026-11-23T00:00:00Z", "2026-11-23T13:07:32Z", None),
            ("none", "2026-11-01T00:00:00Z", until, None),
            ("none", "2026-10-01T00:00:00Z", "2026-10-24T13:07:32Z", None),
            *((by, "2026-11-24T00:00:00Z", until, "20") for by in ("tag", "key", "model")),
        }
        (keys,) = stage.gateway.asked("/key/list")
        assert keys.query["sort"] == "-budget_used"
        await stage.press("right_square_bracket")
        await stage.sees("November share" if stage.app.size.width > 150 else "November  4 keys")
        last = stage.gateway.asked("/spend")[-1].query
        assert (last["by"], last["since"]) == ("model", "2026-11-01T00:00:00Z")
        await stage.press("left_square_bracket")
        await stage.sees("today  4 keys")

    see(script)


DRILLS = [
    (["enter"], f"tag:checkout {DAY}"),
    (["G", "k", "k", "k", "enter"], f"-tag:* {DAY}"),
    (["tab", "G", "enter"], f"label:open {DAY}"),
    (["right", "right", "j", "enter"], f"model:gemini-2.5-flash {DAY}"),
    (["shift+tab", "left", "G", "k", "enter"], f"model:gemini-3.1-pro-preview {DAY}"),
    (["u"], "cost:none since:2026-11-01T00:00:00Z"),
]


def test_enter_leads_to_the_calls_of_a_row_and_esc_back(see):
    async def script(stage):
        await shown(stage)
        for keys, q in DRILLS:
            stage.app.screen.query_one("#tag").focus()
            await stage.press("g", *keys)
            await stage.until(lambda q=q: stage.gateway.asked("/calls")[-1].query.get("q") == q, q)
            await stage.sees(q)
            filters.parse(q, now=NOW)
            await stage.press("escape")
            await stage.sees("last hour, by minute")

    see(script)


def test_enter_on_a_key_leads_to_it_among_the_keys_and_esc_back(see):
    async def script(stage):
        await shown(stage)
        for panel, keys, text in (
            ("#key", ["enter"], "web-frontend"),
            ("#budgets", ["enter"], "nightly-eval"),
            ("#budgets", ["j", "enter"], "intern-bot"),
        ):
            stage.app.screen.query_one(panel).focus()
            await stage.press(*keys)
            # Asked for by name, and shown in the filter's line.
            await stage.sees(f"/ {text}")
            assert stage.gateway.asked("/key/list")[-1].query["q"] == text
            await stage.press("escape")
            await stage.sees("last hour, by minute")

    see(script)


def test_the_row_of_many_says_where_they_are_and_names_are_copied(see):
    async def script(stage):
        await shown(stage)
        await stage.press("y")
        await stage.sees("✓ checkout copied")
        await stage.press("shift+tab", "y")
        await stage.sees("✓ nightly-eval copied")
        await stage.press("tab", "G", "enter")
        await stage.sees("This row sums many tags: 3 Spend has them all.")

    see(script)


def test_the_filter_holds_for_all_sums(see):
    async def script(stage):
        await shown(stage)
        await stage.press("slash", *"key:web", "enter")
        await stage.until(
            lambda: all(ask.query.get("q") == "key:web" for ask in stage.gateway.asked("/spend")[-8:]),
            "all sums to be of the filter",
        )
        await stage.press("enter")
        await stage.until(
            lambda: stage.gateway.asked("/calls")[-1].query.get("q") == f"key:web tag:checkout {DAY}", "both"
        )
        await stage.press("escape", "escape")
        await stage.until(lambda: "q" not in stage.gateway.asked("/spend")[-1].query, "no filter")

    see(script)


def test_it_loads_again_when_calls_have_ended_and_else_asks_for_health_only(see, monkeypatch):
    monkeypatch.setattr(overview_screen, "SETTLE_SECONDS", 0.0)

    async def script(stage):
        await shown(stage)
        screen = stage.app.screen
        screen.reload()
        await stage.until(lambda: len(stage.gateway.asked("/readyz")) >= 2, "it to look again")
        before, health = len(stage.gateway.asked("/spend")), len(stage.gateway.asked("/readyz"))
        screen.reload()
        await stage.until(lambda: len(stage.gateway.asked("/readyz")) > health, "its health")
        assert len(stage.gateway.asked("/spend")) == before
        stage.gateway.publish("tick", {"calls": 2, "errors": 0, "in_flight": 0, "tokens": 24})
        seen = stage.app.session.finished_calls
        await stage.until(lambda: stage.app.session.finished_calls > seen, "the tick")
        screen.reload()
        await stage.until(lambda: len(stage.gateway.asked("/spend")) >= before + 8, "new sums")

    see(script)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "title", "since", "until"),
    [
        ((2026, 11, 24, 13, 7), "last month until 24 Oct, 13:07", "10-01T00:00+02:00", "10-24T13:07+02:00"),
        ((2026, 3, 30, 9, 0), "all of February", "02-01T00:00+01:00", "03-01T00:00+01:00"),
        ((2026, 3, 28, 9, 0), "last month until 28 Feb, 09:00", "02-01T00:00+01:00", "02-28T09:00+01:00"),
        ((2026, 11, 1, 0, 0), "last month until 1 Oct, 00:00", "10-01T00:00+02:00", "10-01T00:00+02:00"),
    ],
)
def test_a_month_is_compared_with_as_much_of_the_one_before(now, title, since, until):
    period = this_month(datetime(*now, tzinfo=BERLIN))
    assert period.earlier_title.removesuffix(" CET").removesuffix(" CEST") == title
    bounds = [at.isoformat(timespec="minutes") for at in (period.earlier_since, period.earlier_until)]
    assert bounds == [f"2026-{since}", f"2026-{until}"]


def test_yesterday_ends_at_the_same_time_of_day_whatever_the_clocks_did():
    period = today(datetime(2026, 10, 25, 13, 0, tzinfo=BERLIN))
    assert (period.since.isoformat(), period.earlier_until.isoformat()) == (
        "2026-10-25T00:00:00+02:00",
        "2026-10-24T13:00:00+02:00",
    )


@pytest.mark.parametrize(
    ("spent", "earlier", "said"),
    [
        ("12", "10", "▲ 20 %"),
        ("10", "10", "▲ 0 %"),
        ("9.5", "10", "▼ 5.0 %"),
        ("9.5", "0", ""),
        (None, "10", ""),
        ("10", None, ""),
    ],
)
def test_the_change_is_said_where_both_are_known(spent, earlier, said):
    known = [None if amount is None else Decimal(amount) for amount in (spent, earlier)]
    assert overview_text.change(*known) == said


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=60), st.integers(1, 3), st.integers(1, 6))
def test_bars_are_as_wide_as_asked_and_show_every_minute_that_is_not_0(values, thick, rows):
    drawn = overview_text.bar_rows(values, thick, rows)
    assert [len(row) for row in drawn] == [thick * len(values)] * rows
    lowest = drawn[-1][::thick]
    assert [cell != " " for cell in lowest] == [value > 0 for value in values]
    if any(values):
        assert "█" in drawn[0]
