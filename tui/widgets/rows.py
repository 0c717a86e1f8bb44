"""Lists of rows with a cursor, rendered line by line: only visible lines are made.

`Rows` does not know the content of its rows: subclasses give their number and render them. The first line of
the widget is fixed and shows the columns' titles. A `Table` shows loaded rows in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events, getters
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style as TextualStyle
from textual.widget import Widget

from gatekeeper.client.columns import Cell, Column, TextRole, cells, column_widths, header_row
from tui.terminal import STYLES, ClipboardApp

T = TypeVar("T")
Layout = Callable[[int], Sequence[Column[T]]]

HEADER_ROWS = 1
MARKER = "▶"
# While another list has the keys.
HOLLOW_MARKER = "▷"
# Reversed: also where there are no colours, and where bold text is in a brighter colour.
CURSOR_STYLE = "bold reverse $block-cursor-background on $block-cursor-foreground"


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """The cursor is a row's number; enter or a second click posts `RowActivated`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open"),
        Binding("j,down", "move(1)", "down", show=False),
        Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "first", "first", show=False),
        Binding("G,end", "last", "last", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False),
    ]
    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size: 0 0;
    }
    """

    app = getters.app(ClipboardApp)

    cursor: reactive[int] = reactive(0, init=False)

    @dataclass
    class RowActivated(Message):
        """A row was activated."""

        rows: Rows
        index: int

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._theme = ""
        self._styles_of_theme: dict[str, Style] = {}
        self._base_style: Style | None = None

    def row_count(self) -> int:
        """The number of rows."""
        raise NotImplementedError

    def row_segments(self, index: int) -> list[Segment]:
        """The segments of a row, without the cursor's marker."""
        raise NotImplementedError

    def titles(self) -> str:
        """The columns' titles."""
        raise NotImplementedError

    @property
    def row_width(self) -> int:
        """The width of a row's columns, right of the cursor's marker."""
        return max(self.size.width - 1, 0)

    @property
    def page(self) -> int:
        """The number of visible rows."""
        return max(self.size.height - HEADER_ROWS, 1)

    @property
    def top(self) -> int:
        """The index of the first visible row."""
        return self.scroll_offset.y

    def style_of(self, role: TextRole) -> Style:
        """The theme's style for a role."""
        return self._style(STYLES[role])

    def _style(self, text: str) -> Style:
        # Not by component classes, each of which costs Textual as much as a widget.
        if text not in self._styles_of_theme:
            self._styles_of_theme[text] = TextualStyle.parse(text).rich_style
        return self._styles_of_theme[text]

    def styled_segments(self, cells: list[Cell]) -> list[Segment]:
        """Cells as segments."""
        return [Segment(text, self.style_of(role)) for text, role in cells]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._base_style = None
        if self._theme != self.app.theme:
            self._theme = self.app.theme
            self.restyled()

    def restyled(self) -> None:
        """Forgets the styles of another theme, and what was drawn with them."""
        self._styles_of_theme.clear()
        self.refresh()

    def resized(self) -> None:
        """Updates the size; call it after the number of rows has changed."""
        self.virtual_size = Size(self.size.width, self.row_count() + HEADER_ROWS)
        self.cursor = self.validate_cursor(self.cursor)
        self.refresh()

    def yields_keys_to(self, focused: Widget | None) -> bool:
        """Whether keys move another list's cursor: then the one here must not look as if."""
        return isinstance(focused, Rows) and focused is not self

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self.resized()

    def validate_cursor(self, cursor: int) -> int:
        return max(min(cursor, self.row_count() - 1), 0)

    def watch_cursor(self) -> None:
        self.show_row(self.cursor)
        self.refresh()

    def show_row(self, index: int) -> None:
        """Scrolls as little as necessary to make the row visible."""
        if index < self.top:
            self.scroll_to_row(index)
        elif index > self.top + self.page - 1:
            self.scroll_to_row(index - self.page + 1)

    def scroll_to_row(self, top: int) -> None:
        """Scrolls at once so that `top` is the first visible row."""
        self.scroll_to(y=top, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        index = self.top + y - HEADER_ROWS
        if y < HEADER_ROWS:
            segments = [Segment(" " + self.titles(), self.style_of(TextRole.DIM))]
        elif index >= self.row_count():
            segments = []
        else:
            segments = self._marked(index)
        # Textual computes its style at each access: a tenth of the cost of a followed log.
        self._base_style = self._base_style or self.rich_style
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self._base_style)

    def _marked(self, index: int) -> list[Segment]:
        segments = self.row_segments(index)
        if index != self.cursor:
            # A space in the marker's column, so that nothing moves with the cursor.
            return [Segment(" "), *segments]
        if self.yields_keys_to(self.screen.focused):
            return [Segment(HOLLOW_MARKER), *segments]
        # In colours of its own over the whole width, which are seen from afar: signs and words tell the rest.
        text = MARKER + "".join(segment.text for segment in segments)
        return [Segment(text + " " * (self.size.width - cell_len(text)), self._style(CURSOR_STYLE))]

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_page(self, by: int) -> None:
        self.cursor += by * self.page

    def action_first(self) -> None:
        self.cursor = 0

    def action_last(self) -> None:
        self.cursor = self.row_count()

    def action_open(self) -> None:
        # An empty list has nothing under its cursor.
        if self.row_count():
            self.post_message(self.RowActivated(self, self.cursor))

    def row_at(self, y: int) -> int | None:
        """The index of the row at this line of the widget; None for the titles and the space below."""
        index = self.top + y - HEADER_ROWS
        return index if y >= HEADER_ROWS and index < self.row_count() else None

    def on_click(self, event: events.Click) -> None:
        index = self.row_at(event.y)
        if index is None:
            return
        if index == self.cursor:
            self.action_open()
        self.cursor = index


class Table(Rows, Generic[T]):
    """`identity` identifies rows, so that the cursor stays on its row after a reload."""

    def __init__(self, identity: Callable[[T], object], id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._identity = identity
        self._layout: Layout[T] = lambda _: ()
        self._rows: Sequence[T] = ()
        self._identities: list[object] = []
        self._columns: Sequence[Column[T]] = ()
        self._widths: list[int] = []

    @property
    def selected(self) -> T | None:
        """The row under the cursor; None in an empty table."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def show(self, rows: Sequence[T], layout: Layout[T]) -> None:
        """Replaces the rows; `layout` gives the columns for a width."""
        # By identity, not by index: rows above it may have changed.
        before = self.selected_identity
        self._rows, self._layout = rows, layout
        self._identities = [self._identity(row) for row in rows]
        self._lay_out()
        self.resized()
        self.select(before)

    @property
    def selected_identity(self) -> object:
        """The identity of the row under the cursor; None in an empty table."""
        return self._identities[self.cursor] if self.cursor < len(self._identities) else None

    def select(self, identity: object) -> None:
        """Moves the cursor to this row; if there is none, it stays at its index."""
        if identity in self._identities:
            self.cursor = self._identities.index(identity)

    def row_count(self) -> int:
        return len(self._rows)

    def titles(self) -> str:
        return header_row(self._columns, self._widths)

    def row_segments(self, index: int) -> list[Segment]:
        return self.styled_segments(cells(self._columns, self._widths, self._rows[index]))

    def on_resize(self) -> None:
        self._lay_out()
        super().on_resize()

    def _lay_out(self) -> None:
        self._columns = self._layout(self.size.width)
        self._widths = column_widths(self._columns, self.row_width)
