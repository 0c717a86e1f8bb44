"""The listener of `gatekeeper calls tail`: prints each call once, as it ends, also across restarts of the
gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gatekeeper.cli.output import print_note
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError, ServerError, Unreachable
from gatekeeper.client.call_stream import SeenCalls, missed_calls
from gatekeeper.client.call_types import CallFinished, CallStarted, StreamEvent, StreamGap
from gatekeeper.client.formats import pluralized

Print = Callable[[CallFinished], None]


class Tail:
    """Listens to the stream of a filter. After a gap the calls in it are printed from the ledger; gaps and
    changes of the connection are reported on stderr."""

    def __init__(self, client: Client, q: str | None, show: Print, titles: Callable[[], None]) -> None:
        """`titles` is called once the connection is open."""
        self._client = client
        self._q = q
        self._show = show
        self._titles = titles
        self._was_connected = False
        self._seen = SeenCalls(time.time())
        # Up to where all is known, while calls after it are looked for.
        self._known: str | None = None
        self._catching_up: asyncio.Task[None] | None = None

    def connected(self) -> None:
        if self._was_connected:
            print_note("Reconnected.")
        else:
            self._titles()
        self._was_connected = True

    def received(self, event: StreamEvent) -> None:
        match event:
            case CallStarted():
                self._seen.starts(event.value)
            case CallFinished():
                if self._seen.ends(event.value):
                    self._show(event)
            case StreamGap():
                # Of the first gap, if there is another before its calls are found: all since then is looked
                # for again.
                self._known = self._known or self._seen.newest
                if self._catching_up:
                    self._catching_up.cancel()
                self._catching_up = asyncio.create_task(self._catch_up(gap_text(event.value.missed)))
            case _:
                pass

    async def caught_up(self) -> None:
        """Returns once the calls of the last gap are printed."""
        if self._catching_up:
            await self._catching_up

    async def _catch_up(self, what: str) -> None:
        printed = 0
        try:
            known, running = self._known or self._seen.newest, list(self._seen.running)
            async for page in missed_calls(self._client, self._q, known, running):
                # Pages are newest first.
                for event in reversed(page):
                    if self._seen.missed(event.value):
                        self._show(event)
                        printed += 1
        except ApiError as error:
            print_note(f"{what}, and could not be read: {error} `gatekeeper calls list` has them.")
        else:
            self._known = None
            print_note(f"{what}: {pluralized(printed, 'call')} printed from the ledger.")

    def disconnected(self, error: ApiError, wait: float) -> None:
        """Raises the error where a retry cannot help, and where the very first connection failed."""
        # A wrong key, name or filter stays wrong, however often the request is repeated.
        if not self._was_connected or not isinstance(error, Unreachable | ServerError):
            raise error
        print_note(f"{error} Retrying in {wait:g} s.")


def gap_text(missed: int | None) -> str:
    if missed is None:
        return "The gateway was restarted; calls that ended meanwhile were missed"
    return f"{pluralized(missed, 'event')} of the stream were missed"
