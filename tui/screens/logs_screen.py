"""The Logs screen: live calls at the bottom, older ones above, filtered by the line on top; or the filter's
calls in another order, or only those in flight."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.call_types import Call, CallFinished
from gatekeeper.client.columns import TextRole
from gatekeeper.client.curl_text import curl_command
from tui.call_totals import MIN_SECONDS, CallTotals, totals_text
from tui.screens.call_screen import CallScreen
from tui.screens.export_dialogs import ExportCalls
from tui.screens.screen import EmptyState, MainScreen, curl, welcome
from tui.session import EventsReceived, Session, Tab
from tui.terminal import styled_text
from tui.widgets.filter_line import FilterLine, similar_calls_filter
from tui.widgets.live_log import PAGE_SIZE, LiveLog
from tui.widgets.log import LogView
from tui.widgets.rows import Rows
from tui.widgets.sorted_calls import ORDERS, Order, SortedCalls

UNREPEATABLE = "curl cannot repeat this call: it was a Live session or an upload."


class LogsScreen(MainScreen):
    """The log keeps its stream open while another screen is shown."""

    TAB = Tab("2", "logs", "Logs", "Logs")
    HINT = "key:ALIAS  model:gemini-2.5*  tag:a,b  status:4xx  cost:>0.01  lat:>2s  since:1h  or any text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort"),
        Binding("I", "running_only", "in flight"),
        Binding("y", "copy_id", "copy id"),
        Binding("c", "curl", "copy as curl"),
        Binding("m", "similar", "more like this"),
        Binding("e", "export", "export"),
        Binding("escape", "back", "back", show=False),
    ]
    DEFAULT_CSS = """
    LogsScreen #notice {
        height: 1;
        padding: 0 1;
        text-align: right;
        color: $secondary;
    }
    LogsScreen SortedCalls { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._error: ApiError | None = None
        self._back_to: str | None = None
        self._order: Order | None = None
        self._sorted_at = ""
        self._totals = CallTotals(session.client)
        # Whether calls have ended since the totals were requested.
        self._stale = False

    def show_connection(self) -> None:
        super().show_connection()
        self._update_status()

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield LiveLog(self.session)
        yield SortedCalls(self.session)
        yield Static(id="notice")

    def on_mount(self) -> None:
        self._update_status()
        self.apply_filter("")
        self.set_interval(MIN_SECONDS, self._refresh_totals_if_stale)

    @property
    def log_view(self) -> LiveLog:
        return self.query_one(LiveLog)

    @property
    def sorted_calls(self) -> SortedCalls:
        return self.query_one(SortedCalls)

    @property
    def rows(self) -> Rows:
        return self.sorted_calls if self._order else self.log_view

    @property
    def is_loaded(self) -> bool:
        return self.log_view.loaded

    @property
    def selected(self) -> Call | None:
        """The call under the cursor of whichever list is shown."""
        return self.sorted_calls.selected if self._order else self.log_view.selected

    def show_calls(self, q: str, back_to: str | None) -> None:
        """Applies a filter; esc goes back to the screen `back_to`, if given."""
        self._back_to = back_to
        self.apply_filter(q)

    def apply_filter(self, q: str) -> None:
        """Shows the calls that match a filter, live."""
        self._show_live()
        self.log_view.apply_filter(q)

    @on(LiveLog.FilterApplied)
    def _filter_applied(self, message: LiveLog.FilterApplied) -> None:
        self.filter_line.set_applied(message.q)
        if self._order:
            self._load_sorted(self._order)
        self._refresh_totals()

    @on(LiveLog.LoadFailed)
    def _load_failed(self, message: LiveLog.LoadFailed) -> None:
        self.show_load_error(message.error)

    def show_empty_error(self, error: ApiError) -> None:
        self._error = error
        self._update_status()

    @on(EventsReceived)
    def _events_received(self, message: EventsReceived) -> None:
        # Not for the ticks of an idle gateway, which can then close its analytics file.
        self._stale = self._stale or any(isinstance(event, CallFinished) for event in message.events)

    def _refresh_totals_if_stale(self) -> None:
        if self._stale and self.is_current and not self.session.connection_error:
            self._refresh_totals()

    @work(exclusive=True, group="totals")
    async def _refresh_totals(self) -> None:
        if await self._totals.refresh(self.log_view.q):
            self._stale = False
            self._update_status()

    def on_resize(self) -> None:
        self._update_status()

    @on(LogView.Changed)
    def _update_status(self) -> None:
        """Updates counts, notice and empty text to the content of the log."""
        log = self.log_view
        self.filter_line.show_found(self._found_text())
        # One line over the whole width, whatever it says: no other layout.
        self.query_one("#notice", Static).update(self._notice(), layout=False)
        empty = not self._order and not len(log.buffer)
        self.show_empty(empty, self._empty_text() if empty else Content(""))

    def _found_text(self) -> str:
        log = self.log_view
        if not log.loaded and not log.buffer.calls:
            return ""
        partial = "older calls unavailable · " if log.partial else ""
        row = None if log.running_only else self._totals.row
        text = totals_text(row, log.buffer.calls, log.has_older, self.size.width)
        return partial + text + ("" if log.in_flight is None else f" · {log.in_flight:,} in flight")

    def _notice(self) -> str:
        """What the list is, where it is not the live log of all calls."""
        log = self.log_view
        if self._order:
            most = "longest" if self._order.words == "duration" else f"most {self._order.words}"
            return f"▼ {most} first, as of {self._sorted_at}, not live  (s next order, esc live)"
        only = "◌ in flight only  (I all)   " if log.running_only else ""
        return only + ("" if log.following else f"❚❚ paused  {log.unseen:,} new  (G follows)")

    def _empty_text(self) -> Content:
        """The text shown instead of calls where there are none."""
        log = self.log_view
        if self.session.connection_error:
            return Content.styled("Nothing to show until the gateway responds.", "dim")
        if self._error and not log.loaded:
            return styled_text(f"✗ {self._error}", TextRole.ERROR)
        if not log.loaded:
            return Content.styled("◌ loading the latest calls…", "$secondary")
        if log.running_only:
            return Content("No call is in flight. New ones appear here at once.\n\nI all calls")
        if log.q:
            return Content("No call matches this filter. New ones appear here at once.\n\nesc clears it")
        return welcome(self.session)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self._back_to = None
        self.apply_filter(message.text)
        # At once: the next key is meant for the list.
        self.rows.focus()

    @on(Rows.RowActivated)
    def _open(self) -> None:
        if call := self.selected:
            self.app.push_screen(CallScreen(self.session, call.id, self._step))

    def _step(self, by: int) -> str | None:
        """Moves the cursor to the next call, and returns its id; None at the end."""
        rows = self.rows
        before = rows.cursor
        while True:
            last = rows.cursor
            rows.action_move(by)
            # On a marker there is no call: the next one is meant.
            if rows.cursor == last:
                rows.cursor = before
                return None
            if call := self.selected:
                return call.id

    def action_sort(self) -> None:
        number = ORDERS.index(self._order) + 1 if self._order else 0
        if number == len(ORDERS):
            self._show_live()
        else:
            self._load_sorted(ORDERS[number])

    @work(exclusive=True, group="sort")
    async def _load_sorted(self, order: Order) -> None:
        client = self.session.client
        try:
            page = (await client.calls(self.log_view.q or None, limit=PAGE_SIZE, sort=order.sort)).value
        except ApiError as error:
            self.show_error(error)
            return
        self._order, self._sorted_at = order, formats.clock(self.session.clock())
        self._show_list()
        self.sorted_calls.show_calls(page.calls)
        self.sorted_calls.action_first()
        self.sorted_calls.focus()
        self._update_status()

    def _show_live(self) -> None:
        if self._order:
            self._order = None
            self._show_list()
            self.log_view.focus()
            self._update_status()

    def _show_list(self) -> None:
        """Shows that of the two lists which has the calls."""
        self.log_view.display = not self._order
        self.sorted_calls.display = bool(self._order)

    def action_running_only(self) -> None:
        self._show_live()
        self.log_view.show_running_only(not self.log_view.running_only)

    def action_copy_id(self) -> None:
        if call := self.selected:
            self.copy(call.id, f"id {formats.short_id(call.id)}")
        elif self.is_loaded and not self.log_view.q:
            self.copy(curl(self.session), "the command")

    def action_curl(self) -> None:
        if call := self._selected_or_warn():
            if command := curl_command(call, self.session.client.url):
                self.copy(command, "a curl command, with $GATEKEEPER_KEY for the key,")
            else:
                self.show_status(UNREPEATABLE, TextRole.WARNING)

    def action_similar(self) -> None:
        if call := self._selected_or_warn():
            self.apply_filter(similar_calls_filter(call))

    def _selected_or_warn(self) -> Call | None:
        call = self.selected
        if call is None:
            self.show_status("There is no call under the cursor.", TextRole.WARNING)
        return call

    @work
    async def action_export(self) -> None:
        if written := await self.app.push_screen_wait(ExportCalls(self.session, self.log_view.q)):
            self.show_status(f"✓ {written}")

    async def action_back(self) -> None:
        if self._order:
            self._show_live()
            return
        if self.log_view.running_only:
            self.action_running_only()
            return
        back_to, self._back_to = self._back_to, None
        if self.log_view.q:
            self.apply_filter("")
        if back_to:
            await self.app.run_action(f"app.switch_mode('{back_to}')")
