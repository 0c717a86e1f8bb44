"""One DuckDB instance: the file while it is attached, the table `pending`, and the view `calls` of both.

Beware of opening the file in this process in any other way, be it to read its first bytes: its locks are
POSIX locks, and closing any descriptor of the file drops them.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

import duckdb
from duckdb import DuckDBPyConnection

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.analytics import messages
from gatekeeper.ledger.analytics.messages import FileHeld, FileUnusable, RowsRefused, TookTooLong
from gatekeeper.ledger.call import COLUMNS, START, Position
from gatekeeper.ledger.segments import fsync

QUESTION_SECONDS = 10.0  # others wait so long for a question of a search or a sum

SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS file.calls ({messages.COLUMN_DEFINITIONS});
    CREATE TABLE IF NOT EXISTS file.watermark ({messages.POSITION_DEFINITIONS});
    INSERT INTO file.watermark SELECT 0, 0 WHERE NOT EXISTS (FROM file.watermark);
"""
PENDING = f"CREATE TABLE pending ({messages.COLUMN_DEFINITIONS}, {messages.POSITION_DEFINITIONS})"
ALONE = f"CREATE OR REPLACE VIEW calls AS SELECT {messages.NAMES} FROM pending"  # noqa: S608
BOTH = f"""
    CREATE OR REPLACE VIEW calls AS SELECT {messages.NAMES} FROM file.calls
    UNION ALL SELECT {messages.NAMES} FROM pending
    WHERE (segment, "offset") > (SELECT (segment, "offset") FROM file.watermark)
"""  # noqa: S608


