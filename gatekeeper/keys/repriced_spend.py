"""Keys' spend follows the calls that `prices reprice` has given another cost, each run exactly once.

The run's differences are in the analytics file, committed with its rows; which runs keys were charged is in
the key store, committed with their spend. The run's mark in the data folder only saves looking: it is removed
last, so that after a crash in between the run is looked at again, and not charged twice.
"""

from __future__ import annotations

from pathlib import Path
from time import time_ns

import trio

from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.turns import AT_ONCE
from gatekeeper.keys.windows import Window
from gatekeeper.ledger.analytics.adjustments import charges, marked_runs, remove_mark
from gatekeeper.ledger.analytics.worker import Analytics
from gatekeeper.logs import log

CHECK_INTERVAL = 1.0  # seconds between two looks for marked runs


async def charge_repriced(registry: KeyRegistry, analytics: Analytics, folder: Path) -> None:
    """Charges the keys the differences of marked runs, unless another program has the analytics file. Raises
    AnalyticsError, StoreFailed, OSError."""
    if analytics.is_lent() or not marked_runs(folder):
        return
    windows: dict[str, Window] = {}
    for number, state in enumerate(registry.states(time_ns() // 1000), start=1):
        windows[state.record.token_id] = state.window
        # While another program has the file all keys are looked at each second.
        if number % AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    starts = {token_id: window.start for token_id, window in windows.items()}
    found = await analytics.query(lambda con: charges(con, folder, starts))
    for run_id, by_key in (found.value or {}).items():
        deltas = {
            token_id: SpendDelta(windows[token_id], charge.pico, None, charge.estimated_pico)
            for token_id, charge in by_key.items()
        }
        if await registry.adjust(run_id, deltas) and deltas:
            log.info("repriced_calls_charged", run_id=run_id, keys=len(deltas))
        # Last: after a crash in between the run is looked at again, and `adjust` charges it once.
        remove_mark(folder, run_id)


async def follow_repricing(registry: KeyRegistry, analytics: Analytics, folder: Path) -> None:
    """Charges the differences of each run once the file is back, until cancelled."""
    failing = False
    while True:
        try:
            await charge_repriced(registry, analytics, folder)
            failing = False
        except Exception as error:  # noqa: BLE001  whatever the disk or DuckDB does, the gateway keeps serving
            if not failing:
                log.warning("repriced_calls_not_charged", problem=type(error).__name__, detail=str(error))
            failing = True
        await trio.sleep(CHECK_INTERVAL)
