"""The pane below the keys: what the selected one has done of late."""

from __future__ import annotations

import pytest
from rig.admin_gateway import SAMPLE

NIGHTLY, BOT, WEB, OLD = (f"0193f000-0000-7000-8000-00000000000{number}" for number in (2, 3, 1, 4))
NO_SPEND = {"rows": [], "total": {"calls": 0, "cost_usd": "0.000000000000"}}
ROOMY = (120, 40)


@pytest.fixture
def answers(sample):
    """Only the first two keys have calls, each its own."""
    found, spend = sample(), sample()["GET /spend"]

    def calls(request):
        by_key = {f"key:{NIGHTLY}": SAMPLE["calls"][1:2], f"key:{BOT}": SAMPLE["calls"][3:4]}
        return {"calls": by_key.get(request.query.get("q"), []), "next_cursor": None}

    def sums(request):
        return NO_SPEND if request.query.get("q") in (f"key:{WEB}", f"key:{OLD}") else spend(request)

    return {**found, "GET /calls": calls, "GET /spend": sums}


def test_the_selected_key_s_last_calls_and_spend_are_shown(play, answers, golden):
    async def script(stage):
        await stage.press("4")
        await stage.sees("last 30 days  $1,204  296,290 calls  ? 41 of unknown cost")
        await stage.sees("2.5-pro")
        asked = stage.gateway.asked("/calls")[-1].query
        assert asked == {"q": f"key:{NIGHTLY}", "limit": "5"}
        asked = stage.gateway.asked("/spend")[-1].query
        assert asked == {"by": "day", "q": f"key:{NIGHTLY}", "since": "2026-10-26T00:00:00Z", "until": "0s"}
        await stage.press("j", "j")
        await stage.sees("no calls in the last 30 days")
        await stage.misses("$1,204")
        golden("keys-unused-120x40", stage.text())

    play(script, answers, size=ROOMY)


def test_a_last_call_is_opened_and_left(play, answers):
    async def script(stage):
        await stage.press("4")
        await stage.sees("2.5-pro")
        await stage.press("j")
        await stage.sees("3.1-pro-preview")
        assert (stage.text().count("▶"), stage.text().count("▷")) == (1, 0)
        await stage.press("tab")
        # One list has the keys at a time, and looks so.
        assert (stage.text().count("▶"), stage.text().count("▷")) == (1, 1)
        await stage.press("enter")
        await stage.sees("may not use gemini-3.1-pro-preview")
        await stage.press("escape")
        await stage.sees("last 30 days")
        await stage.press("escape", "enter")
        await stage.sees("/ key:intern-bot")

    play(script, answers, size=ROOMY)


def test_a_key_that_was_left_shows_nothing_any_more(play, answers):
    async def script(stage):
        await stage.press("4")
        await stage.sees("2.5-pro")
        stage.gateway.hold()
        await stage.press("j")
        await stage.until(lambda: f"key:{BOT}" in stage.gateway.asked("/calls")[-1].query["q"], "the request")
        await stage.press("j")
        await stage.sees("◌ loading its calls…")
        stage.gateway.released.set()
        await stage.sees("no calls in the last 30 days")
        assert "3.1-pro-preview" not in stage.text()

    play(script, answers, size=ROOMY)


def test_why_the_calls_are_not_shown(play, answers, golden):
    answers["GET /spend"] = (503, {"detail": "The analytics file is on loan."})

    async def script(stage):
        await stage.press("4")
        await stage.sees("failed (503). The analytics")
        await stage.still()
        golden("keys-preview-error-120x40", stage.text())

    play(script, answers, size=ROOMY)


def test_a_small_screen_has_the_keys_only(play, answers):
    async def script(stage):
        await stage.press("4")
        await stage.sees("old-script")
        await stage.press("tab", "j", "b")
        await stage.sees("Block intern-bot?")
        assert not [
            request
            for request in stage.gateway.asked("/calls")
            if "limit" in request.query and request.query["limit"] == "5"
        ]
        await stage.press("escape")
        await stage.resize(*ROOMY)
        await stage.sees("last 30 days")

    play(script, answers, size=(120, 39))


def test_what_has_no_room_is_said_to_be_left_out(play, answers):
    limits = ("model_max_budget", "model_rpm_limit")
    answers["GET /key/list"]["keys"][0] |= {
        **{name: {f"model-{number}": number for number in range(1, 30)} for name in limits},
        "soft_budget": "20",
        "group": "shop",
        "user_id": "alice",
        "searches": 0,
        "store": False,
        "max_output_tokens": 5,
    }

    async def script(stage):
        await stage.press("4")
        await stage.sees("last 30 days")
        await stage.sees("… i shows all")
        await stage.sees("last 30 days")

    play(script, answers, size=ROOMY)
