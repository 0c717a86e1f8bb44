"""Logs: what is happening now. Live calls below, older ones above, narrowed by the line on top."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError, NotFound, Refused
from gatekeeper.client.api_types import Calls, StreamGap, StreamTick
from gatekeeper.client.formats import Tone
from tui.screens.call_screen import CallScreen
from tui.screens.main_screen import EmptyState, MainScreen, curl, welcome
from tui.session import Arrived, Connected, Lost, Session, Tab, post_events
from tui.terminal import told
from tui.widgets.filter_line import FilterLine, alike
from tui.widgets.log import CAPACITY, LogView
from tui.widgets.rows import Rows

PAGE = 200
OLDER = 1000
MOST_ASKED = 100
AGAIN_SECONDS = 5
LOOK_SECONDS = 1.0
# Running calls in sight that are asked for each time.
MOST_LOOKED_AT = 8


class LogsScreen(MainScreen):
    """Keeps the stream open while another screen is shown, so that nothing is missed."""

    TAB = Tab("2", "logs", "Logs", "Logs")
    HINT = "key:ALIAS  model:gemini-2.5*  tag:a,b  status:4xx  cost:>0.01  lat:>2s  since:1h  or any text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_id", "copy id"),
        Binding("m", "alike", "more like this"),
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

    def show_link(self) -> None:
        super().show_link()
        self._tell()

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield LogView(self.session.clock)
        yield Static(id="paused")

    def on_mount(self) -> None:
        self._tell()
        self._follow()
        self.narrow("")
        self.set_interval(LOOK_SECONDS, self._look)

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
        """Opens the stream for the filter that holds; the one before is closed. The log hears it first."""
        # To the log and not to this screen: messages go up from there, so that both hear them.
        events = post_events(self.session.client, self._q or None, self.log_view.post_message)
        self.run_worker(events, group="feed", exclusive=True)

    def show_calls(self, q: str, back_to: str | None) -> None:
        """Narrows to what a filter finds; esc goes back to the place named, if one is."""
        self._back_to = back_to
        self.narrow(q)

    @work(exclusive=True, group="narrow")
    async def narrow(self, q: str) -> None:
        """Shows what a filter finds. One that is none is pointed at, and what was shown stays."""
        try:
            page = (await self.session.client.calls(q or None, limit=PAGE)).value
        except ApiError as error:
            self.not_read(error)
            if not isinstance(error, Refused) and not self.is_loaded:
                self.set_timer(AGAIN_SECONDS, lambda: self.narrow(q))
        else:
            self._show(q, page)

    def show_fault(self, error: ApiError) -> None:
        self._error = error
        self._tell()

    def _show(self, q: str, page: Calls) -> None:
        self.filter_line.settle(q)
        if q != self._q:
            # Another filter is another stream: what is held was not found by it.
            self._q = q
            self.log_view.clear()
            self._follow()
        self._keep(page)
        self.log_view.focus()

    def _keep(self, page: Calls) -> None:
        """Takes in the newest page of what is looked at."""
        self._loaded, self._older, self._partial = True, page.next_cursor, page.partial
        self.log_view.take(page.calls)

    @on(LogView.WentPast)
    def _read_older(self) -> None:
        # What would be let go of at once is not read.
        if self._older and len(self.log_view.ring) + OLDER <= CAPACITY:
            self._fetch_older(self._older)

    @work(exclusive=True, group="older")
    async def _fetch_older(self, cursor: str) -> None:
        # One page at a time: until it is here nobody is to ask for it again.
        self._older = None
        try:
            page = (await self.session.client.calls(self._q or None, limit=OLDER, cursor=cursor)).value
        except ApiError as error:
            self._older = cursor
            self.fault(error)
        else:
            self._older = page.next_cursor
            self.log_view.take(page.calls)

    @on(Connected)
    def _connected(self) -> None:
        if self._lost_at:
            away = f"{formats.clock(self._lost_at)} to {formats.clock(self.session.clock())}"
            self.log_view.mark(f"not connected from {away}; calls of that time are read from the ledger")
            self._lost_at = None
        self._catch_up()

    @on(Lost)
    def _lost(self) -> None:
        self._in_flight = None
        if self._loaded:
            # Of several tries that fail, the first is when it was lost.
            self._lost_at = self._lost_at or self.session.clock()
        self._tell()

    @work(exclusive=True, group="catch up")
    async def _catch_up(self) -> None:
        """Reads what ended before the stream was open, and asks for calls whose end it did not tell."""
        # As it is now: what begins while this reads is told by the stream.
        before = list(self.log_view.ring)
        try:
            page = (await self.session.client.calls(self._q or None, limit=PAGE)).value
            if self._loaded:
                self.log_view.take(page.calls)
            else:
                self._keep(page)
            # Running as far as is known here; some of them ended while nobody listened.
            unsure = [line.call.id for line in before if line.call and line.in_flight]
            for call_id in unsure[-MOST_ASKED:]:
                await self._ask(call_id)
        except ApiError as error:
            self.fault(error)

    async def _ask(self, id: str) -> None:  # noqa: A002 - the contract's name
        try:
            self.log_view.take([(await self.session.client.call(id)).value])
        except NotFound:
            self.log_view.drop(id)

    def _look(self) -> None:
        """The stream tells a call's beginning and end: how far one has come that takes long is asked for."""
        if self.is_current and not self.session.trouble and (ids := self.log_view.running(LOOK_SECONDS)):
            self._ask_running(ids[-MOST_LOOKED_AT:])

    @work(exclusive=True, group="running")
    async def _ask_running(self, ids: list[str]) -> None:
        for id in ids:  # noqa: A001 - the contract's name
            try:
                call = (await self.session.client.call(id)).value
            except ApiError:
                # It has just ended, or the link broke: the stream tells either.
                return
            if self.log_view.ring.get(id):
                self.log_view.take([call])

    @on(Arrived)
    def _arrived(self, message: Arrived) -> None:
        ticks = [event.value for event in message.events if isinstance(event, StreamTick)]
        if ticks:
            self._in_flight = ticks[-1].in_flight
            self._tell()
        if any(isinstance(event, StreamGap) for event in message.events):
            self._catch_up()

    @on(LogView.Changed)
    def _tell(self) -> None:
        """Brings all that is said about the log to what it holds."""
        log = self.log_view
        lent = "older ones lent out · " if self._partial else ""
        more = "newest " if self._older or log.ring.trimmed else ""
        known = self._loaded or log.ring.calls > 0
        calls = formats.counted(log.ring.calls, "call") if known else ""
        running = "" if self._in_flight is None else f" · {self._in_flight:,} in flight"
        self.filter_line.find(f"{lent}{more}{calls}{running}")
        paused = "" if log.following else f"❚❚ paused  {log.unseen:,} new  (G follows)"
        self.query_one("#paused", Static).update(paused)
        empty = not len(log.ring)
        self.show_empty(empty, self._nothing() if empty else Content(""))

    def _nothing(self) -> Content:
        """What stands in the place of calls where there are none."""
        if self.session.trouble:
            return Content.styled("There is nothing to show until the gateway answers.", "dim")
        if self._error and not self._loaded:
            return told(f"✗ {self._error}", Tone.ERROR)
        if not self._loaded:
            return Content.styled("◌ reading the latest calls…", "$secondary")
        if self._q:
            return Content("No call is found by this filter. New ones appear here at once.\n\nesc clears it")
        return welcome(self.session)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self._back_to = None
        self.narrow(message.text)

    @on(LogView.Opened)
    def _open(self) -> None:
        if call := self.log_view.selected:
            self.app.push_screen(CallScreen(self.session, call.id))

    def action_copy_id(self) -> None:
        if call := self.log_view.selected:
            self.copy(call.id, f"id {formats.short_id(call.id)}")
        elif self._loaded and not self._q:
            self.copy(curl(self.session), "the command")

    def action_alike(self) -> None:
        if call := self.log_view.selected:
            self.narrow(alike(call))
        else:
            self.say("There is no call under the cursor.", Tone.LIMIT)

    async def action_back(self) -> None:
        back_to, self._back_to = self._back_to, None
        if self._q:
            self.narrow("")
        if back_to:
            await self.app.run_action(f"app.switch_mode('{back_to}')")
