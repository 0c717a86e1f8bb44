"""What is typed fast, or sent over a slow line: each key goes to the screen that the one before it led to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key

from tui.app import GatekeeperApp

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


async def burst(stage: Any, text: str) -> None:
    names = {"⏎": "enter", "⎋": "escape"}
    for char in text:
        key = names.get(char) or _character_to_key(char)
        stage.app.post_message(events.Key(key, None if char in names else char))
    await stage.settle()


@pytest.mark.parametrize(("text", "seen"), BURSTS.items(), ids=BURSTS)
def test_nothing_typed_in_one_burst_is_lost(play: Callable[..., None], text: str, seen: str) -> None:
    async def script(stage: Any) -> None:
        await burst(stage, text)
        await stage.sees(seen)

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
