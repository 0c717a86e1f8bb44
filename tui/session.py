"""The session with the gateway, shared by all screens: the state of the connection, and the events of the
gateway's stream as Textual messages. The worker that reads the stream posts these and does not access
widgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from textual.message import Message

from gatekeeper.client import call_stream
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import GatewayInfo
from gatekeeper.client.call_types import StreamEvent
from gatekeeper.client.columns import State, TextRole
from gatekeeper.client.formats import local_now

# States of the connection to the gateway.
CONNECTING = State("◌", "connecting", TextRole.PENDING)
LIVE = State("●", "live", TextRole.SUCCESS)
OFFLINE = State("✗", "offline", TextRole.ERROR)

# A screen that is redrawn more often is not easier to read.
BATCH_SECONDS = 0.1
Post = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Tab:
    """The tab of a main screen: digit key, name, title, and description in help. The digits are stable."""

    key: str
    name: str
    title: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What the header shows on every screen: calls and errors of the last minute, and today's spend in USD,
    in the gateway's zone (None where it is unknown)."""

    calls_per_minute: int
    errors_per_minute: int
    spend_today: Decimal | None


@dataclass
class Session:
    """The connection's state, and its error if there is one; the document of `GET /`; the tabs of all main
    screens; the figures of the header, None until they are known."""

    client: Client
    clock: Callable[[], datetime] = local_now
    connection: State = CONNECTING
    connection_error: str = ""
    gateway: GatewayInfo = field(default_factory=GatewayInfo)
    tabs: tuple[Tab, ...] = ()
    figures: Figures | None = None
    finished_calls: int = 0
    """Grows whenever calls have finished, and with each connection: then sums that were loaded are old."""

    @property
    def zone(self) -> tzinfo:
        """The zone of the gateway's days and hours; UTC until it is known."""
        try:
            return ZoneInfo(self.gateway.timezone) if self.gateway.timezone else UTC
        except (KeyError, ValueError, OSError):
            # This machine's tz database lacks it; the labels of days come from the gateway anyway.
            return UTC

    @property
    def other_zone(self) -> str:
        """The name of that zone if its offset differs from this machine's."""
        now = self.clock()
        same = now.astimezone().utcoffset() == now.astimezone(self.zone).utcoffset()
        return "" if same else self.gateway.timezone

    @property
    def address(self) -> str:
        """The address of the gateway, without its scheme."""
        return self.client.url.partition("://")[2]


@dataclass
class Connected(Message):
    """The stream is open: every call that ends from now on will be received."""


@dataclass
class EventsReceived(Message):
    """The events since the last message of this kind, in order."""

    events: list[StreamEvent]


@dataclass
class Disconnected(Message):
    """The stream ended; the next attempt is in `wait` seconds."""

    error: ApiError
    wait: float


class EventBatcher:
    """Collects events and posts them together, `BATCH_SECONDS` after the first."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._events: list[StreamEvent] = []
        self._timer: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        self._post(Connected())

    def received(self, event: StreamEvent) -> None:
        self._events.append(event)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def disconnected(self, error: ApiError, wait: float) -> None:
        # Earlier events are posted first, or they would seem to come from the next connection.
        self.flush()
        self._post(Disconnected(error, wait))

    def flush(self) -> None:
        """Posts the collected events now."""
        if self._timer:
            # Otherwise it would end the next batch too early.
            self._timer.cancel()
            self._timer = None
        if self._events:
            self._post(EventsReceived(self._events))
            self._events = []


async def post_events(client: Client, q: str | None, post: Post) -> None:
    """Posts `Connected`, `EventsReceived` and `Disconnected` until cancelled."""
    batch = EventBatcher(post)
    try:
        await call_stream.listen(client, q, batch)
    finally:
        batch.flush()
