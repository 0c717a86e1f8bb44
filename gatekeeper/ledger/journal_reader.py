"""Reads the entries of the journal's files, for consumers that do not keep up, and after a start."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.ledger.call import Amendment, Position, memory_size
from gatekeeper.ledger.recent_entries import Entries
from gatekeeper.ledger.segments import records_between

READ_BATCH_BYTES = 4 << 20  # bytes of memory for the calls of one batch, plus at most one call


def read_entries(
    folder: Path, start: Position, stop: Position, limit: int, damaged: set[Position]
) -> tuple[Entries, Position]:
    """At most `limit` ends and amendments from `start` to `stop`, or `READ_BATCH_BYTES` of them, and the
    position to continue from. Adds the positions of damaged lines. Raises OSError, NewerJournalError."""
    found: Entries = []
    size = 0
    for after, record in records_between(folder, start, stop):
        if record is None:
            damaged.add(after)
        elif entry := record.entry:
            found.append((after, entry))
            size += memory_size(entry.call if isinstance(entry, Amendment) else entry)
            # Limited by memory too: a batch of 2,000 rows of 70 KB would take 140 MB.
            if len(found) == limit or size >= READ_BATCH_BYTES:
                return found, after
    return found, stop
