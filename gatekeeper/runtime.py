"""Calls to the operating system and the interpreter: the time of day, file descriptors, standard streams,
whether a file has changed, the time zone, the memory of an idle library, the garbage collector.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WRITE_SIZE = select.PIPE_BUF  # bytes that a writable pipe accepts without blocking
_DONTNEED = 4  # MADV_DONTNEED, the same on every Linux


def now_micros() -> int:
    """The time of day in microseconds since 1970."""
    return time.time_ns() // 1000


def raise_descriptor_limit() -> None:
    """Raises the soft limit to the hard one: each client and each upstream connection needs a descriptor, and
    the soft limit is often 1,024 for the sake of old programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it does not report
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def can_open_file() -> bool:
    """Whether one more file or connection can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def file_state(path: Path) -> tuple[int, ...] | None:
    """The state of a file, which differs after it was written or replaced, or its permissions were changed;
    None if it is missing or not accessible."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def reserve_standard_fds() -> None:
    """Opens /dev/null for standard streams that were closed at startup: otherwise the next opened file, a
    database perhaps, gets their descriptor, and messages are written into it."""
    # The system assigns the lowest free descriptor, so this fills 0 to 2 and stops after them.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def avoid_unknown_zone() -> None:
    """Sets `TZ` to UTC if its offset is a day or more: Python refuses to convert times to such a zone. The C
    library takes UTC for other invalid zones, too."""
    if max(abs(time.timezone), abs(time.altzone)) >= 86_400:
        os.environ["TZ"] = "UTC"
        time.tzset()


class NonBlockingWriter:
    """Writes to a file descriptor, and never raises or waits. Output may be a full disk, a closed pipe or one
    that nobody reads: lines can be lost, the server continues. `lost` is how many texts in a row could not be
    written completely."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._partial_line = False
        self.lost = 0

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        # A partial line is ended first, so that the next one can be parsed.
        if self._partial_line:
            data = b"\n" + data
        written = self._write(data)
        if written == len(data):
            self._partial_line, self.lost = False, 0
        else:
            self._partial_line, self.lost = self._partial_line or written > 0, self.lost + 1

    def _write(self, data: bytes) -> int:
        """Returns how many bytes were written."""
        written = 0
        try:
            # Polled before each write: a pipe that nobody reads would block the event loop.
            while written < len(data) and self._poll.poll(0):
                written += os.write(self._number, data[written : written + WRITE_SIZE])
        except OSError:
            pass  # the reader has closed the pipe
        return written

    def flush(self) -> None:
        """Does nothing: there is no buffer."""


def drop_executable_pages(library: str) -> None:
    """Releases the code pages of an idle library, whose file name starts with `library` (MADV_DONTNEED).

    DuckDB's code takes 30 MB of a process that has used it, a third of the idle gateway's memory. The pages
    are unchanged copies of a file, so the kernel can drop them and reload them from the page cache at the
    next use: measured, 3 ms to drop, 20 ms to reload. Does nothing on other systems than Linux.
    """
    # MADV_PAGEOUT would save 8 MB more, but evicts the page cache, and the next query waits for the disk.
    if sys.platform != "linux":
        return
    # Imported here: `gatekeeper --help` does without.
    import ctypes
    from pathlib import Path

    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        # Executable and not writable: none of its pages can have been changed.
        span, permissions, *_, name = line.split()
        if permissions == "r-xp" and name.rpartition("/")[2].startswith(library):
            start, end = (int(bound, 16) for bound in span.split("-"))
            madvise(start, end - start, _DONTNEED)


@contextlib.contextmanager
def collection_paused() -> Generator[None]:
    """Pauses the garbage collector while very many permanent objects are created: scanning them repeatedly
    takes longer than creating them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def tune_gc() -> None:
    """Makes the garbage collector run less often: objects made at startup live as long as the process, and a
    call's objects, some hundreds, are mostly freed by their reference count. Measured: 8 to 10 % of a call's
    CPU, and of a start's."""
    gc.set_threshold(20_000, 50, 100)
