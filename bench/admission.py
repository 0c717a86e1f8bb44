"""What many keys take: memory for each, the time to load them, to list a page of them, and to admit a call
with every rule on. `python -m bench.admission [--keys 100000]`. Times are of one core (CPU), the quickest of
some rounds: whatever else runs on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import trio

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.request_parser import EMPTY_BODY
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account
from gatekeeper.keys.admission import admit, admit_body
from gatekeeper.keys.budgets import Budgets, CostForecast, Reservation, accounts_with_budget
from gatekeeper.keys.rate_rules import limits_of_accounts, limits_of_models
from gatekeeper.keys.rates import ExpectedTokens, RateReservation, Rates
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.virtual_key import KeyRecord
from gatekeeper.money import PICO
from gatekeeper.pricing.bound import RequestedUse, bound
from gatekeeper.runtime import tune_gc
from gatekeeper.startup import load_catalogue

ACTION, MODEL = "generateContent", "gemini-2.5-flash"
DAY = date(2025, 11, 24)
NOW = 1_764_000_000_000_000
TEN_DAYS = 10 * 86_400_000_000  # microseconds
ROUNDS = 7
CALLS = 2000  # in a round
PAGE = 100


def secret(number: int) -> str:
    return f"sk-of-the-bench-{number:027d}"


def record(number: int) -> KeyRecord:
    """A key as it is made for an app: an alias, a group, a budget, rates and some policies."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return KeyRecord(
        token_id=f"key_{digest[:16]}",
        secret_hash=hash_secret(secret(number)),
        key_name=f"sk-...{digest[-4:]}",
        key_alias=f"app-{number}",
        models=("gemini-2.5-*", "gemini-embedding-001"),
        allowed_routes=("generateContent", "streamGenerateContent", "embedContent"),
        max_budget_pico=50 * PICO,
        soft_budget_pico=40 * PICO,
        budget_duration="30d",
        rpm_limit=600,
        tpm_limit=1_000_000,
        max_parallel_requests=20,
        max_output_tokens=8192,
        tags=("checkout", f"region-{number % 7}"),
        user_id=f"user-{number % 1000}",
        group=f"group-{number % 100}",
        expires_at=NOW + 86_400_000_000 * 365,
        created_at=NOW + number,
        updated_at=NOW + number,
    )


def make(path: Path, keys: int) -> None:
    store = SqliteKeyStore(path)
    with store.write_transaction() as db:
        db.executemany(
            "INSERT INTO keys (token_id, secret_hash, key_alias, record, spend_pico, window_start, "
            "budget_reset_at) VALUES (?, ?, ?, ?, '0', ?, ?)",
            (
                (
                    key.token_id,
                    key.secret_hash,
                    key.key_alias,
                    msgspec.json.encode(key).decode(),
                    NOW,
                    NOW + TEN_DAYS,
                )
                for key in map(record, range(keys))
            ),
        )
    store.close()


def make_elsewhere(path: Path, keys: int) -> None:
    maker = multiprocessing.get_context("spawn").Process(target=make, args=(path, keys))
    maker.start()
    maker.join()


def resident() -> int:
    """Bytes of this process's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def quickest(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of one of `times` runs in the quickest round."""
    return min(_seconds(work, times) for _ in range(ROUNDS)) / times


def _seconds(work: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - begun


async def main(keys: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.sqlite"
        # In another process: memory that it leaves behind would hide what the keys take.
        await trio.to_thread.run_sync(make_elsewhere, path, keys)
        gc.collect()
        before = resident()
        store = SqliteKeyStore(path)
        registry = KeyRegistry(store)
        begun = time.process_time()
        await registry.load()
        print(f"{keys:,} keys loaded in       {time.process_time() - begun:8.2f} s")
        gc.collect()
        print(f"memory of a key              {(resident() - before) / keys:8.0f} bytes")
        await lists(registry)
        admission(registry, keys)
        store.close()


async def lists(registry: KeyRegistry) -> None:
    page = await registry.list(NOW, limit=PAGE)
    for what, query in (
        ("the newest", {}),
        ("the next", {"cursor": page.next_cursor}),
        ("by spend", {"sort": "-spend"}),
        ("by alias", {"sort": "key_alias"}),
        ("with a text", {"q": "app-777"}),
        ("with a text of none", {"q": "nobody"}),
    ):
        seconds = math.inf
        for _ in range(ROUNDS):
            begun = time.process_time()
            await registry.list(NOW, limit=PAGE, **query)
            seconds = min(seconds, time.process_time() - begun)
        print(f"a page of {PAGE}, {what:<20}{seconds * 1000:7.1f} ms")


def admission(registry: KeyRegistry, keys: int) -> None:
    request = AccessRequest(
        ACTION,
        MODEL,
        f"/v1beta/models/{MODEL}:{ACTION}",
        Billing.METERED,
        request_summary=msgspec.structs.replace(EMPTY_BODY.summary, max_output_tokens=1024),
    )
    shown = secret(keys // 2)
    rates, budgets, catalogue = Rates(), Budgets(), load_catalogue()
    expected = ExpectedTokens(1000, 1024)
    asked = RequestedUse(
        action=ACTION,
        request_bytes=4000,
        has_references=False,
        is_text=True,
        output_tokens=1024,
        candidates=1,
        tiers=(),
        searches=0,
        units={},
    )

    def rules() -> tuple[Account, ...]:
        key = registry.by_hash(hash_secret(shown))
        accounts = registry.accounts.of(key, "user-1")
        refusal = admit(accounts, request, NOW) or admit_body(accounts, request, NOW)
        assert refusal is None, refusal
        return accounts

    def reserve(accounts: tuple[Account, ...]) -> None:
        known = bound(catalogue, MODEL, DAY, asked)
        reservation = budgets.try_reserve(
            accounts_with_budget(accounts), CostForecast(known.pico, known.is_firm, None), NOW
        )
        assert isinstance(reservation, Reservation), reservation
        budgets.release(reservation)

    def take(accounts: tuple[Account, ...]) -> None:
        applied = limits_of_accounts(accounts, counts_tokens=True)
        applied += limits_of_models(accounts, [MODEL], counts_tokens=True)
        taken = rates.admit(applied, expected, NOW)
        assert isinstance(taken, RateReservation), taken
        taken.undo()

    def call() -> None:
        accounts = rules()
        reserve(accounts)
        take(accounts)

    tune_gc()  # as serve does
    accounts = rules()
    for what, work in (
        ("a call is admitted in", call),
        ("  of which its rules", rules),
        ("  a reservation, and its end", lambda: reserve(accounts)),
        ("  rates, and their end", lambda: take(accounts)),
    ):
        print(f"{what:<29}{quickest(work, CALLS) * 1e6:8.1f} µs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    trio.run(main, parser.parse_args().keys)
