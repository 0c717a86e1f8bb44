"""The rows that are not in the analytics file yet, in the journal's order, and which go in next."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from gatekeeper.ledger.analytics import rows
from gatekeeper.ledger.entry import Call, Position

# Rows, and characters of them, of one INSERT: a day's worth at once would need many times its size in memory.
PORTION = 5_000
PORTION_SIZE = 8 << 20


class Row(NamedTuple):
    """A call's position, and its row as JSON."""

    position: Position
    item: str


class Waiting:
    """A queue of rows. `size` is how many characters they have."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._last = Position(0, 0)
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, batch: list[tuple[Position, Call]]) -> None:
        """In the journal's order. What was added before is skipped."""
        for position, call in batch:
            if position > self._last:
                self._last = position
                row = Row(position, rows.encode(position, call))
                self._rows.append(row)
                self.size += len(row.item)

    def portion(self, start: int = 0, most: int = PORTION) -> list[Row]:
        portion: list[Row] = []
        size = 0
        for row in islice(self._rows, start, start + most):
            portion.append(row)
            size += len(row.item)
            if size >= PORTION_SIZE:
                break
        return portion

    def drop(self, count: int) -> None:
        """The first so many are in the file."""
        for _ in range(count):
            self.size -= len(self._rows.popleft().item)

    def strip(self) -> bool:
        """Takes the texts out of the first row; whether it had any."""
        position, item = self._rows[0]
        bare = rows.without_texts(item)
        self._rows[0] = Row(position, bare)
        self.size += len(bare) - len(item)
        return bare != item

    def begin_at(self, position: Position) -> None:
        """Forgets all rows; what follows `position` will be added anew."""
        self._rows.clear()
        self.size = 0
        self._last = position


def joined(portion: list[Row]) -> str:
    return f"[{','.join(row.item for row in portion)}]"
