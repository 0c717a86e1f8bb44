"""Whether a file has changed."""

from __future__ import annotations

from pathlib import Path


def file_state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced, and when it is given other permissions; None if it is
    missing or out of reach."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
