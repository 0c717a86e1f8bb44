"""A journal whose segment is full."""

from __future__ import annotations

from gatekeeper.ledger.journal import Journal


def rotate(journal: Journal) -> None:
    """Syncs with a segment size that is reached already: the journal opens its next segment."""
    size, journal._segment_bytes = journal._segment_bytes, 1
    journal.sync()
    journal._segment_bytes = size
