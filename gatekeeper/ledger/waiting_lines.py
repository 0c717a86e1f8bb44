"""Lines of the journal that could not be written yet."""

from __future__ import annotations

from collections import deque

from gatekeeper.ledger.segments import Segment


class UnwrittenLines:
    """They wait in memory, in their order. `size` is their number of bytes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self.size += len(line)

    def append_first(self, segment: Segment) -> None:
        """Moves the first one to the segment. Raises OSError; then it goes on waiting."""
        segment.append(self._lines[0])
        self.size -= len(self._lines.popleft())
