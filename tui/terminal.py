"""The user's terminal: its colours, styled text, and its clipboard.

Colours are the terminal's own foreground and background, one accent, four meanings. Other themes
work too, as widgets name colours by their role only.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Iterable

from textual.app import App
from textual.content import Content
from textual.theme import Theme

from gatekeeper.client.formats import TextRole, sanitized

TMUX = ("tmux", "load-buffer", "-")
THEME = Theme(
    name="gatekeeper",
    ansi=True,
    # The terminal's own cyan, so that it fits its background.
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


def styled_cells(cells: Iterable[tuple[str, TextRole]]) -> Content:
    """Texts with their roles as one line."""
    return Content.assemble(*((sanitized(text), STYLES[role]) for text, role in cells))


def styled_text(text: str, role: TextRole = TextRole.PLAIN) -> Content:
    """One text with its role."""
    return styled_cells([(text, role)])


def lines(rows: Iterable[Iterable[tuple[str, TextRole]]]) -> Content:
    """Several lines of such texts."""
    return Content("\n").join(styled_cells(row) for row in rows)


class ClipboardApp(App[None]):
    """An application whose screens can copy to the clipboard."""

    async def copy(self, text: str) -> str:
        """Copies the text; returns a few words that say where to."""
        return await copy(text, self.copy_to_clipboard)


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
