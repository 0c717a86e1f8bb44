"""The data folder: its kind of spend (Google's or the sandbox's), its locks, and its permissions.

Real and simulated spend never mix. A gateway writes a marker file into its folder before anything else, and
next to a key database outside of it. A folder or database without a marker is empty, or older than the
markers: then it counts as Google's, because real spend must never be mixed with the sandbox's.

One gateway at a time: locks on the folder and on the key database, which the kernel releases when their
process ends. Only the owner has access: new files are created so, and permissions of existing ones are
restricted.
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
GATEWAY, REPRICING = "gateway", "prices reprice"
"""The kinds of processes that hold the locks; a repricing without a gateway ends by itself."""
GOOGLE, SANDBOX = "google", "sandbox"
ANALYTICS_FILE = "gatekeeper.duckdb"
CONTENTS = ("keys.sqlite", "journal", ANALYTICS_FILE)
GROUP_OTHER_BITS = 0o077
OWN_FILE_PATTERNS = ("gatekeeper.*", "keys.sqlite*", "journal", "journal/*")


def data_kind(settings: Settings) -> str:
    return SANDBOX if settings.sandbox else GOOGLE


def marker_files(settings: Settings) -> dict[Path, Path]:
    """The data folder, and the key database if it is elsewhere; each with its marker file."""
    found = {settings.data: settings.data / KIND_FILE}
    if settings.keys_file.parent != settings.data:
        found[settings.keys_file] = settings.keys_file.with_name(f"{settings.keys_file.name}.kind")
    return found


def kind_of(place: Path, marker: Path) -> str | None:
    """`google` or `sandbox`; None for a folder or database that is empty or missing. Raises OSError."""
    contents = [place / name for name in CONTENTS] if place.is_dir() else [place]
    return (_read_marker(marker) or GOOGLE) if any(path.exists() for path in contents) else None


def write_markers(settings: Settings) -> None:
    """Synced to disk when it returns. Raises OSError."""
    for marker in marker_files(settings).values():
        if _read_marker(marker) != data_kind(settings):
            with open(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
                file.write(f"{data_kind(settings)}\n")
                file.flush()
                # Synced before the first row is written: a loss of power must not leave sandbox spend without
                # a marker.
                os.fsync(file.fileno())


def _read_marker(marker: Path) -> str:
    return marker.read_text(encoding="utf-8", errors="replace").strip() if marker.exists() else ""


class DataInUse(Exception):
    """Another process holds the lock on `path`; `holder` is its kind, if it has written that."""

    def __init__(self, path: Path, holder: str = "") -> None:
        super().__init__(str(path))
        self.path, self.holder = path, holder


@contextmanager
def lock_data(folder: Path, store: Path, holder: str = GATEWAY) -> Generator[None]:
    """Locks the folder and the key database for this process; `holder` is its kind.

    Raises DataInUse, with `folder` or `store`, and OSError if the folder is not writable.
    """
    with ExitStack() as held:
        # The folder itself is locked too, not only the file in it: a file can be removed and recreated, and
        # then two gateways hold a lock of the same name.
        file = held.enter_context(_flock(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, folder))
        with suppress(OSError):  # a full disk
            os.ftruncate(file, 0)
            os.write(file, holder.encode())
        # May fail: a folder on NFS cannot be locked, the folder of the key database may be missing.
        with suppress(OSError):
            held.enter_context(_flock(folder, os.O_RDONLY, folder))
        with suppress(OSError):
            held.enter_context(_flock(lock_path(store), os.O_RDWR | os.O_CREAT, store))
        yield


def lock_path(store: Path) -> Path:
    """The lock file of a key database, the same for every link to it."""
    # A file of its own: SQLite locks the database by POSIX locks, which a process loses when it closes any
    # descriptor of that file.
    real = store.resolve()
    return real.with_name(f"{real.name}.lock")


def is_locked(path: Path) -> bool:
    """Whether some process has locked a file or folder."""
    try:
        with _flock(path, os.O_RDONLY, path, fcntl.LOCK_SH):
            return False
    except DataInUse:
        return True
    except OSError:
        return False


@contextmanager
def _flock(path: Path, flags: int, reported: Path, kind: int = fcntl.LOCK_EX) -> Generator[int]:
    # A child process must not keep the lock after this process has ended.
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            # `flock`, which is the descriptor's: a POSIX lock is lost when the process closes any other
            # descriptor of the file.
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataInUse(reported, _holder(file)) from None
        yield file
    finally:
        os.close(file)


def _holder(file: int) -> str:
    """The kind of the process that has locked this file, which it has written into it; empty for a folder."""
    try:
        return os.read(file, 100).decode(errors="replace")
    except OSError:
        return ""


def set_private_umask() -> None:
    """From now on created files, including those of DuckDB and SQLite, are accessible to their owner only."""
    os.umask(GROUP_OTHER_BITS)


def restrict_permissions(data: Path, store: Path) -> Iterator[tuple[Path, str]]:
    """Removes the permissions of group and others from the data folder, the gateway's files in it, and the
    key database. Files owned by somebody else are left unchanged; their path and the reason are yielded."""
    # By name pattern: other files in the folder are not the gateway's.
    for path in {data, *_own_files(data, store)}:
        mode = path.lstat().st_mode
        # A sticky world-writable folder (/tmp) is left as it is.
        if mode & GROUP_OTHER_BITS and not mode & stat.S_ISVTX and not stat.S_ISLNK(mode):
            try:
                path.chmod(stat.S_IMODE(mode) & ~GROUP_OTHER_BITS)
            except OSError as error:
                yield path, error.strerror or ""


def _own_files(data: Path, store: Path) -> Iterator[Path]:
    for pattern in OWN_FILE_PATTERNS:
        yield from data.glob(pattern)
    yield from store.parent.glob(f"{store.name}*")
