"""What the gateway's stream brings, as messages to a screen. The worker posts these and touches no widget.

Events are handed on in batches: a screen drawn more often than 10 times a second is no easier to read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from gatekeeper.client import admin_api
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import StreamEvent

# A screen drawn more often is no easier to read.
BATCH_SECONDS = 0.1
Post = Callable[[Message], object]


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


async def follow(client: Client, q: str | None, post: Post) -> None:
    """Posts `Connected`, `Arrived` and `Lost` until cancelled."""
    batch = Batch(post)
    try:
        await admin_api.follow(client, q, batch)
    finally:
        batch.flush()
