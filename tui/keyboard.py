"""What is typed, one key after the other: each is received by the screen that the key before it led to.

Textual sends a key to the widget that has the focus when the key arrives. Keys that arrive together, typed
fast or sent over a slow line, would all go to the same widget, although the first of them opens a dialog or
changes the focus. Here a key waits until that has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

Typed = events.Key | events.Paste
# A key does not wait any longer for a widget that is busy.
PATIENCE_SECONDS = 1.0
# A submitted text is told by the input to itself, then to the line around it, which tells its screen.
ROUNDS = 3
# Steps of the event loop in which a worker that the key has started, or a dialog that it has closed, goes on:
# it opens its dialog, or does what was chosen, without waiting for anything.
STEPS = 10


class Keyboard:
    """Passes on what is typed to `pass_on`, in order."""

    def __init__(self, app: App[None], pass_on: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._pass_on = pass_on
        self._typed: asyncio.Queue[Typed] = asyncio.Queue()

    def typed(self, event: Typed) -> None:
        self._typed.put_nowait(event)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            event = await self._typed.get()
            # While the application ends, there is no screen.
            if self._app.screen_stack:
                await self._pass_on(event)
            await self._taken_effect()
            self._typed.task_done()

    async def idle(self) -> None:
        """Returns once all that was typed has taken effect."""
        await self._typed.join()

    async def _taken_effect(self) -> None:
        """Until the widgets that receive the key have done with it, and a screen that it opens is up."""
        for _ in range(ROUNDS):
            app = self._app
            if not app.screen_stack:
                return
            receiver = app.focused or app.screen
            for node in receiver.ancestors_with_self:
                await caught_up(node)
            for _ in range(STEPS):
                await asyncio.sleep(0)


async def caught_up(node: MessagePump) -> None:
    """Until the node has handled the messages that it has by now."""
    done = asyncio.Event()
    if node.call_later(done.set):
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which takes no notice of a cancellation once the other is done.
            async with asyncio.timeout(PATIENCE_SECONDS):
                await done.wait()
