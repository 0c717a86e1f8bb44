"""The stores of a data folder, keys and ledger: opened, brought up to the journal's end, and closed.

The caller holds the lock of the data folder (`data_dir.lock_data`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple
from zoneinfo import ZoneInfo

import trio

from gatekeeper.google_key import SANDBOX_KEY
from gatekeeper.keys.audit import AuditLog, SqliteAuditStore
from gatekeeper.keys.google_key_changes import GoogleKeyChanges, SqliteGoogleKeyStore
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.journal_consumer import KeyStoreProjection, SqliteFreeSearchStore
from gatekeeper.keys.limits import Limits
from gatekeeper.keys.long_decodes import LongDecodes, SqliteContinuationStore
from gatekeeper.keys.owners import Owners, SqliteOwnerStore
from gatekeeper.keys.pending_charges import PendingCharges, SqlitePendingStore
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sessions import Sessions, SqliteSessionStore
from gatekeeper.keys.sqlite_file import StoreError
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.ledger.segments import NewerJournalError
from gatekeeper.logs import log
from gatekeeper.money import pico
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.runtime import now_micros
from gatekeeper.settings import Settings

SCHEMAS_WITHOUT_OWNERS = range(1, 9)


class DataUnusable(Exception):
    """The data cannot be used; the message is one line."""


class DataStores(NamedTuple):
    store: SqliteKeyStore
    registry: KeyRegistry
    audit: AuditLog
    sessions: Sessions
    long_decodes: LongDecodes
    free_searches: FreeSearches
    pending: PendingCharges
    owners: Owners
    google_keys: GoogleKeyChanges
    ledger: Ledger


@asynccontextmanager
async def open_data(settings: Settings) -> AsyncGenerator[DataStores]:
    """On exit all calls are moved into the analytics file. Raises DataUnusable."""
    try:
        stores = await _open(settings)
    except (OSError, StoreError, NewerJournalError) as error:
        raise DataUnusable(f"the data in {settings.data} cannot be used: {error}") from None
    try:
        yield stores
    finally:
        # Shielded: a cancelled shutdown must still write what is in memory. The ledger first: closing it
        # stores the spend in the key database.
        with trio.CancelScope(shield=True):
            await stores.ledger.close()
            stores.store.close()


def _gateway_limits(settings: Settings) -> Limits:
    """The limits of all calls together."""
    return Limits(
        max_budget_pico=None if settings.max_budget is None else pico(settings.max_budget),
        soft_budget_pico=None if settings.soft_budget is None else pico(settings.soft_budget),
        budget_duration=settings.budget_duration,
        rpm_limit=settings.rpm_limit,
        tpm_limit=settings.tpm_limit,
        max_parallel_requests=settings.max_parallel_requests,
    )


async def _open(settings: Settings) -> DataStores:
    store = SqliteKeyStore(settings.keys_file)
    registry, audit = (
        KeyRegistry(store, ZoneInfo(settings.timezone), gateway=_gateway_limits(settings)),
        AuditLog(SqliteAuditStore(store)),
    )
    sessions = Sessions(SqliteSessionStore(store))
    # Removes expired ones only: uploads and tokens survive a restart.
    await sessions.purge(now_micros())
    ledger = Ledger(settings.data, settings.timezone)
    # Spend is brought up to the journal's end before the first call; otherwise a used-up budget would be
    # available again after a kill -9.
    long_decodes = LongDecodes(SqliteContinuationStore(store))
    await long_decodes.load()
    searches = SqliteFreeSearchStore(store)
    pending = PendingCharges(SqlitePendingStore(store))
    await pending.load()
    # Without a Google key the upstream is the sandbox, which accepts any.
    google_keys = GoogleKeyChanges(
        GoogleKeys(settings.own_google_keys or (SANDBOX_KEY,)), SqliteGoogleKeyStore(store)
    )
    for label in await google_keys.load():
        remedy = "the settings have another key with its label or secret: name one differently, or remove it"
        log.warning("stored_google_key_not_used", key=label, remedy=remedy)
    owners = Owners(SqliteOwnerStore(store), registry.sharing, shows_unowned=settings.unowned == "allow")
    await owners.load()
    key_store_projection = KeyStoreProjection(
        registry, long_decodes, searches, pending, owners, google_keys.pool, await registry.load()
    )
    warn_of_unowned(store, settings)
    subscription = ledger.consumers.subscribe(key_store_projection, retention_bytes=None)
    ledger.recover()
    await subscription.feed()
    key_store_projection.replaying = False
    free_searches = FreeSearches(await trio.to_thread.run_sync(searches.totals), google_keys.pool.project_of)
    return DataStores(
        store,
        registry,
        audit,
        sessions,
        long_decodes,
        free_searches,
        pending,
        owners,
        google_keys,
        ledger,
    )


def warn_of_unowned(store: SqliteKeyStore, settings: Settings) -> None:
    """Warns, once, at the first start after an update from a version without owners: keys cannot see any more
    what they had created before."""
    if store.schema_before in SCHEMAS_WITHOUT_OWNERS and settings.unowned == "deny":
        detail = "files, caches, batches … of before this version belong to nobody, and keys do not see them"
        log.warning("resources_without_owner", detail=detail, remedy="set unowned to `allow` to show them")
