"""A list whose rows are known in full: what a screen loads, shown in columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.segment import Segment

from gatekeeper.client.formats import Column, cells, fit, heads
from tui.widgets.rows import Rows

T = TypeVar("T")
Layout = Callable[[int], Sequence[Column[T]]]


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
