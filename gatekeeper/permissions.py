"""Who may read the data folder: its owner. What is new is made so; what was there is brought to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

OTHERS = 0o077
OURS = ("gatekeeper.*", "keys.sqlite*", "journal", "journal/*")


def keep_private() -> None:
    """From now on whatever this process makes is its owner's alone, DuckDB's and SQLite's own files too."""
    os.umask(OTHERS)


def tighten(data: Path, store: Path) -> None:
    """Takes what others may do away from the data folder, from what is ours in it, and from the store of keys
    where that is elsewhere. What belongs to somebody else is left as it is, and the log says so."""
    for path in {data, *_ours(data, store)}:
        mode = path.lstat().st_mode
        # A folder that is everybody's by its nature (/tmp) stays that.
        if mode & OTHERS and not mode & stat.S_ISVTX and not stat.S_ISLNK(mode):
            try:
                path.chmod(stat.S_IMODE(mode) & ~OTHERS)
            except OSError as fault:
                log.warning("file_open_to_others", path=str(path), detail=fault.strerror)


def _ours(data: Path, store: Path) -> Iterator[Path]:
    for pattern in OURS:
        yield from data.glob(pattern)
    yield from store.parent.glob(f"{store.name}*")