class Database:
    """Opened without the file. Costs some 15 MB, and 5 to 40 ms, beyond what importing DuckDB costs."""

    def __init__(self, folder: Path, memory: str = "512MB", temporary: str = f"{ANALYTICS_FILE}.tmp") -> None:
        self._path = folder / ANALYTICS_FILE
        self._memory = memory
        self._temporary = folder / temporary
        self.watermark: Position | None = None
        """How far in the journal the file is; None while it is not attached."""
        self._inode: tuple[int, int] | None = None
        self.con = duckdb.connect(":memory:", config=self._settings())
        self._lock_up()
        self.con.execute(PENDING)
        self.con.execute(ALONE)

    def _settings(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "threads": 2,
            "memory_limit": self._memory,
            "temp_directory": str(self._temporary),
            "max_temp_directory_size": "2GB",
            # Neither fetches anything: a query must not make the gateway load code from the network.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # else a SELECT could reach our local variables
        }

    def _lock_up(self) -> None:
        """From here on DuckDB opens no file but ours, and no query can change that."""
        files = [
            f"'{_quoted(path)}{end}'"
            for path in (self._path, self._birthplace)
            # DuckDB opens these beside the file itself, some at a checkpoint or after a crash only.
            for end in ("", ".wal", ".wal.checkpoint", ".wal.recovery")
        ]
        # UTC whatever the machine has: casts of a time to text and to a day depend on it.
        self.con.execute("SET TimeZone = 'UTC'")
        self.con.execute(f"SET allowed_paths = [{', '.join(files)}]")
        # In this order: the paths can no longer be set once access is off, nor anything once it is locked.
        self.con.execute("SET enable_external_access = false")
        self.con.execute("SET lock_configuration = true")

    @property
    def _birthplace(self) -> Path:
        return self._path.with_name(f"{ANALYTICS_FILE}.new")

    def attach(self, *, read_only: bool = False) -> None:
        """Locks and opens the file, which it makes if there is none. Raises FileHeld, FileUnusable.

        For reading only it must be there, and other processes may have it so at the same time.
        """
        if self.watermark is not None:
            return
        with self.translated():
            if read_only:
                self.con.execute(f"ATTACH '{_quoted(self._path)}' AS file (READ_ONLY)")
            else:
                self._attach_to_write()
            self.con.execute(BOTH)
            # To notice a file that is deleted under us: its descriptor would go on taking rows.
            self._inode = inode(self._path)
            self.watermark = Position(*self.con.execute("FROM file.watermark").fetchall()[0])

    def _attach_to_write(self) -> None:
        if not self._path.exists():
            self._create()
        self.con.execute(f"ATTACH '{_quoted(self._path)}' AS file")
        self.con.execute(SCHEMA)
        self._add_columns()

    def detach(self) -> None:
        """Lets go of the file and of nothing else. Raises FileUnusable."""
        with self.translated():
            self.con.execute(ALONE)
            self.con.execute("DETACH DATABASE IF EXISTS file")
        self.watermark = None

    def is_lost(self) -> bool:
        """Whether the attached file is no longer at its path, so that what is written to it is lost."""
        return self.watermark is not None and inode(self._path) != self._inode

    def count(self) -> int:
        """How many calls are in the attached file. Raises FileUnusable."""
        with self.translated():
            return self.con.execute("SELECT count(*) FROM file.calls").fetchall()[0][0]

    def _create(self) -> None:
        """Makes the file elsewhere and moves it into place: one that is half made can never be opened. What a
        deleted file has left behind, its log, belongs to no other."""
        for name in (f"{ANALYTICS_FILE}.new", f"{ANALYTICS_FILE}.new.wal", f"{ANALYTICS_FILE}.wal"):
            self._path.with_name(name).unlink(missing_ok=True)
        # The format of 1.5, which every newer DuckDB reads, too; 2.0's own would shut the older ones out.
        self.con.execute(f"ATTACH '{_quoted(self._birthplace)}' AS file (STORAGE_VERSION 'v1.5.0')")
        self.con.execute(SCHEMA)
        self.con.execute("DETACH file")
        # Only now it has the name that others open it by; the rename is made durable with its folder.
        self._birthplace.rename(self._path)
        fsync(self._path.parent)

    def _add_columns(self) -> None:
        """Brings a file of an earlier version up to date. One whose table is not ours is left as it is."""
        found = self.con.execute("SELECT column_name FROM duckdb_columns() WHERE database_name = 'file'")
        missing = COLUMNS.keys() - {name for (name,) in found.fetchall()}
        if missing <= set(messages.ADDED_COLUMNS):
            for name in sorted(missing, key=list(COLUMNS).index):
                self.con.execute(f"ALTER TABLE file.calls ADD COLUMN {name} {COLUMNS[name]}")

    def append(self, items: str, last: Position) -> Position:
        """Rows beyond the watermark go into the file and move it up to `last`, both or neither. Returns it.

        Raises RowsRefused, FileUnusable; the instance is to be closed then.
        """
        assert self.watermark is not None  # noqa: S101
        mark = max(self.watermark, last)
        with self.translated(inserting=True):
            # The watermark moves in the same transaction: a kill before the commit leaves neither, one after
            # it both.
            self.con.execute("BEGIN")
            self.con.execute(messages.INSERT_CALLS, [items, *self.watermark])
        with self.translated():  # a commit that fails is the disk's fault, or memory's
            self._set_watermark(mark)
            self.con.execute("COMMIT")
        self.watermark = mark
        return mark

    def rewind(self) -> None:
        """Raises FileUnusable."""
        with self.translated():
            self._set_watermark(START)
        self.watermark = START

    def _set_watermark(self, mark: Position) -> None:
        self.con.execute('UPDATE file.watermark SET segment = ?, "offset" = ?', list(mark))

    @contextmanager
    def asked(self) -> Generator[DuckDBPyConnection]:
        """The connection for one question. Raises TookTooLong out of it after `QUESTION_SECONDS`."""
        with stopped_after(self.con, QUESTION_SECONDS):
            yield self.con

    def load(self, items: str) -> None:
        """Shows rows that are not in the file yet. Once they are, they do not show twice."""
        self.con.execute(messages.INSERT_PENDING, [items])

    def forget(self) -> None:
        """Frees the memory of what was loaded. Raises FileUnusable."""
        with self.translated():
            self.con.execute("TRUNCATE pending")

    @contextmanager
    def translated(self, *, inserting: bool = False) -> Generator[None]:
        """DuckDB's errors and the file system's as ours."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            problem = self.without_path(str(error))
            # DuckDB has no class of error for it: its words have to do.
            if "Could not set lock" in problem:
                holder = re.search(r"\(PID \d+\)", problem)
                whose = f" {holder[0]}" if holder else ""
                raise FileHeld(f"{ANALYTICS_FILE} is open in another process{whose}") from None
            by_disk = isinstance(error, duckdb.IOException | OSError)
            by_rows = not by_disk and (inserting or "Out of Memory" in problem)
            kind = RowsRefused if by_rows else FileUnusable
            raise kind(f"{ANALYTICS_FILE} cannot be used: {problem}") from None

    def without_path(self, text: str) -> str:
        """What DuckDB says without telling where the data folder is."""
        return text.replace(f"{self._path.parent}/", "")

    def close(self) -> None:
        """Lets go of the file, whatever state it is in; what DuckDB could not checkpoint is in its log."""
        # Of its own: with 1.5, what an error's traceback still holds of a query keeps the file locked.
        with suppress(duckdb.Error):
            self.con.execute("DETACH DATABASE IF EXISTS file")
        self.con.close()
        self.watermark = None
        drop_code("_duckdb")


def inode(path: Path) -> tuple[int, int] | None:
    """Which file is there, None where none is. It is not opened, as the locks demand."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def stopped_after(con: DuckDBPyConnection, seconds: float) -> Generator[None]:
    """Raises TookTooLong out of what DuckDB does for longer."""
    timer = Timer(seconds, con.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        remedy = "ask for a shorter time, or with a simpler filter"
        raise TookTooLong(f"This took longer than {seconds:g} s and was stopped: {remedy}") from None
    finally:
        timer.cancel()
        # Else it might interrupt the next question on this connection.
        timer.join()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


_DONTNEED = 4  # MADV_DONTNEED, the same on every Linux


def drop_code(library: str) -> None:
    """Gives back memory that holds nothing but a library's code, which it needs again at its next use only.

    DuckDB's code takes 30 MB of a process that has used it, a third of what the whole gateway may take when
    idle. Its pages are unchanged copies of a file, so the kernel may drop them and brings them back at the
    next touch, from its own cache: measured, 3 ms to drop, nothing noticeable to come back. The library is
    the one whose file name starts so. Does nothing but on Linux.
    """
    # MADV_PAGEOUT would save 8 MB more, but empties that cache, and the next question waits for the disk.
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        # Executable and not writable: no page of it can have been changed.
        span, permissions, *_, name = line.split()
        if permissions == "r-xp" and name.rpartition("/")[2].startswith(library):
            start, end = (int(bound, 16) for bound in span.split("-"))
            madvise(start, end - start, _DONTNEED)
