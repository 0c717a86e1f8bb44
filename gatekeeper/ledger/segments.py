"""The journal's files, `00000001.ndjson` and so on: made, appended to, read back.

A line is the CRC-32 of the JSON that follows, as 8 lower-case hex digits, a space, the JSON, a newline.
The first line of a segment is the header `{"v":1,"segment":42}`, the others are `{"begin":{call…}}` and
`{"end":{call…}}`. A line counts when it is whole and its checksum is right. Keys that this version does
not know are skipped, so calls may gain fields; `v` rises when older versions would misread the file.

What follows the last newline of a segment is a torn tail, the trace of a crash or of a full disk. It is no
line and no damage, for nobody was ever told that it is kept.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import msgspec

from gatekeeper.ledger.call import Call, Position

SUFFIX = ".ndjson"


class NewerJournalError(Exception):
    """A segment is in a format that this version does not know; reading on would lose calls."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(
            f"{path} was written by a newer gatekeeper (journal format {version}; this one reads {VERSION}). "
            "Start the newer version on this data folder, or choose another folder with --data."
        )


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}{SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """The segments that are there, oldest first. Files with other names are left alone."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


class Segment:
    """A segment that is being written; in one thread at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        """Makes the file with its header, its name durable. Raises OSError.

        A file that has the name already is what an attempt that failed left behind: it is started afresh.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self.fd = os.open(segment_path(folder, number), flags, 0o600)
        self.number = number
        self.size = 0
        self.allocated: int | None = 0
        """Bytes of the file for which there is room on the disk; None where that cannot be had or known."""
        self.torn = False
        try:
            self.append(frame(Record(v=VERSION, segment=number)))
            fsync(folder)
        except OSError:
            self.close()
            raise
        self.header_size = self.size

    @property
    def end(self) -> Position:
        return Position(self.number, self.size)

    @property
    def empty(self) -> bool:
        return self.size == self.header_size

    @property
    def room(self) -> int | None:
        """How many bytes can still be written, however full the disk; None where nobody knows."""
        return None if self.allocated is None else self.allocated - self.size

    def reserve(self, ahead: int) -> None:
        """Makes room for so many bytes, and a quarter more, so that it need not be done often.

        Raises OSError where the disk is full.
        """
        if self.room is not None and self.room < ahead:
            start, length = self.size, ahead * 5 // 4
            self.allocated = start + length if allocate(self.fd, start, length) else None

    def append(self, line: bytes) -> None:
        """Writes the whole line or, raising OSError, nothing of it.

        `torn` is set where the part that did get written cannot be taken back: then the segment is over.
        """
        try:
            # One write for a line: where it is whole, a kill at any moment leaves it whole or not there.
            written = os.write(self.fd, line)
            while written < len(line):  # the next write says why this one was short
                written += os.write(self.fd, line[written:])
        except OSError:
            self._take_back()
            raise
        self.size += written

    def _take_back(self) -> None:
        try:
            os.ftruncate(self.fd, self.size)
        except OSError:
            # Whatever came after it would be read as part of the torn line, and be lost.
            self.torn = True
        if self.allocated is not None:
            self.allocated = self.size  # it took back all room beyond, too

    def harden(self) -> None:
        """Makes durable what has been written. Raises OSError."""
        # Not fsync: of the file's own data only its size matters to a reader, and that is synced as well.
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Gives back the room that was not needed."""
        if self.allocated:
            with suppress(OSError):
                os.ftruncate(self.fd, self.size)
        os.close(self.fd)


def records(
    folder: Path, number: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[Position, Record | None]]:
    """The whole lines of a segment from byte `start` to `stop`, each with the position after it.

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
            record = unframe(line)
            # Only a header has it. Unknown keys do no harm, a newer form does: stop before a call is lost.
            if record and record.v and record.v > VERSION:
                raise NewerJournalError(segment_path(folder, number), record.v)
            yield Position(number, start), record


def records_between(
    folder: Path, start: Position, stop: Position
) -> Iterator[tuple[Position, Record | None]]:
    """As `records`, of all segments from one position to another."""
    for number in segment_numbers(folder):
        if start.segment <= number <= stop.segment:
            first = start.offset if number == start.segment else 0
            last = stop.offset if number == stop.segment else None
            yield from records(folder, number, first, last)


def ends_in(folder: Path, number: int, start: int) -> int:
    """How many calls ended in a segment, after byte `start`. Raises OSError, NewerJournalError."""
    return sum(record is not None and record.end is not None for _, record in records(folder, number, start))


def size_after(folder: Path, position: Position, last: int) -> int:
    """How many bytes lie after a position, up to the end of segment `last`."""
    size = 0
    # Back from the last one, and not by a list of the folder: readiness asks when no file can be opened, too.
    for number in range(last, position.segment - 1, -1):
        held = segment_size(folder, number)
        if not held:  # it was discarded, and so was all before it
            break
        size += held - (position.offset if number == position.segment else 0)
    return size


def oldest_within(folder: Path, size: int) -> int:
    """The oldest segment from which on all take at most so many bytes; the last if that alone takes more."""
    oldest = 0
    for number in reversed(segment_numbers(folder)):
        size -= segment_size(folder, number)
        if size < 0:
            return oldest or number
        oldest = number
    return oldest


def segment_size(folder: Path, number: int) -> int:
    """In bytes, without the room that is allocated ahead; 0 for one that has gone
    meanwhile, or that the disk says nothing of."""
    try:
        return segment_path(folder, number).stat().st_size
    except OSError:
        return 0


def discard_segment(folder: Path, number: int) -> None:
    """Deletes the file, durably: a later one must not be gone while this one is back. Raises OSError."""
    segment_path(folder, number).unlink()
    fsync(folder)


def fsync(path: Path) -> None:
    """Makes a file's bytes or a folder's list of names durable, whoever wrote them. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


VERSION = 1


class Record(msgspec.Struct, omit_defaults=True):
    """What a line says: the header has `v` and `segment`, any other line one of `begin` and `end`."""

    v: int | None = None
    segment: int | None = None
    begin: Call | None = None
    end: Call | None = None


ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder(Record)


def frame(record: Record) -> bytes:
    """The record as a line. A call's `usage` must be valid JSON; that is not checked again here.

    Google's JSON comes pretty-printed: a newline byte inside JSON is always white space, so a blank does.
    """
    try:
        body = ENCODER.encode(record)
    except UnicodeEncodeError:  # a lone surrogate in an alias or a path must not cost the row
        body = ENCODER.encode(Record(begin=readable(record.begin), end=readable(record.end)))
    body = body.replace(b"\n", b" ")
    return b"%08x %b\n" % (crc32(body), body)


def unframe(line: bytes) -> Record | None:
    """What a whole line says; None where it is damaged."""
    # Compared as bytes, before any decoding: what is damaged must not get as far as a parser.
    body = line[9:-1]
    if line[:9] != b"%08x " % crc32(body):
        return None
    try:
        return DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def readable(call: Call | None) -> Call | None:
    """The call with `?` for whatever UTF-8 cannot hold."""
    if call is None:
        return None
    fields = msgspec.structs.asdict(call)
    texts = {name: well_formed(value) for name, value in fields.items() if type(value) is str}
    return msgspec.structs.replace(call, tags=[well_formed(tag) for tag in call.tags], **texts)


def well_formed(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


_KEEP_SIZE = 1
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def allocate(fd: int, start: int, length: int) -> bool:
    """Makes room on the disk for so many bytes from `start`, before it is needed: what must be written can
    be, on a full disk, too. False where that is not possible here.

    Raises OSError where the disk is full.
    """
    # With KEEP_SIZE the file's size stays what has been written, so whoever reads it sees no difference.
    # `os.posix_fallocate` makes the file longer, with zeros that every reader would have to know.
    if sys.platform != "linux":
        return False
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _KEEP_SIZE, start, length) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number))
