"""One gateway to a data folder and to a store of keys: locks that end with the process that holds them.

The folder itself is locked, not only `gatekeeper.lock` in it: a file can be removed and made anew, and then
two gateways hold a lock of the same name. The store of keys may lie elsewhere and be named by several, so it
has a lock of its own, in a file beside it: SQLite locks the database itself by POSIX locks, which a process
loses when it closes any descriptor of the file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

NAME = "gatekeeper.lock"


class InUse(Exception):
    """Another process holds the lock on `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@contextmanager
def hold(folder: Path, store: Path) -> Generator[None]:
    """The folder and the store of keys are this process's alone meanwhile.

    Raises InUse, with `folder` or `store`, and OSError where the folder cannot be written.
    """
    with ExitStack() as held:
        held.enter_context(_locked(folder / NAME, os.O_RDWR | os.O_CREAT, folder))
        # What cannot be locked as such: a folder on NFS, a store whose own folder is not there.
        with suppress(OSError):
            held.enter_context(_locked(folder, os.O_RDONLY, folder))
        with suppress(OSError):
            held.enter_context(_locked(beside(store), os.O_RDWR | os.O_CREAT, store))
        yield


def beside(store: Path) -> Path:
    """The lock of a store of keys, the same for every link to it."""
    real = store.resolve()
    return real.with_name(f"{real.name}.lock")


def is_held(path: Path) -> bool:
    """Whether some process has locked a file or folder."""
    try:
        with _locked(path, os.O_RDONLY, path, fcntl.LOCK_SH):
            return False
    except InUse:
        return True
    except OSError:
        return False


@contextmanager
def _locked(path: Path, flags: int, whole: Path, kind: int = fcntl.LOCK_EX) -> Generator[None]:
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(whole) from None
        yield
    finally:
        os.close(file)
