"""One DuckDB instance: the file while it is attached, the table `pending`, and the view `calls` of both.

The file must not be opened in this process in any other way, not even to read its first bytes: its locks are
POSIX locks, and closing any descriptor of the file releases them.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

import duckdb
from duckdb import DuckDBPyConnection

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.analytics import messages
from gatekeeper.ledger.analytics.messages import FileLocked, FileUnusable, QueryTimeout, RowsRejected
from gatekeeper.ledger.call import COLUMNS, START, Position
from gatekeeper.ledger.segments import fsync

QUERY_TIMEOUT = 10.0  # for a search or a sum; others wait meanwhile
NO_ITEMS = "[]"

SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS file.calls ({messages.COLUMN_DEFINITIONS});
    CREATE TABLE IF NOT EXISTS file.watermark ({messages.POSITION_DEFINITIONS});
    CREATE TABLE IF NOT EXISTS file.adjustments ({messages.ADJUSTMENT_DEFINITIONS});
    INSERT INTO file.watermark SELECT 0, 0 WHERE NOT EXISTS (FROM file.watermark);
"""
CREATE_PENDING = f"CREATE TABLE pending ({messages.COLUMN_DEFINITIONS}, {messages.POSITION_DEFINITIONS})"
PENDING_ONLY_VIEW = f"""
    CREATE OR REPLACE VIEW calls AS SELECT {messages.COLUMN_NAMES} FROM pending;
    DROP VIEW IF EXISTS adjustments
"""  # noqa: S608
# By the watermark, which moves in the transaction of the rows: each is in one of the two, never in both.
UNION_VIEW = f"""
    CREATE OR REPLACE VIEW calls AS SELECT {messages.COLUMN_NAMES} FROM file.calls
    UNION ALL SELECT {messages.COLUMN_NAMES} FROM pending
    WHERE (segment, "offset") > (SELECT (segment, "offset") FROM file.watermark);
    CREATE OR REPLACE VIEW adjustments AS FROM file.adjustments
"""  # noqa: S608


