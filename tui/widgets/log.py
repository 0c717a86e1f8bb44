"""The log of calls: the newest at the bottom, followed until one looks elsewhere.

It holds the newest `CAPACITY` calls, draws the lines in sight and remembers how they look until the call or
the layout changes. What it is fed is the stream's `Arrived` message, or calls through `take`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from gatekeeper.client.api_types import Call, CallFinished, CallStarted, StreamGap
from gatekeeper.client.call_text import elapsed_ms
from gatekeeper.client.formats import GAP, Cell, Column, Tone, cells, fit, heads, padded
from gatekeeper.client.list_columns import TOTAL, call_columns, failed, why
from tui.ring import Line, Ring
from tui.session import Arrived
from tui.widgets.rows import HEAD, Rows

# Calls and marks; the oldest go when there are more.
CAPACITY = 10_000
# A running clock shows tenths of a second.
CLOCK_SECONDS = 0.2


@dataclass(frozen=True, eq=False)
class Layout:
    """Columns at a width; a new one is another, so that lines drawn in the old are drawn again."""

    columns: list[Column[Call]]
    widths: list[int]


class LogView(Rows):
    """Follows while the cursor is on the last line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "follow", "follow")]

    following: reactive[bool] = reactive(True, init=False)

    @dataclass
    class Changed(Message):
        """It holds other calls, or follows no more, or again."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Changed)

    @dataclass
    class WentPast(Message):
        """Somebody looks for calls older than those held."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        capacity: int = CAPACITY,
        id: str | None = None,  # noqa: A002 - the toolkit's name
    ) -> None:
        super().__init__(id=id)
        self.ring = Ring(capacity)
        self._clock = clock
        self._seen = ""
        self._layout = Layout([], [])
        self._beat = 0

    def on_mount(self) -> None:
        self.set_interval(CLOCK_SECONDS, self._run_clocks)

    @property
    def selected(self) -> Call | None:
        """The call under the cursor; None on a mark or an empty log."""
        return self.ring[self.cursor].call if self.cursor < len(self.ring) else None

    @property
    def unseen(self) -> int:
        """How many lines came since it was paused."""
        return 0 if self.following else self.ring.after(self._seen)

    def clear(self) -> None:
        """Lets go of everything, and follows."""
        self.ring = Ring(self.ring.capacity)
        self.following = True
        self.resized()

    def take(self, calls: Iterable[Call]) -> None:
        """Takes calls in, in any order, each once."""
        self._alter(lambda: self.ring.add(calls))

    def drop(self, id: str) -> None:  # noqa: A002 - the contract's name
        """Lets go of a call that the gateway knows nothing of."""
        self._alter(lambda: self.ring.drop(id))

    def mark(self, text: str) -> None:
        """A line that says what happened to the log itself."""
        self._alter(lambda: self.ring.mark(text))

    def on_arrived(self, message: Arrived) -> None:
        self._alter(lambda: self._read(message))

    def _read(self, message: Arrived) -> None:
        for event in message.events:
            match event:
                case CallStarted() | CallFinished():
                    self.ring.add((event.value,))
                case StreamGap(value=gap) if gap.missed:
                    self.ring.mark(f"{gap.missed:,} events of the stream were missed here")
                case _:
                    pass

    def _alter(self, change: Callable[[], object]) -> None:
        """Changes the ring while the lines in sight and the cursor stay where one looks."""
        # Where older calls come, the rule of their day goes up to the first of them: it keeps no place.
        above = int(self._is_day(self.top))
        chosen, top = self._line(self.cursor), self._line(self.top + above)
        change()
        self.ring.trim()
        if self.following or chosen is None or top is None:
            # Set without being watched: the watcher would take the move for somebody's, and follow or pause.
            self.set_reactive(Rows.cursor, max(len(self.ring) - 1, 0))
            self.resized()
            self.show_row(self.cursor)
        else:
            self.set_reactive(Rows.cursor, self.ring.index(chosen))
            self.resized()
            self.jump(self.ring.index(top) - above)
        self.post_message(self.Changed())

    def _line(self, index: int) -> Line | None:
        return self.ring[index] if index < len(self.ring) else None

    def _is_day(self, index: int) -> bool:
        return index < len(self.ring) and self.ring[index].is_day

    def row_count(self) -> int:
        return len(self.ring)

    def head(self) -> str:
        return heads(self._layout.columns, self._layout.widths)

    def row_segments(self, index: int) -> list[Segment]:
        line = self.ring[index]
        if line.call is None:
            rule, tone = ("─", Tone.FAINT) if line.is_day else ("┄", Tone.LIMIT)
            return [Segment(f"{rule * 2} {line.text} ".ljust(self.row_width, rule), self.style_of(tone))]
        # Drawn anew only when it would look different; of a running call that is with each beat.
        state = (self._layout, self._beat if line.in_flight else 0)
        if line.drawn is None or line.drawn[0] != state:
            line.drawn = (state, self._draw(line.call))
        return line.drawn[1]

    def _draw(self, call: Call) -> list[Segment]:
        return self.toned(call_cells(self._layout.columns, self._layout.widths, call))

    def on_resize(self) -> None:
        self._lay_out()
        super().on_resize()
        if self.following:
            self.show_row(self.cursor)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lay_out()

    def _lay_out(self) -> None:
        columns = call_columns(self.size.width, self._clock)
        self._layout = Layout(columns, fit(columns, self.row_width))

    def running(self, seconds: float) -> list[str]:
        """The ids of the calls in sight that have run for so long."""
        now = self._clock()
        calls = (self.ring[index].call for index in self._in_sight() if self.ring[index].in_flight)
        return [call.id for call in calls if call and (elapsed_ms(call, now) or 0) >= seconds * 1000]

    def _in_sight(self) -> range:
        return range(self.top, min(self.top + self.page, len(self.ring)))

    def _run_clocks(self) -> None:
        """Draws the lines anew whose call still runs."""
        self._beat += 1
        # Behind another screen nobody sees the clocks.
        if not self.screen.is_current:
            return
        for index in self._in_sight():
            if self.ring[index].in_flight:
                self.refresh_line(index + HEAD)

    def watch_following(self, following: bool) -> None:
        if following:
            self.cursor = len(self.ring)
        elif len(self.ring):
            # What comes behind this is new to who looks elsewhere.
            self._seen = self.ring[-1].place
        self.post_message(self.Changed())

    def validate_cursor(self, cursor: int) -> int:
        """A day's rule is passed over: there is nothing to open on it."""
        cursor = super().validate_cursor(cursor)
        if not self._is_day(cursor):
            return cursor
        return cursor - 1 if 0 < cursor < self.cursor else cursor + 1

    def watch_cursor(self) -> None:
        if self.cursor and self._is_day(self.cursor - 1):
            self.show_row(self.cursor - 1)
        super().watch_cursor()
        self.following = self.cursor >= len(self.ring) - 1

    def action_follow(self) -> None:
        self.following = not self.following

    def action_move(self, by: int) -> None:
        self._look_back(by)
        super().action_move(by)

    def action_page(self, by: int) -> None:
        self._look_back(by)
        super().action_page(by)

    def action_first(self) -> None:
        self._look_back(-1)
        super().action_first()

    def _look_back(self, by: int) -> None:
        # Only from the first line: until then there are older ones here.
        if by < 0 and self.top == 0:
            self.post_message(self.WentPast())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:  # noqa: ARG002 - the toolkit's call
        self.following = False
        self._look_back(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:  # noqa: ARG002 - the toolkit's call
        if self.top + self.page >= len(self.ring):
            self.following = True


def call_cells(columns: Sequence[Column[Call]], widths: Sequence[int], call: Call) -> list[Cell]:
    """A call's line. Of one that failed before it had used anything the sentence that says why takes the
    place of tokens, cost and tags: it stands beside the status and the time."""
    line = cells(columns, widths, call)
    if (not call.reason and not call.error_message) or call.total_tokens is not None or call.cost_usd:
        return line
    first = columns.index(TOTAL) + 1
    last = next((number for number, column in enumerate(columns) if column.title == "tags"), len(columns) - 1)
    room = sum(widths[first : last + 1]) + GAP * (last - first)
    gap = " " * GAP if last < len(columns) - 1 else ""
    return [
        *line[:first],
        (padded(why(call, room), room, right=False) + gap, failed(call)),
        *line[last + 1 :],
    ]
