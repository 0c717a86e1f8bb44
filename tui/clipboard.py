"""Copies text to where the person's terminal can paste it from.

OSC 52 asks the terminal itself, through ssh too; inside tmux the text also goes into tmux's own buffer, as
tmux passes OSC 52 on only where it is told to.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable

TMUX = ("tmux", "load-buffer", "-")


async def copy(text: str, ask_terminal: Callable[[str], None]) -> str:
    """Copies, and says in a few words where to. `ask_terminal` sends OSC 52."""
    ask_terminal(text)
    if "TMUX" not in os.environ or not await load_tmux(text):
        return "copied to the clipboard, if the terminal lets it (OSC 52)"
    return "copied to tmux's buffer, and to the clipboard if the terminal lets it (OSC 52)"


async def load_tmux(text: str) -> bool:
    """Puts it into tmux's newest buffer, through a pipe: arguments would show in the list of processes."""
    try:
        process = await asyncio.create_subprocess_exec(*TMUX, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return False
    await process.communicate(text.encode())
    return process.returncode == 0
