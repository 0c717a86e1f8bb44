"""Disks that are full: a limit on the size of files, and a small disk of its own that a test may fill."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatekeeper.ledger import journal

BLOCK = 1 << 16
AHEAD = journal.PREALLOCATE_BYTES  # as in a gateway
LITTLE = 1 << 16  # bytes


def preallocate_little() -> None:
    """Each journal takes less disk space ahead from now on. In memory, where the tests' folders are,
    each page of it is cleared: a third of what a gateway's start costs."""
    journal.PREALLOCATE_BYTES = LITTLE


@contextmanager
def disk_ends_at(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size`: the kernel shortens a write, then refuses the next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """An empty disk of that size, in memory, at `folder`. Skips the test where none can be mounted."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs `mount`")
    if done.returncode:
        pytest.skip(f"needs to mount a small disk: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fills it, but for so many bytes, with a file that it returns: deleting that empties the disk again."""
    filler, spare = disk / "filler", disk / "spare"
    spare.write_bytes(bytes(leave))
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\1" * BLOCK)
        except OSError:
            pass
    spare.unlink()
    return filler
