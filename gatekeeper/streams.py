"""Where a server's words go, stdout and stderr, when nothing may be there to take them: a full disk, a limit
on a file's size, a closed pipe, one that nobody reads. Words can be lost; the server goes on."""

from __future__ import annotations

import os
import select
import sys

PIECE = select.PIPE_BUF  # bytes; a pipe that says it is ready takes so many without waiting


class Outlet:
    """Writes to a file descriptor what it takes now, and never raises or waits. `lost` is how many texts in a
    row could not be written whole."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._torn = False
        self.lost = 0

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
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
            while written < len(data) and self._poll.poll(0):
                written += os.write(self._number, data[written : written + PIECE])
        except OSError:
            pass  # whoever should read of it is not there
        return written

    def flush(self) -> None:
        """Nothing is held back."""


def keep_standard_numbers() -> None:
    """Gives the numbers of standard streams that were closed at the start to nothing: else the next file that
    is opened gets one, a database perhaps, and every message is written into that."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
