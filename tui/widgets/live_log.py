"""The log of the calls that match a filter: loaded from the ledger, continued by the gateway's stream, and
completed from the ledger after each lost connection.

After a gap the calls since the last known one, and those that were in flight, are loaded from the ledger, so
that no line is lost, duplicated, or left in flight for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from textual import on, work
from textual.message import Message

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError, BadRequest
from gatekeeper.client.call_stream import id_term, in_parts, joined, missed_calls
from gatekeeper.client.call_types import Call, Calls, StreamGap, StreamTick
from tui.session import Connected, Disconnected, EventsReceived, Session, post_events
from tui.widgets.log import CAPACITY, LogView

PAGE_SIZE = 200
OLDER_PAGE_SIZE = 1000
RELOAD_SECONDS = 5
POLL_SECONDS = 1.0
# After a gap as many calls are loaded as the log can hold.
MAX_PAGES = CAPACITY // OLDER_PAGE_SIZE


class LiveLog(LogView):
    """Keeps its stream open while another screen is shown, so that no event is missed.

    `error` is why nothing could be loaded so far. `in_flight` counts the gateway's calls, of any filter.
    """

    @dataclass
    class LoadFailed(Message):
        """A filter is invalid, or calls could not be loaded; those shown stay."""

        error: ApiError

    @dataclass
    class FilterApplied(Message):
        """The calls of this filter are shown."""

        q: str

    def __init__(self, session: Session) -> None:
        super().__init__(session.clock)
        self.session = session
        self.q = ""
        self.loaded = False
        self.partial = False
        self.in_flight: int | None = None
        self._older: str | None = None
        self._lost_at: datetime | None = None
        # Up to where all is known, while calls after it are looked for.
        self._newest_before_loss = ""
        # Calls that were neither in flight nor in the ledger when last asked for.
        self._gone: set[str] = set()

    def on_mount(self) -> None:
        self._listen()
        self.set_interval(POLL_SECONDS, self._poll)

    @property
    def newest(self) -> str:
        """The id of the newest call; empty without any."""
        return next((line.call.id for line in reversed(self.buffer) if line.call), "")

    @property
    def oldest(self) -> str:
        """The id of the oldest call; empty without any."""
        return next((line.call.id for line in self.buffer if line.call), "")

    @property
    def has_older(self) -> bool:
        """Whether the ledger has older calls of the filter than the log."""
        return self._older is not None or self.buffer.trimmed

    def _listen(self) -> None:
        """Opens the stream for the current filter; the previous one is closed."""
        # Posted to the log, not to the screen: messages bubble up, so that both receive them.
        events = post_events(self.session.client, self.q or None, self.post_message)
        self.run_worker(events, group="events", exclusive=True)

    @work(exclusive=True, group="filter")
    async def apply_filter(self, q: str) -> None:
        """Shows the calls that match a filter; where that fails, those shown stay."""
        try:
            page = await self._newest(q)
        except ApiError as error:
            self.post_message(self.LoadFailed(error))
            if not isinstance(error, BadRequest) and not self.loaded:
                self.set_timer(RELOAD_SECONDS, lambda: self.apply_filter(q))
        else:
            self._show(q, page)

    async def _newest(self, q: str) -> Calls:
        client = self.session.client
        return (await client.calls(q or None, limit=PAGE_SIZE, running=self.running_only)).value

    def _show(self, q: str, page: Calls) -> None:
        if q != self.q:
            # Another filter is another stream: the current lines may not match it.
            self.q = q
            self.clear()
            self._listen()
        self._add_newest_page(page)
        self.post_message(self.FilterApplied(q))

    def show_running_only(self, running_only: bool) -> None:
        """Shows the calls in flight and no other, or all again."""
        self.running_only = running_only
        self.clear()
        self.apply_filter(self.q)

    def _add_newest_page(self, page: Calls) -> None:
        self.loaded, self.partial = True, page.partial
        # Of calls in flight there are no older ones to be loaded: they would have ended meanwhile.
        self._older = None if self.running_only else page.next_cursor
        self.add_calls(page.calls)

    @on(LogView.OlderRequested)
    def _read_older(self) -> None:
        # A page that would be trimmed at once is not loaded.
        if self._older and len(self.buffer) + OLDER_PAGE_SIZE <= CAPACITY:
            self._fetch_older(self._older)

    @work(exclusive=True, group="older")
    async def _fetch_older(self, cursor: str) -> None:
        # One page at a time: no second request until it has arrived.
        self._older = None
        client = self.session.client
        try:
            page = (await client.calls(self.q or None, limit=OLDER_PAGE_SIZE, cursor=cursor)).value
        except ApiError as error:
            self._older = cursor
            self.post_message(self.LoadFailed(error))
        else:
            self._older = page.next_cursor
            self.add_calls(page.calls)

    @on(Connected)
    def _connected(self) -> None:
        if self._lost_at:
            away = f"{formats.clock(self._lost_at)} to {formats.clock(self.session.clock())}"
            self.add_marker(f"disconnected {away}; missed calls were loaded from the ledger")
            self._lost_at = None
            self._catch_up()
        else:
            # What ended between the first page and the opening of the stream.
            self._read_newest()

    @on(Disconnected)
    def _disconnected(self) -> None:
        self.in_flight = None
        if self.loaded:
            # Of several failed attempts the first one is the time of the loss.
            self._lost_at = self._lost_at or self.session.clock()
            self._newest_before_loss = self._newest_before_loss or self.newest

    @on(EventsReceived)
    def _events_received(self, message: EventsReceived) -> None:
        ticks = [event.value for event in message.events if isinstance(event, StreamTick)]
        if ticks:
            self.in_flight = ticks[-1].in_flight
        if any(isinstance(event, StreamGap) for event in message.events):
            self._catch_up()

    @work(exclusive=True, group="newest")
    async def _read_newest(self) -> None:
        try:
            page = await self._newest(self.q)
        except ApiError as error:
            self.post_message(self.LoadFailed(error))
            return
        if self.loaded:
            self.add_calls(page.calls)
        else:
            self._add_newest_page(page)

    @work(exclusive=True, group="catch up")
    async def _catch_up(self) -> None:
        """Loads what was missed while the stream was not open."""
        if not self.loaded or self.running_only:
            self._read_newest()
            return
        # A copy: calls that start during the requests are received by the stream.
        unsure = [line.call.id for line in self.buffer if line.call and line.in_flight]
        newest = self._newest_before_loss or self.newest
        try:
            pages = missed_calls(self.session.client, self.q or None, newest, unsure, MAX_PAGES)
            async for page in pages:
                oldest = self.oldest if self.has_older else ""
                # Older ones than the log has are loaded when one scrolls there.
                self.add_calls(event.value for event in page if event.value.id >= oldest)
            await self._refresh(unsure)
        except ApiError as error:
            self.post_message(self.LoadFailed(error))
        else:
            self._newest_before_loss = ""

    async def _refresh(self, unsure: list[str]) -> None:
        """The progress of calls in flight. One that is neither in flight any more nor in the ledger, or does
        not match the filter at its end, goes."""
        client = self.session.client
        self._gone.intersection_update(unsure)
        for ids in in_parts([name for name in unsure if (line := self.buffer.get(name)) and line.in_flight]):
            running = (await client.calls(id_term(ids), limit=len(ids), running=True)).value.calls
            gone = set(ids) - {call.id for call in running}
            found = await client.calls(joined(self.q, id_term(gone)), limit=len(ids)) if gone else None
            ended = found.value.calls if found else ()
            self.add_calls([*(call for call in running if self.buffer.get(call.id)), *ended])
            for name in gone - {call.id for call in ended}:
                self._note_gone(name)

    def _note_gone(self, id: str) -> None:  # noqa: A002 - the API's name
        # Between its end and its row the ledger does not have a call, for a second at most.
        if id in self._gone:
            self._gone.discard(id)
            self.drop(id)
        else:
            self._gone.add(id)

    def _poll(self) -> None:
        """Requests the progress of long calls: the stream has only the start and the end of a call."""
        if not self.screen.is_current or self.session.connection_error:
            return
        if self.running_only:
            self._refresh_all_running([line.call for line in self.buffer if line.call])
        elif ids := self.running(POLL_SECONDS):
            self._refresh_running_calls(ids)

    @work(exclusive=True, group="running")
    async def _refresh_running_calls(self, ids: list[str]) -> None:
        # An error is reported by the stream, too.
        with suppress(ApiError):
            await self._refresh(ids)

    @work(exclusive=True, group="running")
    async def _refresh_all_running(self, before: Sequence[Call]) -> None:
        """The progress of all calls in flight, and without those that are not any more."""
        try:
            page = await self._newest(self.q)
        except ApiError:
            # The connection broke: the stream reports it.
            return
        if not self.running_only:
            return
        running = {call.id for call in page.calls}
        oldest = min(running) if page.next_cursor else ""
        for call in before:
            if call.id not in running and call.id >= oldest:
                self.drop(call.id)
        self.add_calls(call for call in page.calls if self.buffer.get(call.id))
