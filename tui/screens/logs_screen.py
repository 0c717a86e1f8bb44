"""The Logs screen: live calls at the bottom, older ones above, filtered by the line on top."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError, BadRequest, NotFound
from gatekeeper.client.api_types import Calls
from gatekeeper.client.formats import TextRole
from gatekeeper.client.stream_events import StreamGap, StreamTick
from tui.screens.call_screen import CallScreen
from tui.screens.main_screen import EmptyState, MainScreen, curl, welcome
from tui.session import Connected, Disconnected, EventsReceived, Session, Tab, post_events
from tui.terminal import styled_text
from tui.widgets.filter_line import FilterLine, similar_calls_filter
from tui.widgets.log import CAPACITY, LogView
from tui.widgets.rows import Rows

PAGE_SIZE = 200
OLDER_PAGE_SIZE = 1000
MAX_REFRESHED = 100
RELOAD_SECONDS = 5
POLL_SECONDS = 1.0
# Visible calls in flight that are requested each time.
MAX_POLLED = 8


class LogsScreen(MainScreen):
    """Keeps the stream open while another screen is shown, so that no event is missed."""

    TAB = Tab("2", "logs", "Logs", "Logs")
    HINT = "key:ALIAS  model:gemini-2.5*  tag:a,b  status:4xx  cost:>0.01  lat:>2s  since:1h  or any text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_id", "copy id"),
        Binding("m", "similar", "more like this"),
        Binding("escape", "back", "back", show=False),
    ]
    DEFAULT_CSS = """
    LogsScreen #paused {
        height: 1;
        padding: 0 1;
        text-align: right;
        color: $secondary;
    }
    LogsScreen.-empty LogView { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._q = ""
        self._older: str | None = None
        self._loaded = False
        self._partial = False
        self._error: ApiError | None = None
        self._in_flight: int | None = None
        self._lost_at: datetime | None = None
        self._back_to: str | None = None

    def show_connection(self) -> None:
        super().show_connection()
        self._update_status()

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield LogView(self.session.clock)
        yield Static(id="paused")

    def on_mount(self) -> None:
        self._update_status()
        self._follow()
        self.apply_filter("")
        self.set_interval(POLL_SECONDS, self._poll_running)

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def rows(self) -> Rows:
        return self.log_view

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def _follow(self) -> None:
        """Opens the stream for the current filter; the previous one is closed."""
        # Posted to the log, not to this screen: messages bubble up, so that both receive them.
        events = post_events(self.session.client, self._q or None, self.log_view.post_message)
        self.run_worker(events, group="events", exclusive=True)

    def show_calls(self, q: str, back_to: str | None) -> None:
        """Applies a filter; esc goes back to the screen `back_to`, if given."""
        self._back_to = back_to
        self.apply_filter(q)

    @work(exclusive=True, group="filter")
    async def apply_filter(self, q: str) -> None:
        """Shows the calls that match a filter. An invalid one is marked, and the shown calls stay."""
        try:
            page = (await self.session.client.calls(q or None, limit=PAGE_SIZE)).value
        except ApiError as error:
            self.show_load_error(error)
            if not isinstance(error, BadRequest) and not self.is_loaded:
                self.set_timer(RELOAD_SECONDS, lambda: self.apply_filter(q))
        else:
            self._show(q, page)

    def show_empty_error(self, error: ApiError) -> None:
        self._error = error
        self._update_status()

    def _show(self, q: str, page: Calls) -> None:
        self.filter_line.set_applied(q)
        if q != self._q:
            # Another filter is another stream: the current lines may not match it.
            self._q = q
            self.log_view.clear()
            self._follow()
        self._add_newest_page(page)
        self.log_view.focus()

    def _add_newest_page(self, page: Calls) -> None:
        """Adds the newest page of calls that match the filter."""
        self._loaded, self._older, self._partial = True, page.next_cursor, page.partial
        self.log_view.add_calls(page.calls)

    @on(LogView.OlderRequested)
    def _read_older(self) -> None:
        # A page that would be trimmed at once is not loaded.
        if self._older and len(self.log_view.buffer) + OLDER_PAGE_SIZE <= CAPACITY:
            self._fetch_older(self._older)

    @work(exclusive=True, group="older")
    async def _fetch_older(self, cursor: str) -> None:
        # One page at a time: no second request until it has arrived.
        self._older = None
        try:
            page = (
                await self.session.client.calls(self._q or None, limit=OLDER_PAGE_SIZE, cursor=cursor)
            ).value
        except ApiError as error:
            self._older = cursor
            self.show_error(error)
        else:
            self._older = page.next_cursor
            self.log_view.add_calls(page.calls)

    @on(Connected)
    def _connected(self) -> None:
        if self._lost_at:
            away = f"{formats.clock(self._lost_at)} to {formats.clock(self.session.clock())}"
            self.log_view.add_marker(f"disconnected {away}; missed calls were loaded from the ledger")
            self._lost_at = None
        self._catch_up()

    @on(Disconnected)
    def _disconnected(self) -> None:
        self._in_flight = None
        if self._loaded:
            # Of several failed attempts the first one is the time of the loss.
            self._lost_at = self._lost_at or self.session.clock()
        self._update_status()

    @work(exclusive=True, group="catch up")
    async def _catch_up(self) -> None:
        """Loads calls that ended before the stream was open, and refreshes those whose end was missed."""
        # A copy: calls that start during the request are received by the stream.
        before = list(self.log_view.buffer)
        try:
            page = (await self.session.client.calls(self._q or None, limit=PAGE_SIZE)).value
            if self._loaded:
                self.log_view.add_calls(page.calls)
            else:
                self._add_newest_page(page)
            # In flight as far as the log knows; some ended while disconnected.
            unsure = [line.call.id for line in before if line.call and line.in_flight]
            for call_id in unsure[-MAX_REFRESHED:]:
                await self._refresh_call(call_id)
        except ApiError as error:
            self.show_error(error)

    async def _refresh_call(self, id: str) -> None:  # noqa: A002 - the API's name
        try:
            self.log_view.add_calls([(await self.session.client.call(id)).value])
        except NotFound:
            self.log_view.drop(id)

    def _poll_running(self) -> None:
        """Requests the progress of long calls: the stream has only the start and the end of a call."""
        if (
            self.is_current
            and not self.session.connection_error
            and (ids := self.log_view.running(POLL_SECONDS))
        ):
            self._refresh_running_calls(ids[-MAX_POLLED:])

    @work(exclusive=True, group="running")
    async def _refresh_running_calls(self, ids: list[str]) -> None:
        for id in ids:  # noqa: A001 - the API's name
            try:
                call = (await self.session.client.call(id)).value
            except ApiError:
                # It has just ended, or the connection broke: the stream reports either.
                return
            if self.log_view.buffer.get(id):
                self.log_view.add_calls([call])

    @on(EventsReceived)
    def _events_received(self, message: EventsReceived) -> None:
        ticks = [event.value for event in message.events if isinstance(event, StreamTick)]
        if ticks:
            self._in_flight = ticks[-1].in_flight
            self._update_status()
        if any(isinstance(event, StreamGap) for event in message.events):
            self._catch_up()

    @on(LogView.Changed)
    def _update_status(self) -> None:
        """Updates counts, pause notice and empty text to the content of the log."""
        log = self.log_view
        partial_note = "older calls unavailable · " if self._partial else ""
        more = "newest " if self._older or log.buffer.trimmed else ""
        known = self._loaded or log.buffer.calls > 0
        calls = formats.pluralized(log.buffer.calls, "call") if known else ""
        running = "" if self._in_flight is None else f" · {self._in_flight:,} in flight"
        self.filter_line.show_found(f"{partial_note}{more}{calls}{running}")
        paused = "" if log.following else f"❚❚ paused  {log.unseen:,} new  (G follows)"
        self.query_one("#paused", Static).update(paused)
        empty = not len(log.buffer)
        self.show_empty(empty, self._empty_text() if empty else Content(""))

    def _empty_text(self) -> Content:
        """The text shown instead of calls where there are none."""
        if self.session.connection_error:
            return Content.styled("Nothing to show until the gateway responds.", "dim")
        if self._error and not self._loaded:
            return styled_text(f"✗ {self._error}", TextRole.ERROR)
        if not self._loaded:
            return Content.styled("◌ loading the latest calls…", "$secondary")
        if self._q:
            return Content("No call matches this filter. New ones appear here at once.\n\nesc clears it")
        return welcome(self.session)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self._back_to = None
        self.apply_filter(message.text)

    @on(LogView.RowActivated)
    def _open(self) -> None:
        if call := self.log_view.selected:
            self.app.push_screen(CallScreen(self.session, call.id))

    def action_copy_id(self) -> None:
        if call := self.log_view.selected:
            self.copy(call.id, f"id {formats.short_id(call.id)}")
        elif self._loaded and not self._q:
            self.copy(curl(self.session), "the command")

    def action_similar(self) -> None:
        if call := self.log_view.selected:
            self.apply_filter(similar_calls_filter(call))
        else:
            self.show_status("There is no call under the cursor.", TextRole.WARNING)

    async def action_back(self) -> None:
        back_to, self._back_to = self._back_to, None
        if self._q:
            self.apply_filter("")
        if back_to:
            await self.app.run_action(f"app.switch_mode('{back_to}')")
