"""The memory that the code of an idle library takes."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_DONTNEED = 4  # MADV_DONTNEED, the same on every Linux


def drop_executable_pages(library: str) -> None:
    """Releases the code pages of an idle library, whose file name starts with `library` (MADV_DONTNEED).

    DuckDB's code takes 30 MB of a process that has used it, a third of the idle gateway's memory. The pages
    are unchanged copies of a file, so the kernel can drop them and reload them from the page cache at the
    next use: measured, 3 ms to drop, 20 ms to reload. Does nothing on other systems than Linux.
    """
    # MADV_PAGEOUT would save 8 MB more, but evicts the page cache, and the next query waits for the disk.
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        # Executable and not writable: none of its pages can have been changed.
        span, permissions, *_, name = line.split()
        if permissions == "r-xp" and name.rpartition("/")[2].startswith(library):
            start, end = (int(bound, 16) for bound in span.split("-"))
            madvise(start, end - start, _DONTNEED)
