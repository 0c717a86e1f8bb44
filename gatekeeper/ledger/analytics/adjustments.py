"""Runs of `prices reprice` whose differences keys may not have been charged yet.

A run leaves a mark in the data folder: an empty file, made while the analytics file is locked and before the
run's transaction commits. Whoever has charged the keys removes it. A mark without rows is that of a run that
did not commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper.ledger.segments import fsync
from gatekeeper.money import pico

if TYPE_CHECKING:  # an idle gateway does not load DuckDB
    from duckdb import DuckDBPyConnection

MARK = "gatekeeper.reprice."
_CHARGES = """
    SELECT key_id, CAST(sum(charge_usd) AS VARCHAR), CAST(sum(estimated_usd) AS VARCHAR)
    FROM file.adjustments
    JOIN (SELECT unnest(CAST(? AS VARCHAR[])) AS key_id, unnest(CAST(? AS BIGINT[])) AS start) USING (key_id)
    WHERE run_id = TRY_CAST(? AS UUID) AND epoch_us(ended_at) >= start GROUP BY key_id
"""


class KeyCharge(NamedTuple):
    """By how much a key is charged more in its budget window, of which `estimated_pico` is estimates."""

    pico: int
    estimated_pico: int


def mark_run(folder: Path, run_id: str) -> None:
    """Durable when it returns. Raises OSError."""
    (folder / f"{MARK}{run_id}").touch(mode=0o600)
    # The entry of the folder is all that there is of it.
    fsync(folder)


def marked_runs(folder: Path) -> list[str]:
    return sorted(path.name.removeprefix(MARK) for path in folder.glob(f"{MARK}*"))


def remove_mark(folder: Path, run_id: str) -> None:
    (folder / f"{MARK}{run_id}").unlink(missing_ok=True)


Charges = dict[str, dict[str, KeyCharge]]
"""By run, by key."""


def charges(con: DuckDBPyConnection, folder: Path, window_starts: Mapping[str, int]) -> Charges | None:
    """What the marked runs charge these keys for calls that ended in their windows; None while the file is
    not attached."""
    # Not before the file is attached: a program that has it may be about to mark its run, and to commit.
    if not con.execute("FROM duckdb_databases() WHERE database_name = 'file'").fetchall():
        return None
    return {run_id: _charges_of(con, run_id, window_starts) for run_id in marked_runs(folder)}


def _charges_of(
    con: DuckDBPyConnection, run_id: str, window_starts: Mapping[str, int]
) -> dict[str, KeyCharge]:
    found = con.execute(_CHARGES, [list(window_starts), list(window_starts.values()), run_id]).fetchall()
    return {key_id: KeyCharge(pico(charge), pico(estimated)) for key_id, charge, estimated in found}
