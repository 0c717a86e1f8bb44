"""What all screens share: the session with the gateway, and the application as they know it.

Of the application a screen knows that it shows screens and copies, and not which screens there are.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from textual.app import App

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import Gateway
from gatekeeper.client.formats import State, Tone, local_now

# How the connection to the gateway stands.
CONNECTING = State("◌", "connecting", Tone.WAITING)
LIVE = State("●", "live", Tone.FINE)
OFFLINE = State("✗", "offline", Tone.ERROR)

TMUX = ("tmux", "load-buffer", "-")


@dataclass(frozen=True, slots=True)
class Tab:
    """A main screen as others know it: the digit that leads there, its name, its title, and how help says it.
    The digits are for good."""

    key: str
    name: str
    title: str
    meaning: str


@dataclass
class Session:
    """`link` is how the connection stands, `trouble` what to tell of it, `gateway` what it says of itself,
    `tabs` are all main screens."""

    client: Client
    clock: Callable[[], datetime] = local_now
    link: State = CONNECTING
    trouble: str = ""
    gateway: Gateway = field(default_factory=Gateway)
    tabs: tuple[Tab, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """The zone of the gateway's days and hours; UTC as long as it is not known."""
        try:
            return ZoneInfo(self.gateway.timezone) if self.gateway.timezone else UTC
        except (KeyError, ValueError, OSError):
            # What this machine's list of zones does not have; the gateway names its days itself.
            return UTC

    @property
    def other_zone(self) -> str:
        """The name of that zone where its clocks are not those of this machine."""
        now = self.clock()
        same = now.astimezone().utcoffset() == now.astimezone(self.zone).utcoffset()
        return "" if same else self.gateway.timezone

    @property
    def place(self) -> str:
        """Where the gateway is, as short as it can be said."""
        return self.client.url.partition("://")[2]


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
