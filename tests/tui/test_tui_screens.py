"""Each screen as text, at three sizes, in full, empty, in error and while it loads."""

from __future__ import annotations

from rig.admin_gateway import SAMPLE

STARTED = SAMPLE["started"]
FAULT = (500, {"title": "Internal error", "detail": "The ledger cannot be read: the disk is full."})


def test_full(play, pictures):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.sees("● live")
        stage.gateway.publish("call.started", STARTED)
        stage.gateway.publish("tick", {"calls": 1, "errors": 0, "in_flight": 3, "tokens": 0, "cost_usd": "0"})
        await stage.sees("of unknown cost · 3 in flight")
        await pictures(stage, "logs-full")
        await stage.press("g", "enter")
        await stage.sees("prices 2026-11-20")
        await pictures(stage, "call-full")
        await stage.press("escape", "4")
        await stage.sees("old-script")
        await pictures(stage, "keys-full")

    play(script)


def test_empty(play, empty, pictures):
    async def script(stage):
        await stage.sees("No calls yet")
        await stage.sees("● live")
        await pictures(stage, "logs-empty")
        await stage.press("4")
        await stage.sees("No keys yet")
        await pictures(stage, "keys-empty")

    play(script, empty())


def test_errors(play, sample, pictures):
    answers = {**sample(), "GET /spend": FAULT, "GET /key/list": FAULT, "GET /calls/stream": FAULT}
    newest = answers["GET /calls"]["calls"][0]["id"]
    answers[f"GET /calls/{newest}"] = (404, {"title": "Not found", "detail": "No call has this id."})

    async def script(stage):
        await stage.sees("✗ offline")
        await stage.sees("6 calls")
        await pictures(stage, "logs-error")
        await stage.press("enter")
        await stage.sees("No call has this id.")
        await pictures(stage, "call-error")
        await stage.press("escape", "4")
        await stage.sees("Trying again.")
        await pictures(stage, "keys-error")

    play(script, answers)


def test_loading(play, pictures):
    async def script(stage):
        await stage.sees("● live")
        await stage.sees("SANDBOX")
        await stage.sees("6 calls")
        stage.gateway.hold()
        await stage.press("enter")
        await stage.sees("loading the call")
        await pictures(stage, "call-loading")
        await stage.press("escape", "4")
        await stage.sees("loading the keys")
        await pictures(stage, "keys-loading")

    play(script)


def test_loading_the_log(play, pictures):
    async def script(stage):
        await stage.sees("loading the latest calls")
        await pictures(stage, "logs-loading")

    play(script, held=True)
