"""Follows the gateway's stream for as long as it is let, through lost connections and restarts.

It resumes after the last event seen, so that nothing is lost or told twice; where the gateway no longer has
what came between, its `gap` event says so. Events are handed on in batches: a screen drawn more often than 10
times a second is no easier to read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from itertools import chain, repeat

from textual.message import Message

from tui.client import Client
from tui.documents import StreamEvent
from tui.errors import ApiError, Unreachable
from tui.messages import Arrived, Connected, Lost

BATCH_SECONDS = 0.1
Post = Callable[[Message], object]


def backoff() -> Iterator[float]:
    """Seconds to wait before each new try; a gateway that restarts is back within the first few."""
    return chain((0.5, 1.0, 2.0, 4.0), repeat(8.0))


class Batch:
    """Gathers events and posts them together, `BATCH_SECONDS` after the first."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._events: list[StreamEvent] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, event: StreamEvent) -> None:
        self._events.append(event)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def flush(self) -> None:
        """Posts what there is, now."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._events:
            self._post(Arrived(self._events))
            self._events = []


async def follow(client: Client, q: str | None, post: Post) -> None:
    """Posts `Connected`, `Arrived` and `Lost` until cancelled."""
    waits, last_id = backoff(), None

    def opened() -> None:
        nonlocal waits
        waits = backoff()
        post(Connected())

    batch = Batch(post)
    while True:
        error: ApiError = Unreachable(f"The gateway at {client.url} has ended the connection.")
        try:
            async with aclosing(client.stream(q, last_id, opened)) as events:
                async for event in events:
                    last_id = event.id or last_id
                    batch.add(event)
        except ApiError as caught:
            error = caught
        finally:
            batch.flush()
        wait = next(waits)
        post(Lost(error, wait))
        await asyncio.sleep(wait)
