"""Runs of `prices reprice` whose cost differences may not have been charged to the keys yet.

A run creates a mark in the data folder: an empty file, while the analytics file is locked and before the
run's transaction commits. The mark is removed once the keys were charged. A mark without rows is of a run
that did not commit.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper.ledger.segments import fsync
from gatekeeper.money import pico

if TYPE_CHECKING:  # an idle gateway does not load DuckDB
    from duckdb import DuckDBPyConnection

MARK = "gatekeeper.reprice."
_CHARGES = """
    SELECT key_id, user_id, model, min(ended),
           CAST(sum(charge_usd) AS VARCHAR), CAST(sum(estimated_usd) AS VARCHAR)
    FROM (
        SELECT adjustments.*, user_id, model, epoch_us(ended_at) AS ended
        FROM file.adjustments LEFT JOIN file.calls ON calls.id = call_id
        WHERE run_id = TRY_CAST(? AS UUID) AND adjustments.key_id IS NOT NULL
    ) ASOF LEFT JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS start) ON ended >= start
    GROUP BY key_id, user_id, model, start
"""


class Charge(NamedTuple):
    """How much more a key is charged for its repriced calls, of which `estimated_pico` are estimates.
    `ended_at` is when the first of them ended; no budget window began between that and the end of the last
    one."""

    key_id: str
    user: str | None
    model: str | None
    ended_at: int
    pico: int
    estimated_pico: int


def mark_run(folder: Path, run_id: str) -> None:
    """Durable when it returns. Raises OSError."""
    (folder / f"{MARK}{run_id}").touch(mode=0o600)
    # The file is empty, so only the folder's entry has to be synced.
    fsync(folder)


def marked_runs(folder: Path) -> list[str]:
    return sorted(path.name.removeprefix(MARK) for path in folder.glob(f"{MARK}*"))


def remove_mark(folder: Path, run_id: str) -> None:
    (folder / f"{MARK}{run_id}").unlink(missing_ok=True)


def charges(
    con: DuckDBPyConnection, folder: Path, window_starts: Collection[int]
) -> dict[str, list[Charge]] | None:
    """What the marked runs charge, by run; None while the file is not attached. Of the calls of one charge
    either all or none count in a window that began at one of these times."""
    # Only once the file is attached: another program that has it locked may be about to create its mark and
    # commit.
    if not con.execute("FROM duckdb_databases() WHERE database_name = 'file'").fetchall():
        return None
    return {run_id: _charges_of(con, run_id, window_starts) for run_id in marked_runs(folder)}


def _charges_of(con: DuckDBPyConnection, run_id: str, window_starts: Collection[int]) -> list[Charge]:
    found = con.execute(_CHARGES, [run_id, list(window_starts)]).fetchall()
    return [
        Charge(key_id, user, model, ended_at, pico(charge), pico(estimated))
        for key_id, user, model, ended_at, charge, estimated in found
    ]
