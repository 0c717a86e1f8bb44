"""The user's terminal: styled text, the clipboard, and keyboard input.

Widgets name colours by their role only: one accent, four semantic colours, and the foreground in two
strengths.

Keys are processed one by one: each goes to the screen that the key before it has opened. Textual sends a key
to the widget that has the focus when the key arrives. Keys that arrive together, typed fast or sent over a
slow line, would all go to the same widget, although the first of them opens a dialog or changes the focus.
Here a key waits until that has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Iterable

from textual import events, getters
from textual.app import App
from textual.content import Content
from textual.message_pump import MessagePump
from textual.style import Style
from textual.widgets import Static

from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import sanitized

KEY = "key"
TMUX = ("tmux", "load-buffer", "-")
# By role, so that another theme can be chosen.
STYLES = {
    TextRole.PLAIN: "",
    TextRole.DIM: "dim",
    TextRole.ACCENT: "bold $accent",
    TextRole.SUCCESS: "$success",
    TextRole.PENDING: "$secondary",
    TextRole.WARNING: "$warning",
    TextRole.ERROR: "$error",
}

Typed = events.Key | events.Paste
# A key does not wait any longer for a widget that is busy.
PATIENCE_SECONDS = 1.0
# A submitted text is told by the input to itself, then to the line around it, which tells its screen.
ROUNDS = 3
# Steps of the event loop in which a worker that the key has started, or a dialog that it has closed, goes on:
# it opens its dialog, or does what was chosen, without waiting for anything.
STEPS = 10


def styled_cells(cells: Iterable[tuple[str, TextRole]]) -> Content:
    """Texts with their roles as one line."""
    return Content.assemble(*((sanitized(text), STYLES[role]) for text, role in cells))


def styled_text(text: str, role: TextRole = TextRole.PLAIN) -> Content:
    """One text with its role."""
    return styled_cells([(text, role)])


def lines(rows: Iterable[Iterable[tuple[str, TextRole]]]) -> Content:
    """Several lines of such texts."""
    return Content("\n").join(styled_cells(row) for row in rows)


def update(widget: Static, content: str | Content) -> None:
    """Shows a text, unless it is shown already: Textual would lay out the screen again."""
    if widget.content != content:
        widget.update(content)


def clickable(text: Content, key: str) -> Content:
    """The text, which presses a key when clicked."""
    return text.stylize(Style.from_meta({KEY: key}))


class ClipboardApp(App[None]):
    """An application whose screens can copy to the clipboard, and show keys that can be clicked. Typed keys
    are queued until `keyboard` runs.
    """

    def __init__(self) -> None:
        # Textual evaluates NO_COLOR here, before the theme asks for the terminal's own colours.
        super().__init__(ansi_color=True)
        self.keyboard = Keyboard(self, super().on_event)
        self._parsed_for = ""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            self.keyboard.typed(event)
        else:
            await super().on_event(event)

    def on_click(self, event: events.Click) -> None:
        key = event.style.meta.get(KEY)
        if isinstance(key, str):
            self.simulate_key(key)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual would parse all styles again for each screen that opens. They differ by theme only; see
        `StyledOnce` for screens that were not shown when it changed."""
        if self._parsed_for != self.theme:
            self._parsed_for = self.theme
            super().refresh_css(animate)

    async def go_back(self) -> None:
        """Does what esc does on the current screen: a dialog may ask before it closes."""
        if escape := self.screen.active_bindings.get("escape"):
            await self.run_action(escape.binding.action, escape.node)

    async def copy(self, text: str) -> str:
        """Copies the text; returns a few words that say where to."""
        return await copy(text, self.copy_to_clipboard)


class StyledOnce(MessagePump):
    """A screen whose widgets are styled when they are mounted, and again only after a change of the theme.

    Textual would style all of them whenever the screen is shown: for a form of many fields that takes longer
    than all else that opens it.
    """

    app = getters.app(ClipboardApp)
    _theme = ""

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        event.refresh_styles = self._theme not in ("", self.app.theme)
        self._theme = self.app.theme


async def copy(text: str, ask_terminal: Callable[[str], None]) -> str:
    """Copies the text to the clipboard and says where it is; `ask_terminal` sends OSC 52."""
    # OSC 52 asks the terminal itself, also through ssh. tmux forwards it only if configured to, so inside
    # tmux the text also goes to tmux's own buffer.
    ask_terminal(text)
    if "TMUX" not in os.environ or not await load_tmux(text):
        return "copied to the clipboard, if the terminal permits it (OSC 52)"
    return "copied to tmux's buffer, and to the clipboard if the terminal permits it (OSC 52)"


async def load_tmux(text: str) -> bool:
    """Loads the text into a tmux buffer, through a pipe: arguments are visible in the process list."""
    try:
        # Output is discarded: it would be written over the screen.
        process = await asyncio.create_subprocess_exec(*TMUX, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return False
    await process.communicate(text.encode())
    return process.returncode == 0


class Keyboard:
    """Passes typed keys to `pass_on`, in order."""

    def __init__(self, app: App[None], pass_on: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._pass_on = pass_on
        self._typed: asyncio.Queue[Typed] = asyncio.Queue()

    def typed(self, event: Typed) -> None:
        self._typed.put_nowait(event)

    async def run(self) -> None:
        """Passes on keys until cancelled."""
        while True:
            event = await self._typed.get()
            # While the application ends, there is no screen.
            if self._app.screen_stack:
                await self._pass_on(event)
            await self._taken_effect()
            self._typed.task_done()

    async def idle(self) -> None:
        """Returns once all typed keys have taken effect."""
        await self._typed.join()

    async def _taken_effect(self) -> None:
        """Waits until the widgets that receive the key have processed it, and a screen that it opens is
        shown."""
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
    """Returns once the node has handled the messages in its queue."""
    done = asyncio.Event()
    if node.call_later(done.set):
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which takes no notice of a cancellation once the other is done.
            async with asyncio.timeout(PATIENCE_SECONDS):
                await done.wait()
