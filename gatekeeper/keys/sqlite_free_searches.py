"""What each call has taken of Google's free allowance of searches, in a table of the keys' SQLite file.

A projection of the journal, written before the spend's watermark moves on: what a killed process has not
stored is replayed, and to store a call again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from gatekeeper.keys.sqlite_file import SqliteFile
from gatekeeper.pricing.allowance import Period

KEPT = timedelta(days=62)  # a month's allowance is counted until its last call has ended


class FreeSearch(NamedTuple):
    """The free searches of one call."""

    call_id: str
    period: Period
    taken: int


class SqliteFreeSearchStore:
    """Shares the file with its owner, which closes it. Methods block, and raise StoreFailed."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def totals(self) -> dict[Period, int]:
        with self._file.transaction() as db:
            rows = db.execute(
                "SELECT project, pool, starts, sum(taken) FROM free_searches GROUP BY project, pool, starts"
            ).fetchall()
        return {
            Period(project, pool, date.fromisoformat(starts)): taken for project, pool, starts, taken in rows
        }

    def put(self, searches: Sequence[FreeSearch]) -> None:
        """Adds what calls have taken, and removes what is too old to count."""
        expired = max(each.period.starts for each in searches) - KEPT
        with self._file.transaction() as db:
            db.executemany(
                # What a killed process had stored already is offered again by the replay of the journal.
                "INSERT OR IGNORE INTO free_searches (call_id, project, pool, starts, taken) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        each.call_id,
                        each.period.project,
                        each.period.pool,
                        each.period.starts.isoformat(),
                        each.taken,
                    )
                    for each in searches
                ],
            )
            db.execute("DELETE FROM free_searches WHERE starts < ?", (expired.isoformat(),))
