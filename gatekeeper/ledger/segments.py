"""The journal's segment files, `00000001.ndjson` and so on: creating, appending, reading.

A line is as in `journal_record`. The first one of a segment is its header.

Bytes after the last newline of a segment are a torn write, caused by a crash or a full disk. They do not
count as a damaged line, because the line was never acknowledged as written.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gatekeeper.ledger.call import Position
from gatekeeper.ledger.journal_record import VERSION, JournalRecord, decode_line, encode_header

SUFFIX = ".ndjson"

# FALLOC_FL_KEEP_SIZE of <linux/falloc.h>.
_KEEP_SIZE = 1
# The errors of file systems and kernels that do not support it.
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class NewerJournalError(Exception):
    """A segment was written in a newer format; continuing would lose calls."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(
            f"{path} was written by a newer gatekeeper (journal format {version}; this one reads {VERSION}). "
            "Start the newer version on this data folder, or choose another folder with --data."
        )


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}{SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of the existing segments, oldest first. Files with other names are ignored."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


class Segment:
    """A segment open for writing; to be used by one thread at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        """Creates the file with its header and makes its name durable. Raises OSError.

        An existing file of that name is left over from a failed attempt and is truncated.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self.fd = os.open(segment_path(folder, number), flags, 0o600)
        self.number = number
        self.size = 0
        self.allocated: int | None = 0
        """Size up to which disk space is allocated; None if preallocation is not supported."""
        self.torn = False
        try:
            self.append(encode_header(number))
            fsync(folder)
        except OSError:
            self.close()
            raise

    @property
    def end(self) -> Position:
        return Position(self.number, self.size)

    @property
    def free_bytes(self) -> int | None:
        """How many bytes can be written even if the disk is full; None if unknown."""
        return None if self.allocated is None else self.allocated - self.size

    def preallocate(self, ahead: int) -> None:
        """Allocates disk space for `ahead` bytes, and a quarter more, so that it is seldom necessary.

        Raises OSError if the disk is full.
        """
        if self.free_bytes is not None and self.free_bytes < ahead:
            start, length = self.size, ahead * 5 // 4
            self.allocated = start + length if allocate(self.fd, start, length) else None

    def append(self, line: bytes) -> None:
        """Writes the whole line or, raising OSError, nothing of it.

        Sets `torn` if a partial write cannot be undone: then no more can be written to the segment.
        """
        try:
            # One write per line: unless it is short, a kill at any moment leaves the whole line or nothing.
            written = os.write(self.fd, line)
            while written < len(line):  # the next write raises the error that made this one short
                written += os.write(self.fd, line[written:])
        except OSError:
            self._truncate_partial_write()
            raise
        self.size += written

    def _truncate_partial_write(self) -> None:
        try:
            os.ftruncate(self.fd, self.size)
        except OSError:
            # The next line would be read as part of the torn one, and be lost.
            self.torn = True
        if self.allocated is not None:
            self.allocated = self.size  # ftruncate freed the preallocated space, too

    def fdatasync(self) -> None:
        """Makes everything written durable. Raises OSError."""
        # Not fsync: of the metadata only the size matters, and fdatasync syncs that as well.
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Frees the disk space that was not used."""
        if self.allocated:
            with suppress(OSError):
                os.ftruncate(self.fd, self.size)
        os.close(self.fd)


def earlier_segments(folder: Path) -> list[int]:
    """The numbers of the segments of earlier processes. Frees the disk space that killed ones had
    preallocated."""
    numbers = segment_numbers(folder)
    for number in numbers:
        path = segment_path(folder, number)
        with suppress(OSError):
            # To its own size: this frees the space preallocated after it (FALLOC_FL_KEEP_SIZE).
            os.truncate(path, path.stat().st_size)
    return numbers


def records(
    folder: Path, number: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[Position, JournalRecord | None]]:
    """The complete lines of a segment from byte `start` to `stop`, each with the position after it.

    A damaged line is None; a segment that has been discarded has no lines. Raises OSError, NewerJournalError.
    """
    try:
        file = segment_path(folder, number).open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        while (stop is None or start < stop) and (line := file.readline()).endswith(b"\n"):
            start += len(line)
            record = decode_line(line)
            # Only a header has `v`. A newer format must not be read on: calls would be lost.
            if record and record.v and record.v > VERSION:
                raise NewerJournalError(segment_path(folder, number), record.v)
            yield Position(number, start), record


def records_between(
    folder: Path, start: Position, stop: Position
) -> Iterator[tuple[Position, JournalRecord | None]]:
    """Like `records`, of all segments from one position to another."""
    for number in segment_numbers(folder):
        if start.segment <= number <= stop.segment:
            first = start.offset if number == start.segment else 0
            last = stop.offset if number == stop.segment else None
            yield from records(folder, number, first, last)


def count_end_records(folder: Path, number: int, start: int) -> int:
    """How many calls ended in a segment after byte `start`. Raises OSError, NewerJournalError."""
    return sum(record is not None and record.end is not None for _, record in records(folder, number, start))


def bytes_after(folder: Path, position: Position, last: int) -> int:
    """The number of bytes from a position to the end of segment `last`."""
    size = 0
    # Does not list the folder: readiness calls this also at the limit of open files.
    for number in range(last, position.segment - 1, -1):
        held = segment_size(folder, number)
        if not held:  # it was deleted, and so were all before it
            break
        size += held - (position.offset if number == position.segment else 0)
    return size


def oldest_segment_within(folder: Path, size: int) -> int:
    """The oldest segment such that it and all later ones have at most `size` bytes; at least the last one."""
    oldest = 0
    for number in reversed(segment_numbers(folder)):
        size -= segment_size(folder, number)
        if size < 0:
            return oldest or number
        oldest = number
    return oldest


def segment_size(folder: Path, number: int) -> int:
    """In bytes, without preallocated space; 0 if the file was deleted meanwhile or cannot be examined."""
    try:
        return segment_path(folder, number).stat().st_size
    except OSError:
        return 0


def discard_segment(folder: Path, number: int) -> None:
    """Deletes the file durably: after a crash it must not reappear when a later one is gone. Raises
    OSError."""
    segment_path(folder, number).unlink()
    fsync(folder)


def fsync(path: Path) -> None:
    """Makes a file's content or a folder's entries durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def allocate(fd: int, start: int, length: int) -> bool:
    """Allocates disk space for `length` bytes from `start`, so that they can be written even if the disk is
    full. Returns False if that is not supported here.

    Raises OSError if the disk is full.
    """
    # With KEEP_SIZE the file's size does not change, so readers see no difference.
    # `os.posix_fallocate` would extend the file with zeros, which every reader would have to skip.
    if sys.platform != "linux":
        return False
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _KEEP_SIZE, start, length) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


class UnwrittenLines:
    """A queue in memory of lines that could not be written. `size` is in bytes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self.size += len(line)

    def append_first(self, segment: Segment) -> None:
        """Moves the first line to the segment. Raises OSError; then the line stays."""
        segment.append(self._lines[0])
        self.size -= len(self._lines.popleft())
