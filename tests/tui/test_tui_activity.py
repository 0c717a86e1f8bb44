"""The header's figures: from the gateway at first, then from the stream's ticks, whatever is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rig.admin_gateway import SAMPLE, empty_answers, sample_answers

from tui import header_figures


def seconds(stage, count: int, calls: int = 0, errors: int = 0) -> None:
    for _ in range(count):
        stage.gateway.publish("tick", {"calls": calls, "errors": errors, "in_flight": 0, "tokens": 0})


def asked(stage) -> list[str]:
    """From when on it asked for the sum of all calls."""
    asked = [ask.query for ask in stage.gateway.asked("/spend") if ask.query["by"] == "none"]
    # The log's totals are of all time.
    return [query["since"] for query in asked if "since" in query]


def test_a_minute_of_ticks_takes_the_place_of_the_gateways_sums_on_every_screen(play):
    async def script(stage):
        await stage.sees("42/min  ✗ 3  $1,075 today")
        await stage.press("4")
        await stage.sees("42/min  ✗ 3  $1,075 today")
        seconds(stage, 59, calls=2, errors=1)
        seconds(stage, 1, calls=7)
        await stage.sees("125/min  ✗ 59  $1,075 today")
        seconds(stage, 60)
        await stage.sees("0/min  ✗ 0  $1,075 today")

    play(script, size=(98, 24))


def test_an_idle_gateway_is_not_asked_and_a_busy_one_not_with_each_tick(play):
    async def script(stage):
        assert asked(stage) == ["2026-11-24T00:00:00Z", "60s"]
        seconds(stage, 60, calls=500)
        await stage.sees("30.0k/min")
        before = len(asked(stage))
        seconds(stage, 60)
        await stage.sees("0/min  ✗ 0")
        assert len(asked(stage)) == before <= 4

    play(script, size=(98, 24))


def test_calls_that_end_are_in_todays_spend_soon(play, monkeypatch):
    monkeypatch.setattr(header_figures, "POLL_SECONDS", 0.01)

    async def script(stage):
        await stage.sees("$0 today")
        stage.gateway.answers["GET /spend"] = {"total": {"calls": 1, "cost_usd": "0.250000000000"}}
        seconds(stage, 1, calls=1)
        await stage.sees("1/min  ✗ 0  $0.2500 today")
        stage.gateway.answers["GET /spend"] = {"total": {"calls": 2, "unpriced_calls": 2}}
        seconds(stage, 1, calls=1)
        await stage.sees("2/min  ✗ 0  ? today")

    play(script, empty_answers(), size=(98, 24))


@pytest.mark.usefixtures("soon")
def test_figures_are_gone_with_the_gateway_and_new_with_the_next_connection(play, monkeypatch):
    monkeypatch.setattr(header_figures, "POLL_SECONDS", 0.01)

    async def script(stage):
        await stage.sees("42/min")
        seconds(stage, 60, calls=9)
        await stage.sees("540/min")
        await stage.gateway.stop()
        await stage.misses("/min")
        await stage.gateway.start()
        await stage.sees("42/min")

    play(script, size=(98, 24))


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [("Europe/Berlin", "2026-11-23T23:00:00Z"), ("Pacific/Auckland", "2026-11-24T11:00:00Z")],
)
def test_today_is_a_day_of_the_gateways_zone_and_the_next_day_another(play, zone, midnight, monkeypatch):
    monkeypatch.setattr(header_figures, "POLL_SECONDS", 0.01)
    answers = sample_answers()
    answers["GET /"] = {**answers["GET /"], "timezone": zone}

    async def script(stage):
        assert asked(stage)[0] == midnight
        stage.app.session.clock = lambda: datetime(2026, 11, 26, 12, tzinfo=UTC)
        seconds(stage, 1)
        await stage.until(lambda: asked(stage)[-2][:10] in ("2026-11-25", "2026-11-26"), "the next day")

    play(script, answers, size=(98, 24))


def test_who_may_not_see_sums_sees_none(play):
    answers = {**sample_answers(), "GET /spend": (403, {"title": "Forbidden", "detail": "not yours"})}

    async def script(stage):
        await stage.sees("● live")
        await stage.until(lambda: asked(stage), "it to ask")
        seconds(stage, 3, calls=1)
        stage.gateway.publish("call.started", SAMPLE["started"])
        await stage.sees("7 calls")
        assert "/min" not in stage.text()

    play(script, answers, size=(98, 24))
