"""A registry of keys by itself, without a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sqlite_store import SqliteKeyStore


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[KeyRegistry]:
    """One whose store is this file."""
    store = SqliteKeyStore(path)
    registry = KeyRegistry(store)
    await registry.load()
    try:
        yield registry
    finally:
        store.close()
