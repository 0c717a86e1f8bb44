"""What works everywhere: digits, help, palette, quitting, what the header says, and who may import whom."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import BadRequest, Unreachable
from gatekeeper.client.call_stream import backoff
from tui import session
from tui.app import GatekeeperApp
from tui.session import Connected, Disconnected, EventsReceived

SECRET = "sk-master-0123456789"


def test_the_digits_go_to_the_screens(play):
    async def script(stage):
        await stage.sees("6 calls")
        for key, told in (
            ("3", "Spend by tag"),
            ("4", "text in alias"),
            ("2", "6 calls"),
            ("5", "newest 200 changes"),
            ("1", "fullest budgets"),
        ):
            await stage.press(key)
            await stage.sees(told)

    play(script)


def test_help_names_every_key_by_where_it_works(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("question_mark")
        await stage.sees("on this screen")
        await stage.press("escape")
        await stage.sees("6 calls")
        await stage.resize(80, 24)
        await stage.press("4", "question_mark")
        await stage.sees("Help: Keys")
        assert "signs" not in stage.text()
        await stage.press("pagedown", "j", "G")
        await stage.sees("no price is known")
        await stage.press("g")
        await stage.sees("on this screen")
        await stage.press("q")
        await stage.sees("5 keys")
        await stage.press("q")
        await stage.until(lambda: not stage.app.is_running, "it to quit")

    play(script, size=(120, 40))


def test_q_leaves_a_detail_or_a_dialog_and_quits_only_then(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "enter")
        await stage.sees("POST /v1beta")
        await stage.press("q")
        await stage.sees("6 calls")
        await stage.press("4")
        await stage.sees("5 keys")
        await stage.press("b")
        await stage.sees("Block nightly-eval?")
        await stage.press("q")
        await stage.misses("Block nightly-eval?")
        assert not stage.gateway.asked("/key/block")
        # In a field it is text.
        await stage.press("slash", "q")
        await stage.sees("/ q")
        await stage.press("escape")
        await stage.press("q")
        await stage.until(lambda: not stage.app.is_running, "it to quit")

    play(script)


def test_the_palette_has_first_what_works_here_and_what_was_used_last(play):
    async def script(stage):
        await stage.sees("6 calls")
        # What is typed right after the key is not lost.
        await stage.press("ctrl+p", *"ke zzz")
        await stage.sees("No action has all these words")
        await stage.press(*["backspace"] * 6)
        await stage.press(*"spend by")
        await stage.press("enter")
        await stage.sees("Spend by model")
        await stage.press("ctrl+p")
        await stage.sees("▶By tag")
        await stage.press("escape")
        await stage.misses("what to do")

    play(script, size=(80, 24))


def test_what_is_shown_of_keys_can_be_clicked(play):
    async def click(stage, text):
        row, line = next(item for item in enumerate(stage.text().split("\n")) if text in item[1])
        await stage.pilot.click(offset=(line.index(text) + 1, row))
        await stage.settle()

    async def script(stage):
        await stage.sees("6 calls")
        await click(stage, "4 Keys")
        await stage.sees("5 keys")
        # The first click selects, the second opens.
        await click(stage, "intern-bot")
        await stage.sees("▶intern-bot")
        await click(stage, "b block")
        await stage.sees("Block intern-bot?")
        await click(stage, "esc no")
        await stage.misses("Block intern-bot?")
        await click(stage, "? help")
        await stage.sees("Help: Keys")
        await stage.press("q", "ctrl+p")
        await stage.sees("what to do")
        await click(stage, "Go to Spend")
        await stage.sees("Spend by tag")

    play(script, size=(100, 40))


def test_the_master_key_is_asked_for_and_never_shown(gateway):
    async def run():
        async with gateway({"GET /calls/stream": (401, {}), "GET /calls": (401, {})}) as served:
            app = GatekeeperApp(served.url, SECRET)
            async with app.run_test(size=(120, 30)) as pilot:
                seen = ""
                while "does not accept the key" not in seen:
                    await pilot.pause(0.01)
                    seen = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
                    assert SECRET not in seen

    asyncio.run(asyncio.wait_for(run(), 5))


def test_an_address_that_is_none_is_refused_before_anything_is_drawn():
    with pytest.raises(BadRequest, match="is not an address of a gateway"):
        GatekeeperApp("localhost:4000")


def test_it_knows_nothing_of_the_gateways_insides():
    """By what is loaded: of the gateway's package nothing but the client, and nothing of what it runs on."""
    asked = (
        "import sys, tui.app\n"
        "tui.app.GatekeeperApp('http://127.0.0.1:1')\n"
        "inside = {name for name in sys.modules if name.startswith('gatekeeper.')}\n"
        "client = {name for name in inside if name.startswith('gatekeeper.client')}\n"
        "print((inside - client) | {'trio', 'duckdb', 'h2'} & set(sys.modules))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert told.stdout.strip() == "set()"


def test_it_is_drawn_without_colours_where_they_are_not_wanted():
    """In a process of its own: the toolkit reads the variable when it is loaded."""
    asked = (
        "import asyncio\n"
        "from tui.app import GatekeeperApp\n"
        "async def run():\n"
        "    app = GatekeeperApp('http://127.0.0.1:1')\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.pause()\n"
        "        strips = app.screen._compositor.render_strips()\n"
        "        styles = [piece.style for strip in strips for piece in strip if piece.style]\n"
        "        print({style.color.name for style in styles if style.color})\n"
        "asyncio.run(run())\n"
    )
    env = {**os.environ, "NO_COLOR": "1"}
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=env)
    assert told.stdout.strip() == "{'default'}"


def test_waits_grow_and_stay_short():
    waits = backoff()
    assert [next(waits) for _ in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]


def test_events_come_in_batches_between_connected_and_lost(gateway):
    posted = []

    async def run():
        heard, lost = asyncio.Event(), asyncio.Event()

        def post(message):
            posted.append(message)
            if isinstance(message, EventsReceived) and message.events[-1].value.id == "49":
                heard.set()
            if isinstance(message, Disconnected):
                lost.set()

        async with gateway() as served, Client(served.url) as client:
            following = asyncio.create_task(session.post_events(client, None, post))
            await served.streaming.wait()
            for number in range(50):
                served.publish("call.started", {"id": str(number)})
            await heard.wait()
            await served.stop()
            await lost.wait()
            following.cancel()

    asyncio.run(asyncio.wait_for(run(), 5))
    batches = [item.events for item in posted if isinstance(item, EventsReceived)]
    assert isinstance(posted[0], Connected)
    assert [event.value.id for events in batches for event in events] == [str(number) for number in range(50)]
    assert len(batches) <= 3
    assert isinstance(posted[-1].error, Unreachable)
    assert posted[-1].wait == 0.5


def test_help_and_palette_look_as_they_should(play, pictures):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("question_mark")
        await stage.sees("on this screen")
        await pictures(stage, "help")
        await stage.press("escape", "ctrl+p")
        await stage.sees("what to do")
        await pictures(stage, "palette")

    play(script)
