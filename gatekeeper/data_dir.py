"""The data folder: whose money it counts, who may use it, and who may read it.

Google's or the sandbox's, which is none: the two never mix. A gateway marks its folder before it writes
anything else there, and the key database where that lies elsewhere. A folder or database without a mark is
empty, or from before there were marks: then it counts as Google's, because what is real must not be mixed
with play by mistake.

One gateway at a time: locks on the folder and on the store of keys, which end with the process that holds
them. Its owner alone: what is new is made so, and what was there is brought to it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gatekeeper.settings import Settings

KIND_FILE = "gatekeeper.kind"
LOCK_FILE = "gatekeeper.lock"
GOOGLE, SANDBOX = "google", "sandbox"
ANALYTICS_FILE = "gatekeeper.duckdb"
CONTENTS = ("keys.sqlite", "journal", ANALYTICS_FILE)
OTHERS = 0o077
OURS = ("gatekeeper.*", "keys.sqlite*", "journal", "journal/*")


def kind(settings: Settings) -> str:
    return SANDBOX if settings.sandbox else GOOGLE


def places(settings: Settings) -> dict[Path, Path]:
    """The data folder, and the key database if it is elsewhere; each with the file that marks it."""
    found = {settings.data: settings.data / KIND_FILE}
    if settings.keys_file.parent != settings.data:
        found[settings.keys_file] = settings.keys_file.with_name(f"{settings.keys_file.name}.kind")
    return found


def kind_of(place: Path, mark: Path) -> str | None:
    """None for what is empty or not there. Raises OSError."""
    contents = [place / name for name in CONTENTS] if place.is_dir() else [place]
    return (_said(mark) or GOOGLE) if any(path.exists() for path in contents) else None


def leave_marks(settings: Settings) -> None:
    """On disk when it returns. Raises OSError."""
    for mark in places(settings).values():
        if _said(mark) != kind(settings):
            with open(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
                file.write(f"{kind(settings)}\n")
                file.flush()
                # On disk before the first row is: a loss of power must not leave the sandbox's money
                # unmarked.
                os.fsync(file.fileno())


def _said(mark: Path) -> str:
    return mark.read_text(encoding="utf-8", errors="replace").strip() if mark.exists() else ""


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
        # The folder itself is locked too, not only the file in it: a file can be removed and made anew, and
        # then two gateways hold a lock of the same name.
        held.enter_context(_locked(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, folder))
        # What cannot be locked as such: a folder on NFS, a store whose own folder is not there.
        with suppress(OSError):
            held.enter_context(_locked(folder, os.O_RDONLY, folder))
        with suppress(OSError):
            held.enter_context(_locked(beside(store), os.O_RDWR | os.O_CREAT, store))
        yield


def beside(store: Path) -> Path:
    """The lock of a store of keys, the same for every link to it."""
    # A file of its own: SQLite locks the database by POSIX locks, which a process loses when it closes any
    # descriptor of that file.
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
    # A process that we start must not hold the lock on after us.
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(whole) from None
        yield
    finally:
        os.close(file)


def keep_private() -> None:
    """From now on whatever this process makes is its owner's alone, DuckDB's and SQLite's own files too."""
    os.umask(OTHERS)


def tighten(data: Path, store: Path) -> Iterator[tuple[Path, str]]:
    """Takes what others may do away from the data folder, from what is ours in it, and from the store of keys
    where that is elsewhere. What belongs to somebody else is left as it is: its path, and why, come
    out."""
    # By name and not by what is in the folder: other people's files are not ours to close.
    for path in {data, *_ours(data, store)}:
        mode = path.lstat().st_mode
        # A folder that is everybody's by its nature (/tmp) stays that.
        if mode & OTHERS and not mode & stat.S_ISVTX and not stat.S_ISLNK(mode):
            try:
                path.chmod(stat.S_IMODE(mode) & ~OTHERS)
            except OSError as fault:
                yield path, fault.strerror or ""


def _ours(data: Path, store: Path) -> Iterator[Path]:
    for pattern in OURS:
        yield from data.glob(pattern)
    yield from store.parent.glob(f"{store.name}*")
