"""What a server asks of its process: descriptors, standard streams, the garbage collector."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import sys

PIECE = select.PIPE_BUF  # bytes; a pipe that says it is ready takes so many without waiting


def raise_descriptor_limit() -> None:
    """Each client and each call's upstream connection needs one. The soft limit becomes the hard one: it is
    often 1,024 for the sake of old programs, and is the process's own to raise."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower one that it does not name
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def has_descriptors() -> bool:
    """Whether one more file or connection can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def keep_standard_numbers() -> None:
    """Gives the numbers of standard streams that were closed at the start to nothing: else the next file that
    is opened gets one, a database perhaps, and every message is written into that."""
    # The system gives the lowest number that is free, so this fills 0 to 2 and stops behind them.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


class Outlet:
    """Writes to a file descriptor what it takes now, and never raises or waits. `lost` is how many texts in a
    row could not be written whole. What should take the words may be a full disk, a closed pipe, one that
    nobody reads: words can be lost, and the server goes on."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._torn = False
        self.lost = 0

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        # A line that was cut is ended, so that the next one can be read by machines.
        if self._torn:
            data = b"\n" + data
        written = self._write(data)
        if written == len(data):
            self._torn, self.lost = False, 0
        else:
            self._torn, self.lost = self._torn or written > 0, self.lost + 1

    def _write(self, data: bytes) -> int:
        """How much of it was taken."""
        written = 0
        try:
            # Asked before each piece: a pipe that nobody reads would hold up the whole event loop.
            while written < len(data) and self._poll.poll(0):
                written += os.write(self._number, data[written : written + PIECE])
        except OSError:
            pass  # whoever should read of it is not there
        return written

    def flush(self) -> None:
        """Nothing is held back."""


def spare_collections() -> None:
    """Fewer looks of the garbage collector at what is no garbage: what start-up made lives as long as we do,
    and a call's objects, some hundreds, mostly go by themselves. Measured: 8 to 10 % of a call's CPU."""
    gc.collect()
    # What was frozen is never looked at again: modules, classes, catalogue, schema.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
