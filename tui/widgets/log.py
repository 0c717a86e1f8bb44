"""The log of calls: the newest at the bottom, followed until the cursor moves away.

It holds the newest `CAPACITY` calls, renders the visible lines and caches them until the call or the layout
changes. Its input is the stream's `EventsReceived` message, and calls through `add_calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from gatekeeper.client.call_columns import call_cells, call_columns
from gatekeeper.client.call_text import elapsed_ms
from gatekeeper.client.call_types import Call, CallAmended, CallFinished, CallStarted, StreamGap, StreamTick
from gatekeeper.client.columns import Column, TextRole, column_widths, header_row
from tui.line_buffer import Line, LineBuffer
from tui.session import EventsReceived
from tui.widgets.rows import HEADER_ROWS, Rows

# Calls and markers; the oldest are removed when there are more.
CAPACITY = 10_000
# The running time is shown in tenths of a second.
CLOCK_SECONDS = 0.2


@dataclass(frozen=True, eq=False)
class Layout:
    """Columns at a width. Compared by identity, so that lines cached for an old layout are rendered again."""

    columns: list[Column[Call]]
    widths: list[int]


class LogView(Rows):
    """Follows while the cursor is on the last line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "follow", "follow")]

    following: reactive[bool] = reactive(True, init=False)

    @dataclass
    class Changed(Message):
        """The calls, or whether it follows, have changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Changed)

    @dataclass
    class OlderRequested(Message):
        """The user scrolled past the oldest call."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        capacity: int = CAPACITY,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.buffer = LineBuffer(capacity)
        self._clock = clock
        self.running_only = False
        """Whether calls leave the log at their end."""
        self._seen = ""
        self._layout = Layout([], [])
        self._frame = 0

    def on_mount(self) -> None:
        self.set_interval(CLOCK_SECONDS, self._refresh_running)

    @property
    def selected(self) -> Call | None:
        """The call under the cursor; None on a marker or in an empty log."""
        return self.buffer[self.cursor].call if self.cursor < len(self.buffer) else None

    @property
    def unseen(self) -> int:
        """The number of calls since it was paused."""
        return 0 if self.following else self.buffer.after(self._seen)

    def clear(self) -> None:
        """Removes all lines, and follows."""
        self.buffer = LineBuffer(self.buffer.capacity)
        self.following = True
        self.resized()

    def add_calls(self, calls: Iterable[Call]) -> None:
        """Adds calls, in any order, each once."""
        self._change_lines(lambda: self.buffer.add(calls))

    def drop(self, id: str) -> None:  # noqa: A002 - the API's name
        """Removes a call that the gateway does not have."""
        self._change_lines(lambda: self.buffer.drop(id))

    def add_marker(self, text: str) -> None:
        """Adds a line about the log itself."""
        self._change_lines(lambda: self.buffer.add_marker(text))

    def on_events_received(self, message: EventsReceived) -> None:
        # The tick of each second changes no line: to draw all again is most of what idling costs.
        if not all(isinstance(event, StreamTick) for event in message.events):
            self._change_lines(lambda: self._read(message))

    def _read(self, message: EventsReceived) -> None:
        for event in message.events:
            match event:
                case CallFinished() | CallAmended() if self.running_only:
                    self.buffer.drop(event.value.id)
                case CallStarted() | CallFinished() | CallAmended():
                    self.buffer.add((event.value,))
                case StreamGap(value=gap) if gap.missed:
                    self.buffer.add_marker(f"{gap.missed:,} events of the stream were missed here")
                case _:
                    pass

    def _change_lines(self, change: Callable[[], object]) -> None:
        """Changes the lines; the visible ones and the cursor keep their position on the screen."""
        # A day line moves up when older calls of its day are added, so it cannot anchor the position.
        above = int(self._is_day(self.top))
        selected, top = self._line(self.cursor), self._line(self.top + above)
        change()
        self.buffer.trim()
        if self.following or selected is None or top is None:
            # Without the watcher, which would take this for a move by the user, and follow or pause.
            self.set_reactive(Rows.cursor, max(len(self.buffer) - 1, 0))
            self.resized()
            self.show_row(self.cursor)
        else:
            self.set_reactive(Rows.cursor, self.buffer.index(selected))
            self.resized()
            self.scroll_to_row(self.buffer.index(top) - above)
        self.post_message(self.Changed())

    def _line(self, index: int) -> Line | None:
        return self.buffer[index] if index < len(self.buffer) else None

    def _is_day(self, index: int) -> bool:
        return index < len(self.buffer) and self.buffer[index].is_day

    def row_count(self) -> int:
        return len(self.buffer)

    def titles(self) -> str:
        return header_row(self._layout.columns, self._layout.widths)

    def row_segments(self, index: int) -> list[Segment]:
        line = self.buffer[index]
        if line.call is None:
            rule, role = ("─", TextRole.DIM) if line.is_day else ("┄", TextRole.WARNING)
            return [Segment(f"{rule * 2} {line.text} ".ljust(self.row_width, rule), self.style_of(role))]
        # Rendered again only when it would look different; a call in flight with each frame.
        state = (self._layout, self._frame if line.in_flight else 0)
        if line.rendered is None or line.rendered[0] != state:
            line.rendered = (state, self._draw(line.call))
        return line.rendered[1]

    def _draw(self, call: Call) -> list[Segment]:
        return self.styled_segments(call_cells(self._layout.columns, self._layout.widths, call))

    def on_resize(self) -> None:
        self._lay_out()
        super().on_resize()
        if self.following:
            self.show_row(self.cursor)

    def restyled(self) -> None:
        super().restyled()
        self._lay_out()

    def _lay_out(self) -> None:
        columns = call_columns(self.size.width, self._clock)
        self._layout = Layout(columns, column_widths(columns, self.row_width))

    def running(self, seconds: float) -> list[str]:
        """The ids of the visible calls that have run for at least `seconds`."""
        now = self._clock()
        calls = (self.buffer[index].call for index in self._visible_rows() if self.buffer[index].in_flight)
        return [call.id for call in calls if call and (elapsed_ms(call, now) or 0) >= seconds * 1000]

    def _visible_rows(self) -> range:
        return range(self.top, min(self.top + self.page, len(self.buffer)))

    def _refresh_running(self) -> None:
        """Redraws the visible lines of calls in flight."""
        self._frame += 1
        # Behind another screen the clocks are not visible.
        if not self.screen.is_current:
            return
        for index in self._visible_rows():
            if self.buffer[index].in_flight:
                self.refresh_line(index + HEADER_ROWS)

    def watch_following(self, following: bool) -> None:
        if following:
            self.cursor = len(self.buffer)
        elif len(self.buffer):
            # Later calls count as unseen.
            self._seen = self.buffer[-1].sort_key
        self.post_message(self.Changed())

    def validate_cursor(self, cursor: int) -> int:
        """Skips day lines: there is nothing to open."""
        cursor = super().validate_cursor(cursor)
        if not self._is_day(cursor):
            return cursor
        return cursor - 1 if 0 < cursor < self.cursor else cursor + 1

    def watch_cursor(self) -> None:
        if self.cursor and self._is_day(self.cursor - 1):
            self.show_row(self.cursor - 1)
        super().watch_cursor()
        self.following = self.cursor >= len(self.buffer) - 1

    def action_follow(self) -> None:
        self.following = not self.following

    def action_move(self, by: int) -> None:
        self._request_older(by)
        super().action_move(by)

    def action_page(self, by: int) -> None:
        self._request_older(by)
        super().action_page(by)

    def action_first(self) -> None:
        self._request_older(-1)
        super().action_first()

    def _request_older(self, by: int) -> None:
        # Only from the first line: before that, older calls are already here.
        if by < 0 and self.top == 0:
            self.post_message(self.OlderRequested())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:  # noqa: ARG002 - Textual's signature
        self.following = False
        self._request_older(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:  # noqa: ARG002 - Textual's signature
        if self.top + self.page >= len(self.buffer):
            self.following = True
