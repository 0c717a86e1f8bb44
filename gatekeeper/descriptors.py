"""File descriptors: each client and each call's upstream connection needs one, and a process may have a
limited number."""

from __future__ import annotations

import contextlib
import os
import resource


def raise_limit() -> None:
    """The soft limit becomes the hard one. The soft one is often 1,024 for the sake of old programs, and is
    the process's own to raise."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower one that it does not name
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def any_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
