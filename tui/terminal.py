"""The person's terminal: its colours, text drawn in them, and its clipboard.

Colours are the terminal's own foreground and background, one accent, four meanings. Another theme chosen in
the palette works too, as widgets name colours by their meaning only.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Iterable

from textual.app import App
from textual.content import Content
from textual.theme import Theme

from gatekeeper.client.formats import Tone, harmless

TMUX = ("tmux", "load-buffer", "-")
THEME = Theme(
    name="gatekeeper",
    ansi=True,
    # The terminal's own cyan, so that it fits whatever ground the terminal has.
    primary="ansi_cyan",
    accent="ansi_cyan",
    # Okabe and Ito's palette, which people with any colour vision tell apart. Terminals with 16 colours show
    # the nearest that they have.
    secondary="#56B4E9",
    success="#009E73",
    warning="#E69F00",
    error="#D55E00",
    # The terminal's own, light or dark.
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_cyan",
        "input-selection-background": "ansi_cyan",
        "input-selection-foreground": "ansi_black",
    },
)

# By meaning, so that another theme can be chosen.
STYLES = {
    Tone.PLAIN: "",
    Tone.FAINT: "dim",
    Tone.ACCENT: "bold $accent",
    Tone.FINE: "$success",
    Tone.WAITING: "$secondary",
    Tone.LIMIT: "$warning",
    Tone.ERROR: "$error",
}


def toned(cells: Iterable[tuple[str, Tone]]) -> Content:
    """Texts with their tones as one line."""
    return Content.assemble(*((harmless(text), STYLES[tone]) for text, tone in cells))


def told(text: str, tone: Tone = Tone.PLAIN) -> Content:
    """One text with its tone."""
    return toned([(text, tone)])


def lines(rows: Iterable[Iterable[tuple[str, Tone]]]) -> Content:
    """Lines of them, below each other."""
    return Content("\n").join(toned(row) for row in rows)


class Shell(App[None]):
    """Shows screens, and copies for them."""

    async def copy(self, text: str) -> str:
        """Copies, and says in a few words where to."""
        return await copy(text, self.copy_to_clipboard)


async def copy(text: str, ask_terminal: Callable[[str], None]) -> str:
    """To where the person's terminal can paste it from, and says where; `ask_terminal` sends OSC 52."""
    # OSC 52 asks the terminal itself, through ssh too. tmux passes it on only where it is told to, so inside
    # tmux the text also goes into tmux's own buffer.
    ask_terminal(text)
    if "TMUX" not in os.environ or not await load_tmux(text):
        return "copied to the clipboard, if the terminal lets it (OSC 52)"
    return "copied to tmux's buffer, and to the clipboard if the terminal lets it (OSC 52)"


async def load_tmux(text: str) -> bool:
    """Puts it into tmux's newest buffer, through a pipe: arguments would show in the list of processes."""
    try:
        # Its words go nowhere: they would be written over the screen.
        process = await asyncio.create_subprocess_exec(*TMUX, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return False
    await process.communicate(text.encode())
    return process.returncode == 0
