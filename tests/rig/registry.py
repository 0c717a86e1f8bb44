"""A registry of keys by itself, without a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from rig.prepared import put_new_keys_file


def key_store(path: Path) -> SqliteKeyStore:
    """The store of this file. `tests/keys/test_key_store.py` sees how a new one is made."""
    put_new_keys_file(path)
    return SqliteKeyStore(path)


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[KeyRegistry]:
    """One whose store is this file."""
    store = key_store(path)
    registry = KeyRegistry(store)
    await registry.load()
    try:
        yield registry
    finally:
        store.close()
