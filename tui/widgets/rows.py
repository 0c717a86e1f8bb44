"""Lists of lines with a cursor, drawn line by line: only what is on the screen is made.

`Rows` knows nothing of what its lines hold: who inherits says how many there are and how one looks. The first
line of the widget stays and shows the columns' titles. A `Table` shows what a screen loads, in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gatekeeper.client.formats import Cell, Column, Tone, cells, fit, heads

T = TypeVar("T")
Layout = Callable[[int], Sequence[Column[T]]]

HEAD = 1
MARKER = "▶"
BOLD = Style(bold=True)


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """The cursor is a row's number; `Opened` says that enter or a second click asked for it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open"),
        Binding("j,down", "move(1)", "down", show=False),
        Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "first", "first", show=False),
        Binding("G,end", "last", "last", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"rows--{tone}" for tone in Tone}
    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size: 0 0;
    }
    Rows > .rows--faint { text-style: dim; }
    Rows > .rows--accent { color: $accent; text-style: bold; }
    Rows > .rows--fine { color: $success; }
    Rows > .rows--waiting { color: $secondary; }
    Rows > .rows--limit { color: $warning; }
    Rows > .rows--error { color: $error; }
    """

    cursor: reactive[int] = reactive(0, init=False)

    @dataclass
    class Opened(Message):
        """A row was asked for."""

        rows: Rows
        index: int

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - the toolkit's name
        super().__init__(id=id)
        self._tones: dict[Tone, Style] = {}
        self._ground: Style | None = None

    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row_segments(self, index: int) -> list[Segment]:
        """How one looks, without the cursor's mark."""
        raise NotImplementedError

    def head(self) -> str:
        """The columns' titles."""
        raise NotImplementedError

    @property
    def row_width(self) -> int:
        """What a row has for its columns, right of the cursor's mark."""
        return max(self.size.width - 1, 0)

    @property
    def page(self) -> int:
        """How many rows are in sight."""
        return max(self.size.height - HEAD, 1)

    @property
    def top(self) -> int:
        """The number of the first row in sight."""
        return self.scroll_offset.y

    def style_of(self, tone: Tone) -> Style:
        """The theme's style for a tone."""
        if tone not in self._tones:
            self._tones[tone] = self.get_component_rich_style(f"rows--{tone}", partial=True)
        return self._tones[tone]

    def toned(self, cells: list[Cell]) -> list[Segment]:
        """Cells as the screen takes them."""
        return [Segment(text, self.style_of(tone)) for text, tone in cells]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        # Another theme has other colours.
        self._tones.clear()
        self._ground = None

    def resized(self) -> None:
        """To be called when the number of rows has changed."""
        self.virtual_size = Size(self.size.width, self.row_count() + HEAD)
        self.cursor = self.validate_cursor(self.cursor)
        self.refresh()

    def on_resize(self) -> None:
        self.resized()

    def validate_cursor(self, cursor: int) -> int:
        return max(min(cursor, self.row_count() - 1), 0)

    def watch_cursor(self) -> None:
        self.show_row(self.cursor)
        self.refresh()

    def show_row(self, index: int) -> None:
        """Scrolls as little as it takes to have the row in sight."""
        if index < self.top:
            self.jump(index)
        elif index > self.top + self.page - 1:
            self.jump(index - self.page + 1)

    def jump(self, top: int) -> None:
        """Has `top` as the first row in sight, at once."""
        self.scroll_to(y=top, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        index = self.top + y - HEAD
        if y < HEAD:
            segments = [Segment(" " + self.head(), self.style_of(Tone.FAINT))]
        elif index >= self.row_count():
            segments = []
        else:
            segments = self._marked(index)
        # The toolkit works its style out anew at each reading: a tenth of what a followed log costs.
        self._ground = self._ground or self.rich_style
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self._ground)

    def _marked(self, index: int) -> list[Segment]:
        segments = self.row_segments(index)
        if index != self.cursor:
            # A blank where the cursor's mark would be, so that nothing moves when it comes.
            return [Segment(" "), *segments]
        bold = [Segment(text, style + BOLD if style else BOLD) for text, style, _ in segments]
        return [Segment(MARKER, self.style_of(Tone.ACCENT)), *bold]

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
            self.post_message(self.Opened(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        index = self.top + event.y - HEAD
        # Titles and the room below the last row are no rows.
        if event.y < HEAD or index >= self.row_count():
            return
        if index == self.cursor:
            self.action_open()
        self.cursor = index


class Table(Rows, Generic[T]):
    """`identity` tells which row is which, so that the cursor stays on its row when they are loaded again."""

    def __init__(self, identity: Callable[[T], object], id: str | None = None) -> None:  # noqa: A002 - the toolkit's name
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
        """Takes rows in place of those before; `layout` gives the columns for a width."""
        # By what it is, not by its number: rows may have come or gone above it.
        before = self.chosen
        self._rows, self._layout = rows, layout
        self._identities = [self._identity(row) for row in rows]
        self._lay_out()
        self.resized()
        self.choose(before)

    @property
    def chosen(self) -> object:
        """Which row the cursor is on; None in an empty table."""
        return self._identities[self.cursor] if self.cursor < len(self._identities) else None

    def choose(self, identity: object) -> None:
        """Puts the cursor on this row; where there is none, it stays on its line."""
        if identity in self._identities:
            self.cursor = self._identities.index(identity)

    def row_count(self) -> int:
        return len(self._rows)

    def head(self) -> str:
        return heads(self._columns, self._widths)

    def row_segments(self, index: int) -> list[Segment]:
        return self.toned(cells(self._columns, self._widths, self._rows[index]))

    def on_resize(self) -> None:
        self._lay_out()
        super().on_resize()

    def _lay_out(self) -> None:
        self._columns = self._layout(self.size.width)
        self._widths = fit(self._columns, self.row_width)
