"""Moves calls from the journal into the analytics file.

Calls wait in memory with their positions in the journal and are flushed to the file in transactions that
include the file's watermark. So each is stored exactly once, whenever the process crashes: calls lost before
the commit are read from the journal again, and calls offered again are skipped. The view `calls` has the
pending rows, and those of the file unless another program has it locked.

A DuckDB instance exists only while it is needed, because it costs memory; `release` closes it and unlocks the
file. Pending rows are kept outside of it, so a failed instance loses nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.ledger.analytics.database import NO_ITEMS, Database
from gatekeeper.ledger.analytics.messages import (
    AnalyticsError,
    FileLocked,
    FileReplaced,
    FileUnusable,
    RowsRejected,
)
from gatekeeper.ledger.analytics.pending_rows import BATCH_ROWS, PendingRows, Row, amendments, inserts
from gatekeeper.ledger.call import START, JournalEntry, Position
from gatekeeper.logs import log


class Projection:
    """All methods block; to be used by one thread at a time.

    Queries see the file only while it is attached, and always the pending rows.
    """

    def __init__(self, folder: Path, memory: str = "512MB") -> None:
        self._folder = folder.resolve()
        self._memory = memory
        self._read_only = False
        self._database: Database | None = None
        self._pending = PendingRows()
        self._loaded = 0  # so many pending rows, from the first, are in the table `pending`
        self._last_watermark = START

    @property
    def pending_count(self) -> int:
        """The number of calls that are not in the file yet."""
        return len(self._pending)

    @property
    def pending_chars(self) -> int:
        """The length of their rows."""
        return self._pending.size

    @property
    def is_open(self) -> bool:
        """Whether there is an instance to be closed."""
        return self._database is not None

    # The file

    def attach(self) -> None:
        """Opens and locks the file until `release`; creates it if there is none.

        Raises FileLocked, FileUnusable, FileReplaced.
        """
        if self._database and self._database.is_file_gone():
            log.error("analytics_file_was_deleted", calls=self._database.count())
            self.release()
        try:
            self._get_database().attach(read_only=self._read_only)
        except FileUnusable:
            self.release()
            raise
        mark = self.watermark() or START
        if mark < self._last_watermark:
            raise FileReplaced(
                f"{ANALYTICS_FILE} lacks calls that were in it: it was deleted, or an old copy was put back"
            )
        self._last_watermark = mark

    def adopt_replaced_file(self) -> int:
        """Accepts a replaced file; returns its number of calls. The calls after its watermark are to be added
        again. Raises FileUnusable."""
        self._last_watermark = mark = self.watermark() or START
        self._get_database().clear_pending()
        self._pending.reset_to(mark)
        self._loaded = 0
        return self._get_database().count()

    def release(self) -> None:
        """Closes the file and frees DuckDB's memory; the next use opens it again."""
        if self._database:
            self._database.close()
        self._database = None
        self._loaded = 0

    def watermark(self) -> Position | None:
        """The position in the journal up to which calls are in the file; None while it is not attached."""
        return self._database.watermark if self._database else None

    def reset_watermark(self) -> None:
        """Resets the attached file's watermark, because the journal was removed and its positions start anew.

        To be called if the watermark lies beyond the journal's end. Raises FileUnusable.
        """
        self._get_database().reset_watermark()
        self._last_watermark = START

    def open_read_only(self) -> bool:
        """Flushes and reopens the file read-only, for other processes to read, until `reopen_read_write`.
        Returns whether that succeeded."""
        # What cannot be moved into the file now is read beside it (`pending_batch`).
        with suppress(AnalyticsError):
            self.flush()
        self._reopen(read_only=True)
        with suppress(AnalyticsError):
            self.attach()
        return self.watermark() is not None

    def reopen_read_write(self) -> None:
        self._reopen(read_only=False)

    def _reopen(self, *, read_only: bool) -> None:
        """Closes the file; the next use opens it in this mode."""
        self._read_only = read_only
        try:
            if self._database:
                self._database.detach()
        except FileUnusable:
            self.release()

    # Adding calls

    def add(self, batch: list[tuple[Position, JournalEntry]]) -> None:
        """Adds finished calls and amendments in the journal's order; they can be queried at once.

        Those that were added before are skipped, so they may be offered again.
        """
        if self._pending.add(batch) and self._loaded:
            # A row was amended that may be in the table already.
            self._get_database().clear_pending()
            self._loaded = 0

    def flush(self) -> Position | None:
        """Moves the pending rows to the file, which it attaches if necessary. Returns the watermark, or None
        if another program has the file locked.

        Raises FileUnusable, FileReplaced; rows not committed by then stay pending.
        """
        if self._read_only:
            return None
        try:
            self.attach()
            return self._flush_all()
        except FileLocked:
            return None
        except FileUnusable:
            self.release()
            raise

    def flush_amendments(self) -> None:
        """Flushes if rows of the file are to be amended, which queries can see only there."""
        if self._pending.amends_file:
            with suppress(AnalyticsError):
                self.flush()

    def _flush_all(self) -> Position | None:
        """A batch that DuckDB rejects is bisected until the row that causes it is found."""
        most = BATCH_ROWS
        while batch := self._pending.next_batch(0, most):
            database = self._get_database()
            try:
                self._last_watermark = database.append(inserts(batch), amendments(batch), batch[-1].position)
            except RowsRejected as rejection:
                self._restart_database()
                most = self._next_batch_size(batch, rejection)
            else:
                self._pending.drop_first(len(batch))
        if self._loaded:
            self._get_database().clear_pending()
            self._loaded = 0
        self.attach()  # again: to detect that the file was deleted meanwhile, with these rows
        return self.watermark()

    def _restart_database(self) -> None:
        """Reopens the file in a new instance, because the state of the failed one is unknown. Raises
        AnalyticsError if not even an empty batch can be appended, so that no row is the cause."""
        self.release()
        self.attach()
        self._get_database().append(NO_ITEMS, NO_ITEMS, START)

    def _next_batch_size(self, batch: list[Row], rejection: Exception) -> int:
        """The number of rows to try next. A single row that is rejected loses its text columns."""
        if len(batch) > 1:
            return len(batch) // 2
        position, item = batch[0].position, batch[0].item
        if not self._pending.strip_first():
            raise rejection
        detail = str(rejection)
        log.warning("row_stored_without_text_columns", position=position, size=len(item), detail=detail)
        return BATCH_ROWS

    def _load_pending(self, database: Database) -> None:
        while batch := self._pending.next_batch(self._loaded):
            database.load_pending(inserts(batch))
            self._loaded += len(batch)

    # Queries

    def pending_batch(self) -> tuple[str, bool]:
        """A batch of the pending rows for `Database.load_pending`, and whether that is all of them."""
        batch = self._pending.next_batch()
        return inserts(batch), len(batch) == self.pending_count

    @contextmanager
    def query_connection(self) -> Generator[DuckDBPyConnection]:
        """The connection for one query, with all pending rows loaded: the view `calls` has every call.

        Raises AnalyticsError; an instance whose query failed is closed.
        """
        database = self._get_database()
        try:
            self._load_pending(database)
            with database.query_connection() as con:
                yield con
        except duckdb.Error as error:
            self.release()
            raise AnalyticsError(database.redact_path(str(error))) from None

    def _get_database(self) -> Database:
        self._database = self._database or Database(self._folder, self._memory)
        return self._database
