"""The rows that are not in the analytics file yet, and the amendments of rows that are in it."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from gatekeeper.ledger.analytics import messages
from gatekeeper.ledger.call import START, Amendment, JournalEntry, Position

# Rows, and their characters, of one INSERT, which needs many times their size in memory: some 15 KB a row.
BATCH_ROWS = 2_000
BATCH_CHARS = 8 << 20


class Row(msgspec.Struct):
    """A call as JSON, and its position in the journal. `amends`: it replaces columns of a row that the file
    has."""

    position: Position
    call_id: str
    item: str
    amends: bool = False


class PendingRows:
    """A queue of rows. `size` is the number of their characters, `amends_file` how many amend others."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._by_call: dict[str, Row] = {}
        self._last = START
        self.size = 0
        self.amends_file = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, batch: list[tuple[Position, JournalEntry]]) -> bool:
        """Adds calls and amendments in the journal's order. Those added before are skipped. Returns whether a
        row of the queue was amended: that changes in place."""
        changed = False
        for position, entry in batch:
            if position <= self._last:
                continue
            self._last = position
            amends = isinstance(entry, Amendment)
            call = entry.call if isinstance(entry, Amendment) else entry
            if amends and (row := self._by_call.get(call.id)):
                # Also after a crash: the file has the row as amended, and is amended once more.
                self._replace(row, messages.encode_row(row.position, call))
                changed = True
                continue
            row = Row(position, call.id, messages.encode_row(position, call), amends)
            self._rows.append(row)
            self.size += len(row.item)
            self.amends_file += amends
            if not amends:
                self._by_call[call.id] = row
        return changed

    def _replace(self, row: Row, item: str) -> None:
        self.size += len(item) - len(row.item)
        row.item = item

    def next_batch(self, start: int = 0, most: int = BATCH_ROWS) -> list[Row]:
        batch: list[Row] = []
        size = 0
        for row in islice(self._rows, start, start + most):
            batch.append(row)
            size += len(row.item)
            # Checked afterwards: a batch has at least one row, however large.
            if size >= BATCH_CHARS:
                break
        return batch

    def drop_first(self, count: int) -> None:
        """Removes the first rows, which are in the file now."""
        for _ in range(count):
            row = self._rows.popleft()
            self.size -= len(row.item)
            self.amends_file -= row.amends
            # The file has it: what amends it from now on is no row of the queue.
            self._by_call.pop(row.call_id, None)

    def strip_first(self) -> bool:
        """Drops the text columns of the first row; returns whether it had any."""
        row = self._rows[0]
        bare = messages.drop_text_columns(row.item)
        is_other = bare != row.item
        self._replace(row, bare)
        return is_other

    def reset_to(self, position: Position) -> None:
        """Drops all rows; the calls after `position` will be added again."""
        self._rows.clear()
        self._by_call.clear()
        self.size = self.amends_file = 0
        self._last = position


def inserts(batch: list[Row]) -> str:
    """The rows to insert, as a JSON array."""
    return f"[{','.join(row.item for row in batch if not row.amends)}]"


def amendments(batch: list[Row]) -> str:
    """The amendments, of which the last of each call counts, as a JSON array."""
    latest = {row.call_id: row.item for row in batch if row.amends}
    return f"[{','.join(latest.values())}]"
