"""Keeps the header's figures up to date on every screen, at little cost to the gateway.

Calls and errors of the last minute are added up from the stream's ticks, one a second, which count all calls
whatever filter the log has; until a minute of them was received, the gateway's sums are asked for. Today's
spend is always the gateway's sum. It is asked for only after a tick with calls, at most every `POLL_SECONDS`:
the gateway of an idle application does nothing, and can close its analytics file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal

from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.call_types import StreamEvent, StreamTick, Tick
from gatekeeper.client.spend import SpendRow
from tui.session import Figures, Session
from tui.spend.periods import utc_timestamp
from tui.spend.sums import NOW

# Ticks, one a second, of which the figures are the sums.
MINUTE = 60
POLL_SECONDS = 5.0


class HeaderFigures:
    """Updates `Session.figures` and `Session.finished_calls`."""

    def __init__(self, session: Session, on_change: Callable[[], object]) -> None:
        """`on_change` is called whenever the figures are others."""
        self._session = session
        self._on_change = on_change
        self._ticks: deque[Tick] = deque(maxlen=MINUTE)
        self._at_first = SpendRow()
        self._spend: Decimal | None = None
        self._day: date | None = None
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Asks for the sums whenever they are out of date, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._load()
            await asyncio.sleep(POLL_SECONDS)

    def connected(self) -> None:
        """The stream is open, and the gateway's zone is known. Earlier ticks have a gap after them."""
        self._ticks.clear()
        self._day = None
        self._session.finished_calls += 1
        self._wanted.set()

    def disconnected(self) -> None:
        """The figures are those of the past from now on."""
        self._session.figures = None

    def received(self, events: Iterable[StreamEvent]) -> None:
        """Counts the ticks among these events."""
        for tick in (event.value for event in events if isinstance(event, StreamTick)):
            self._ticks.append(tick)
            self._session.finished_calls += tick.calls
            # Before a minute of ticks is complete, the sums of the last minute change by themselves.
            fades = len(self._ticks) < MINUTE and self._at_first.calls > 0
            if tick.calls or tick.errors or fades or self._day != self._today():
                self._wanted.set()
        self._show()

    def _today(self) -> date:
        return self._session.clock().astimezone(self._session.zone).date()

    async def _load(self) -> None:
        """Loads today's spend, and the last minute's calls where ticks do not tell them. Without an answer
        nothing is shown, and the next tick asks again."""
        client, zone = self._session.client, self._session.zone
        try:
            today = self._today()
            midnight = utc_timestamp(datetime.combine(today, time(), zone))
            spent = (await client.spend("none", since=midnight, until=NOW)).value.total
            if len(self._ticks) < MINUTE:
                self._at_first = (await client.spend("none", since="60s", until=NOW)).value.total
        except ApiError:
            return
        self._spend, self._day = spent.known_cost, today
        self._show()

    def _show(self) -> None:
        """Sets the figures, if they are known."""
        if self._day is None:
            return
        calls, errors = self._at_first.calls, self._at_first.errors
        if len(self._ticks) == MINUTE:
            calls, errors = (sum(counts) for counts in zip(*map(counted, self._ticks), strict=True))
        figures = Figures(calls, errors, self._spend)
        if figures != self._session.figures:
            self._session.figures = figures
            self._on_change()


def counted(tick: Tick) -> tuple[int, int]:
    """The calls and errors of a second."""
    return tick.calls, tick.errors
