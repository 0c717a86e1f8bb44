"""What calls have cost of late, in a table of the key store's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from gatekeeper.keys.cost_history import MAX_ENTRIES, CostName, RecentMaximum


def load_costs(db: sqlite3.Connection) -> list[tuple[CostName, RecentMaximum]]:
    """The latest last. Deletes those that are too many."""
    db.execute(
        "DELETE FROM costs WHERE rowid NOT IN (SELECT rowid FROM costs ORDER BY rowid DESC LIMIT ?)",
        (MAX_ENTRIES,),
    )
    rows = db.execute("SELECT key_id, model, action, largest FROM costs ORDER BY rowid")
    return [
        ((key_id, model, action), msgspec.json.decode(largest, type=RecentMaximum))
        for key_id, model, action, largest in rows
    ]


def put_costs(db: sqlite3.Connection, costs: Iterable[tuple[CostName, RecentMaximum]]) -> None:
    db.executemany(
        # Replaced rows get a new rowid, the highest one.
        "INSERT OR REPLACE INTO costs (key_id, model, action, largest) VALUES (?, ?, ?, ?)",
        [(*name, msgspec.json.encode(largest).decode()) for name, largest in costs],
    )
