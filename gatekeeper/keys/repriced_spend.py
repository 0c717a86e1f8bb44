"""Adjusts the spend of accounts to the costs that `prices reprice` has changed, once per run.

The run's differences are in the analytics file, committed with its rows; which runs were charged is in the
key store, committed with the spend. The run's mark in the data folder only saves looking: it is removed last,
so that after a crash in between the run is looked at again, and not charged twice.
"""

from __future__ import annotations

from pathlib import Path
from time import time_ns

import trio

from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.spend import AccountCharge
from gatekeeper.ledger.analytics.uncharged_runs import Charge, charges, marked_runs, remove_mark
from gatekeeper.ledger.analytics.worker import Analytics
from gatekeeper.logs import log

CHECK_INTERVAL = 1.0  # seconds between two looks for marked runs


async def charge_repriced(registry: KeyRegistry, analytics: Analytics, folder: Path) -> None:
    """Charges the differences of marked runs, unless another process has opened the analytics file. Raises
    AnalyticsError, StoreFailed, OSError."""
    if analytics.is_lent() or not marked_runs(folder):
        return
    starts = await registry.window_starts(time_ns() // 1000)
    found = await analytics.query(lambda con: charges(con, folder, starts))
    for run_id, charged in (found.value or {}).items():
        settled = [each for charge in charged for each in _account_charges(registry, charge)]
        if await registry.adjust(run_id, settled) and charged:
            log.info("repriced_calls_charged", run_id=run_id, keys=len({each.key_id for each in charged}))
        # Last: after a crash in between the run is looked at again, and `adjust` charges it once.
        remove_mark(folder, run_id)


def _account_charges(registry: KeyRegistry, charge: Charge) -> tuple[AccountCharge, AccountCharge]:
    key_id, user, model, ended_at, pico, estimated_pico = charge
    # The file does not tell in which group the key was then.
    group = state.record.group if (state := registry.by_id(key_id)) else None
    known = AccountCharge(
        key_id, pico - estimated_pico, ended_at, is_use=False, group=group, user=user, model=model
    )
    return known, known._replace(cost_pico=estimated_pico, estimated=True)


async def poll_repriced_runs(registry: KeyRegistry, analytics: Analytics, folder: Path) -> None:
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
