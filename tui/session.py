"""The session with the gateway, which all screens share: the state of the connection, and the events of the
gateway's stream as messages. The worker that reads the stream posts these and touches no widget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from textual.message import Message

from gatekeeper.client import admin_api
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import Gateway, StreamEvent
from gatekeeper.client.formats import State, Tone, local_now

# How the connection to the gateway stands.
CONNECTING = State("◌", "connecting", Tone.WAITING)
LIVE = State("●", "live", Tone.FINE)
OFFLINE = State("✗", "offline", Tone.ERROR)

# A screen drawn more often is no easier to read.
BATCH_SECONDS = 0.1
Post = Callable[[Message], object]


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


@dataclass
class Connected(Message):
    """The stream is open: what ends from here on will arrive."""


@dataclass
class Arrived(Message):
    """What the stream brought since the last of these, in its order."""

    events: list[StreamEvent]


@dataclass
class Lost(Message):
    """The stream ended; the next try is `wait` seconds away."""

    error: ApiError
    wait: float


class Batch:
    """Gathers events and posts them together, `BATCH_SECONDS` after the first."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._events: list[StreamEvent] = []
        self._timer: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        self._post(Connected())

    def arrived(self, event: StreamEvent) -> None:
        self._events.append(event)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def lost(self, error: ApiError, wait: float) -> None:
        # What came before the loss is told before it, or it would seem to be news of the next connection.
        self.flush()
        self._post(Lost(error, wait))

    def flush(self) -> None:
        """Posts what there is, now."""
        if self._timer:
            # Or it would go off for the next batch, too early.
            self._timer.cancel()
            self._timer = None
        if self._events:
            self._post(Arrived(self._events))
            self._events = []


async def post_events(client: Client, q: str | None, post: Post) -> None:
    """Posts `Connected`, `Arrived` and `Lost` until cancelled."""
    batch = Batch(post)
    try:
        await admin_api.follow(client, q, batch)
    finally:
        batch.flush()
