"""The keys' file holds by itself what is older than a moment, also where many changes followed each other."""

from __future__ import annotations

import trio

from gatekeeper.keys.sqlite_file import CHECKPOINT_INTERVAL, SqliteFile


async def make_checkpoints(file: SqliteFile) -> None:
    """Runs until cancelled; whoever closes the file then makes the last checkpoint."""
    while True:
        await trio.sleep(CHECKPOINT_INTERVAL)
        if file.has_unmoved:
            await trio.to_thread.run_sync(file.checkpoint)
