"""A registry of keys by itself, without a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gatekeeper.keys.fields import KeyFields
from gatekeeper.keys.key_changes import blocking, unblocked, updating
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.virtual_key import KeyState
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


# One change of one key, as the admin API makes it.


async def update_key(registry: KeyRegistry, name: str, fields: KeyFields, *, now: int, by: str) -> KeyState:
    return (await registry.edit("update", [name], updating(fields), now=now, by=by))[0]


async def block_key(registry: KeyRegistry, name: str, *, now: int, by: str) -> KeyState:
    return (await registry.edit("block", [name], blocking(now), now=now, by=by))[0]


async def unblock_key(registry: KeyRegistry, name: str, *, now: int, by: str) -> KeyState:
    return (await registry.edit("unblock", [name], unblocked, now=now, by=by))[0]


async def regenerate_key(registry: KeyRegistry, name: str, *, now: int, by: str) -> tuple[str, KeyState]:
    return (await registry.rotate([name], now=now, by=by))[0]


async def delete_key(registry: KeyRegistry, name: str, *, now: int, by: str) -> KeyState:
    return (await registry.delete([name], now=now, by=by))[0]
