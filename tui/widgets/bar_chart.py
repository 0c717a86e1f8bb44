"""The chart of the Spend screen, with a cursor on its bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, getters
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.terminal import ClipboardApp
from tui.widgets.bars import AXIS, Chart, bar_step, bars_as_one, draw


class BarChart(Widget, can_focus=True, inherit_bindings=False):
    """Draws a chart; where there are more bars than cells, neighbours are drawn as one.

    `cursor` is the number of a bar; of those drawn together, that of any. None: no bar is selected.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "calls of this bar"),
        Binding("left", "screen.bar(-1)", show=False),
        Binding("right", "screen.bar(1)", show=False),
        Binding("home", "move_to(0)", show=False, tooltip="select the first bar"),
        Binding("end", "move_to(-1)", show=False, tooltip="select the last bar"),
        Binding("up,down,j,k", "leave", show=False, tooltip="back to the list"),
    ]
    DEFAULT_CSS = """
    BarChart {
        height: 12;
        padding: 0 1;
    }
    """

    app = getters.app(ClipboardApp)

    chart: reactive[Chart] = reactive(Chart())
    cursor: reactive[int | None] = reactive(None)

    @dataclass
    class Selected(Message):
        """The cursor has moved; `first` and `last` are the bars drawn under it."""

        first: int
        last: int

    @dataclass
    class Opened(Message):
        """The bar under the cursor was opened."""

    @dataclass
    class Left(Message):
        """The list has the keys again; the bar stays selected."""

    def validate_cursor(self, cursor: int | None) -> int | None:
        """Of another chart the same bar may not exist."""
        return cursor if cursor is not None and cursor < len(self.chart.bars) else None

    def render(self) -> Content:
        size = self.content_size
        cursor = None if self.cursor is None else self.cursor // self.together
        return draw(self.chart, size.width, size.height, not self.app.no_color, cursor)

    @property
    def together(self) -> int:
        """How many bars are drawn as one."""
        # Hidden it has no width; it will have nearly that of the screen.
        return bars_as_one(len(self.chart.bars), self.content_size.width or self.screen.size.width)

    def bar_size(self, unit: str) -> str:
        """The time that a drawn bar covers: `day`, `2 days`."""
        return unit if self.together == 1 else f"{self.together} {unit}s"

    @property
    def selected(self) -> tuple[int, int] | None:
        """The first and the last bar under the cursor."""
        if self.cursor is None:
            return None
        first = self.cursor // self.together * self.together
        return first, min(first + self.together, len(self.chart.bars)) - 1

    def move(self, by: int) -> None:
        """Moves to a neighbour; where no bar is selected, to the last one or the first."""
        drawn = -(-len(self.chart.bars) // self.together)
        now = (drawn if by < 0 else -1) if self.cursor is None else self.cursor // self.together
        self.action_move_to(max(now + by, 0))

    def action_move_to(self, drawn: int) -> None:
        """Moves to a drawn bar; -1 is the last."""
        if not self.chart.bars:
            return
        last = -(-len(self.chart.bars) // self.together) - 1
        self.cursor = (last if drawn == -1 else max(min(drawn, last), 0)) * self.together
        if selected := self.selected:
            self.post_message(self.Selected(*selected))

    def action_open(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Opened())

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def on_click(self, event: events.Click) -> None:
        """A click selects a bar, a second one opens it."""
        offset = event.get_content_offset(self)
        count = -(-len(self.chart.bars) // self.together)
        if offset is None or not count or offset.x < AXIS:
            return
        drawn = (offset.x - AXIS) // bar_step(count, self.content_size.width)
        if drawn >= count:
            return
        if self.cursor is not None and self.cursor // self.together == drawn:
            self.action_open()
        else:
            self.action_move_to(drawn)
