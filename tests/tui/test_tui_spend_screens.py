"""The Spend screen as text, at three sizes: in full, compared, opened, with a bar selected, empty, failed and
loading."""

from __future__ import annotations

import pytest
from rig import spend_sample

FAULT = (500, {"title": "Internal error", "detail": "The ledger cannot be read: the disk is full."})


@pytest.fixture
def ledger(sample):
    return {**sample(), "GET /spend": spend_sample.spend}


def test_full(play, ledger, pictures, golden):
    async def script(stage):
        await stage.press("3")
        await stage.sees("total $737.20")
        await pictures(stage, "spend-full")
        await stage.press("right")
        await stage.sees("  gemini-2.5-pro")
        await stage.press("j", "right")
        await stage.sees("    web-frontend")
        await pictures(stage, "spend-opened")
        await stage.press("left", "k", "left", "c")
        await stage.sees("spent before")
        await pictures(stage, "spend-compared")
        await stage.press("c", "h", "h")
        await stage.sees("Mon 23 Nov")
        await pictures(stage, "spend-bar")
        await stage.press("escape", "t")
        await stage.sees("Range of time")
        golden("spend-ranges-200x60", stage.text())
        await stage.press("9")
        await stage.sees("last 90 days · per week")
        await pictures(stage, "spend-weeks")

    play(script, ledger)


def test_without_colour_textures_tell_the_groups_apart(play, ledger, golden, monkeypatch):
    async def script(stage):
        await stage.press("3")
        await stage.sees("total $737.20")
        await stage.press("h")
        await stage.sees("Tue 24 Nov")
        await stage.still()
        golden("spend-no-color-80x24", stage.text())

    monkeypatch.setenv("NO_COLOR", "1")
    play(script, ledger, size=(80, 24))


def test_empty(play, empty, pictures):
    async def script(stage):
        await stage.sees("● live")
        await stage.press("3")
        await stage.sees("No calls in this")
        await pictures(stage, "spend-empty")

    play(script, empty())


def test_error(play, sample, pictures):
    async def script(stage):
        await stage.sees("✗ offline")
        await stage.press("3")
        await stage.sees("Trying again.")
        await pictures(stage, "spend-error")

    play(script, {**sample(), "GET /spend": FAULT, "GET /calls/stream": FAULT})


def test_loading(play, sample, pictures):
    async def script(stage):
        await stage.sees("● live")
        await stage.sees("SANDBOX")
        stage.gateway.hold()
        await stage.press("3")
        await stage.sees("◌ loading")
        await pictures(stage, "spend-loading")

    play(script, sample())
