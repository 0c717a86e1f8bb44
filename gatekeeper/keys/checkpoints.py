"""Checkpoints SQLite's write-ahead log, so that the key file alone (without its -wal file) lacks no change
that is more than a moment old, even after many changes in a row."""

from __future__ import annotations

import trio

from gatekeeper.keys.sqlite_file import CHECKPOINT_INTERVAL, SqliteFile


async def make_checkpoints(file: SqliteFile) -> None:
    """Runs until cancelled; whoever closes the file then makes the last checkpoint."""
    while True:
        await trio.sleep(CHECKPOINT_INTERVAL)
        if file.needs_checkpoint:
            await trio.to_thread.run_sync(file.checkpoint)
