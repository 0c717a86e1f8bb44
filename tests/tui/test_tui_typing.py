"""What is typed fast, or sent over a slow line: each key goes to the screen that the one before it led to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual import events

from tui.app import GatekeeperApp
from tui.screens.keys_screen import KeysScreen
from tui.screens.spend_screen import SpendScreen

# What is typed in one burst, `⏎` enter and `⎋` escape, and what is seen then.
BURSTS = {
    "4nweb-shop": "web-shop",
    "4/chat⏎": "/ chat",
    "3tyc": "yesterday",
    "3t7i": "last 7 days · per 2 hours",
    "?⎋4i⎋nabc": "abc",
    "4e⎋nabc": "abc",
    "4d⎋nxyz": "xyz",
}


# Keys that move, in one burst on a low screen; what is seen then, and what is not any more.
MOVES = {
    "a list": (["4", "ctrl+d"], "▶0193f000", "▶nightly-eval"),
    "a list, and back": (["4", "ctrl+d", "ctrl+u"], "▶nightly-eval", "▶0193f000"),
    "help, to its end": (["?", *["ctrl+d"] * 7], "thoughts included", "on this screen"),
    "help, and back": (["?", *["ctrl+d"] * 7, *["ctrl+u"] * 7], "on this screen", "thoughts included"),
    "the palette": (["ctrl+p", "ctrl+n", "ctrl+n", "up"], "▶", "▶Open"),
}


def test_every_key_that_moves_does(play: Callable[..., None]) -> None:
    async def script(stage: Any) -> None:
        async def moved(keys: list[str], seen: str, missed: str) -> None:
            await stage.reopen(KeysScreen)
            await stage.press("1")
            if keys[0] == "4":
                await stage.press("4")
                await stage.sees("old-script")
            await stage.press(*keys)
            await stage.sees(seen)
            assert missed not in stage.text()
            await stage.press("escape")

        await stage.each(MOVES.values(), moved)

    play(script, start=GatekeeperApp, size=(80, 12))


def test_ctrl_q_ends_it_in_a_dialog_too(play: Callable[..., None]) -> None:
    async def script(stage: Any) -> None:
        await burst(stage, "4nabc")
        await stage.sees("New key")
        await stage.press("ctrl+q")
        await stage.until(lambda: stage.app._exit, "the end")

    play(script)


async def burst(stage: Any, text: str) -> None:
    names = {"⏎": "enter", "⎋": "escape"}
    await stage.press(*(names.get(char, char) for char in text))


def test_nothing_typed_in_one_burst_is_lost(play: Callable[..., None]) -> None:
    async def script(stage: Any) -> None:
        async def typed(text: str, seen: str) -> None:
            await stage.reopen(SpendScreen, KeysScreen)
            await stage.press("1")
            await burst(stage, text)
            await stage.sees(seen)

        await stage.each(BURSTS.items(), typed)

    play(script, start=GatekeeperApp)


def test_a_key_that_arrives_while_the_application_ends_is_dropped(gateway: Callable[..., Any]) -> None:
    async def run() -> None:
        async with gateway({}) as served:
            app = GatekeeperApp(served.url)
            async with app.run_test():
                pass
            # Its screens are gone; only then its worker is.
            app.keyboard.typed(events.Key("j", "j"))
            typing = asyncio.create_task(app.keyboard.run())
            await asyncio.wait(
                {typing, asyncio.create_task(app.keyboard.idle())}, return_when="FIRST_COMPLETED"
            )
            assert typing.cancel(), typing.exception()

    asyncio.run(run())
