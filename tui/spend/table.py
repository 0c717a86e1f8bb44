"""The list of the Spend screen: a ranking, whose rows can be opened."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from gatekeeper.client.columns import Column
from tui.spend.columns import Trend, compared_columns, spend_columns
from tui.spend.ranking import Line, Path, Ranking
from tui.widgets.bar_chart import BarChart
from tui.widgets.rows import Table


class SpendTable(Table[Line]):
    """`opened` has the rows that are to be shown with what they are made of."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "calls", tooltip="show the calls of a row"),
        Binding("right", "screen.open_row", "open", tooltip="show what a row is made of"),
        Binding("space", "screen.open_row", show=False),
        Binding("left", "screen.close_row", show=False, tooltip="close the row"),
    ]

    def __init__(self) -> None:
        super().__init__(lambda line: line.identity)
        self.opened: list[Path] = []

    def yields_keys_to(self, focused: Widget | None) -> bool:
        # Enter opens a bar then, and not the row.
        return isinstance(focused, BarChart) or super().yields_keys_to(focused)

    def show_ranking(self, ranking: Ranking, trend: Trend, compared: bool) -> None:
        """Shows the rows, with those of the preceding period if `compared`."""
        whole = ranking.spend.total.spent

        def columns(width: int) -> list[Column[Line]]:
            if compared:
                return compared_columns(ranking.by, whole, width)
            return spend_columns(ranking.by, whole, trend, width)

        self.show(list(ranking.lines(compared)), columns)

    def open_row(self) -> bool:
        """Opens the selected row; False if it cannot be, or is already."""
        line = self.selected
        if line is None or line.part is None or line.path in self.opened:
            return False
        self.opened.append(line.path)
        return True

    def close_row(self) -> bool:
        """Closes the selected row, or the one that it is part of; False if there is none."""
        line = self.selected
        if line is None:
            return False
        # Not by what is shown: it may not have been loaded again yet.
        path = line.path if line.path in self.opened else line.path[:-1]
        if path not in self.opened:
            return False
        # What was opened below it stays so, for the next time.
        self.opened.remove(path)
        self.select((path, False))
        return True
