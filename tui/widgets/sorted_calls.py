"""Calls of a filter in another order than newest first: by cost, duration or tokens.

The order is the gateway's, over all calls of the filter; the table has the first of them and is not live.
"""

from __future__ import annotations

from typing import NamedTuple

from rich.segment import Segment

from gatekeeper.client import formats
from gatekeeper.client.call_columns import FIRST, call_cells, call_columns
from gatekeeper.client.call_types import Call
from gatekeeper.client.columns import MEDIUM, WIDE, Cell, Column, TextRole
from tui.session import Session
from tui.widgets.rows import Table


class Order(NamedTuple):
    """What the API's `sort` is called, and in words."""

    sort: str
    words: str


# `s` goes through them, and from the last one back to the live log.
ORDERS = (Order("-cost", "cost"), Order("-duration", "duration"), Order("-tokens", "tokens"))


def started_cell(call: Call) -> Cell:
    """The day and the minute: sorted calls may be of many days."""
    at = call.started_at
    text = formats.EMPTY if at is None else f"{formats.day(at)} {formats.clock(at)[:5]}"
    return text, TextRole.DIM


STARTED: Column[Call] = Column("started", 12, started_cell)


class SortedCalls(Table[Call]):
    """The table of an order's first calls."""

    def __init__(self, session: Session) -> None:
        super().__init__(lambda call: call.id, id="sorted")
        self._session = session

    def show_calls(self, calls: tuple[Call, ...]) -> None:
        """Replaces the calls; the cursor stays on its call, if that is among them."""
        self.show(calls, self._columns_for)

    def _columns_for(self, width: int) -> list[Column[Call]]:
        _, *columns = call_columns(width, self._session.clock)
        # The day takes the place of the first byte, where there is room for one of them only.
        narrow = MEDIUM <= width < WIDE
        return [STARTED, *(column for column in columns if not (narrow and column is FIRST))]

    def row_segments(self, index: int) -> list[Segment]:
        return self.styled_segments(call_cells(self._columns, self._widths, self._rows[index]))