class Database:
    """Created without the file. Costs some 15 MB and 5 to 40 ms, beyond the cost of importing DuckDB."""

    def __init__(self, folder: Path, memory: str = "512MB", temp_dir: str = f"{ANALYTICS_FILE}.tmp") -> None:
        self._path = folder / ANALYTICS_FILE
        self._memory = memory
        self._temp_dir = folder / temp_dir
        self.watermark: Position | None = None
        """The position in the journal up to which the file has calls; None while it is not attached."""
        self._inode: tuple[int, int] | None = None
        self.con = duckdb.connect(":memory:", config=self._settings())
        self._restrict_access()
        self.con.execute(CREATE_PENDING)
        self.con.execute(PENDING_ONLY_VIEW)

    def _settings(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "threads": 2,
            "memory_limit": self._memory,
            "temp_directory": str(self._temp_dir),
            "max_temp_directory_size": "2GB",
            # A query must not make the gateway load code from the network.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # otherwise a SELECT could read local variables
        }

    def _restrict_access(self) -> None:
        """Restricts DuckDB to the analytics file; no query can change that."""
        files = [
            f"'{_quoted(path)}{end}'"
            for path in (self._path, self._new_file)
            # DuckDB opens these next to the file, some only at a checkpoint or after a crash.
            for end in ("", ".wal", ".wal.checkpoint", ".wal.recovery")
        ]
        # UTC whatever the machine's zone: casts of a time to text and to a date depend on it.
        self.con.execute("SET TimeZone = 'UTC'")
        self.con.execute(f"SET allowed_paths = [{', '.join(files)}]")
        # The order matters: after access is disabled the paths cannot be set, after the lock nothing can.
        self.con.execute("SET enable_external_access = false")
        self.con.execute("SET lock_configuration = true")

    @property
    def _new_file(self) -> Path:
        return self._path.with_name(f"{ANALYTICS_FILE}.new")

    def attach(self, *, read_only: bool = False) -> None:
        """Locks and opens the file, and creates it if it does not exist. Raises FileLocked, FileUnusable.

        With `read_only` it must exist, and other processes may have it open read-only at the same time.
        """
        if self.watermark is not None:
            return
        with self.map_errors():
            if read_only:
                self.con.execute(f"ATTACH '{_quoted(self._path)}' AS file (READ_ONLY)")
            else:
                self._attach_to_write()
            self.con.execute(UNION_VIEW)
            # To detect that the file was deleted: writing to the open descriptor would still succeed.
            self._inode = inode(self._path)
            self.watermark = Position(*self.con.execute("FROM file.watermark").fetchall()[0])

    def _attach_to_write(self) -> None:
        if not self._path.exists():
            self._create()
        self.con.execute(f"ATTACH '{_quoted(self._path)}' AS file")
        self.con.execute(SCHEMA)
        self._add_columns()

    def detach(self) -> None:
        """Closes the file only. Raises FileUnusable."""
        with self.map_errors():
            self.con.execute(PENDING_ONLY_VIEW)
            self.con.execute("DETACH DATABASE IF EXISTS file")
        self.watermark = None

    def is_file_gone(self) -> bool:
        """Whether the attached file is no longer at its path, so that rows written to it are lost."""
        return self.watermark is not None and inode(self._path) != self._inode

    def count(self) -> int:
        """The number of calls in the attached file. Raises FileUnusable."""
        with self.map_errors():
            return self.con.execute("SELECT count(*) FROM file.calls").fetchall()[0][0]

    def _create(self) -> None:
        """Creates the file under another name and renames it: a half-created file could never be opened.
        First removes the write-ahead log of a deleted file, which does not belong to the new one."""
        for name in (f"{ANALYTICS_FILE}.new", f"{ANALYTICS_FILE}.new.wal", f"{ANALYTICS_FILE}.wal"):
            self._path.with_name(name).unlink(missing_ok=True)
        # The format of 1.5, which newer versions of DuckDB read, too; 1.5 could not read that of 2.0.
        self.con.execute(f"ATTACH '{_quoted(self._new_file)}' AS file (STORAGE_VERSION 'v1.5.0')")
        self.con.execute(SCHEMA)
        # Closed under this name, whose write-ahead log would not follow the rename.
        self.con.execute("DETACH file")
        # The rename is the last step, because others open the file by its name; fsync makes it durable.
        self._new_file.rename(self._path)
        fsync(self._path.parent)

    def _add_columns(self) -> None:
        """Adds the columns that a file of an earlier version lacks. A file with a foreign table is not
        changed."""
        found = self.con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = 'file' AND table_name = 'calls'"
        )
        missing = COLUMNS.keys() - {name for (name,) in found.fetchall()}
        if missing <= set(messages.ADDED_COLUMNS):
            # In the order of a new file: DuckDB adds a column behind all others.
            for name in sorted(missing, key=list(COLUMNS).index):
                self.con.execute(f"ALTER TABLE file.calls ADD COLUMN {name} {COLUMNS[name]}")
            if "billed_units" in missing:
                self.con.execute(messages.GIVE_UP_SEARCHES)

    def append(self, items: str, amended: str, last: Position) -> Position:
        """Inserts the rows beyond the watermark, amends others, and moves the watermark to `last`, in one
        transaction. Returns it.

        Raises RowsRejected, FileUnusable; then the instance must be closed.
        """
        assert self.watermark is not None  # noqa: S101
        # Rows that are offered again, and an empty batch, must not move it back.
        mark = max(self.watermark, last)
        with self.map_errors(inserting=True):
            # The watermark is in the same transaction: a crash leaves both or neither.
            self.con.execute("BEGIN")
            self.con.execute(messages.INSERT_CALLS, [items, *self.watermark])
            if amended != NO_ITEMS:
                self.con.execute(messages.AMEND_CALLS, [amended])
        with self.map_errors():  # a commit fails because of the disk or memory, not of a row
            self._set_watermark(mark)
            self.con.execute("COMMIT")
        self.watermark = mark
        return mark

    def reset_watermark(self) -> None:
        """Raises FileUnusable."""
        with self.map_errors():
            self._set_watermark(START)
        self.watermark = START

    def _set_watermark(self, mark: Position) -> None:
        self.con.execute('UPDATE file.watermark SET segment = ?, "offset" = ?', list(mark))

    @contextmanager
    def query_connection(self) -> Generator[DuckDBPyConnection]:
        """The connection for one query. Raises QueryTimeout in it after `QUERY_TIMEOUT`."""
        with interrupt_after(self.con, QUERY_TIMEOUT):
            yield self.con

    def load_pending(self, items: str) -> None:
        """Adds rows that are not in the file yet to the view. Once they are in the file, they do not show
        twice."""
        self.con.execute(messages.INSERT_PENDING, [items])

    def clear_pending(self) -> None:
        """Frees the memory of the loaded rows. Raises FileUnusable."""
        with self.map_errors():
            self.con.execute("TRUNCATE pending")

    @contextmanager
    def map_errors(self, *, inserting: bool = False) -> Generator[None]:
        """Maps errors of DuckDB and the file system to AnalyticsError."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            problem = self.redact_path(str(error))
            # DuckDB has no exception class for it, so the message is matched.
            if "Could not set lock" in problem:
                holder = re.search(r"\(PID \d+\)", problem)
                whose = f" {holder[0]}" if holder else ""
                raise FileLocked(f"{ANALYTICS_FILE} is open in another process{whose}") from None
            by_disk = isinstance(error, duckdb.IOException | OSError)
            by_rows = not by_disk and (inserting or "Out of Memory" in problem)
            kind = RowsRejected if by_rows else FileUnusable
            raise kind(f"{ANALYTICS_FILE} cannot be used: {problem}") from None

    def redact_path(self, text: str) -> str:
        """Removes the path of the data folder from a message of DuckDB."""
        return text.replace(f"{self._path.parent}/", "")

    def close(self) -> None:
        """Closes the file, whatever its state; what DuckDB could not checkpoint is in its write-ahead log."""
        # Detached explicitly: with 1.5, a query that a traceback still references keeps the file locked.
        with suppress(duckdb.Error):
            self.con.execute("DETACH DATABASE IF EXISTS file")
        self.con.close()
        self.watermark = None


def inode(path: Path) -> tuple[int, int] | None:
    """The identity of the file at the path, None if there is none. Does not open it, because of the locks."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def interrupt_after(con: DuckDBPyConnection, seconds: float) -> Generator[None]:
    """Interrupts DuckDB after so many seconds, and raises QueryTimeout."""
    timer = Timer(seconds, con.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        remedy = "ask for a shorter time, or with a simpler filter"
        raise QueryTimeout(f"This took longer than {seconds:g} s and was stopped: {remedy}") from None
    finally:
        timer.cancel()
        # Otherwise it might interrupt the next query on this connection.
        timer.join()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
