"""The analytics file, and every question about finished calls.

Calls arrive from the journal with their positions, wait in memory, and move to the file in transactions
that move the file's watermark along. So each is there once, whatever dies when: what was lost before the
commit is read from the journal again, and what is offered again is skipped. While another program holds the
file (DuckDB locks it even against readers) everything goes on without it: the view `calls` is what the
file has, while it is here, and what waits.

There is a DuckDB instance only while it is needed, for it costs memory; `release` ends it and with it the
lock. What waits lies outside, so nothing is lost with an instance that broke: the next use starts another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

import duckdb
import structlog
from duckdb import DuckDBPyConnection

from gatekeeper.ledger import rows
from gatekeeper.ledger.entry import Call, Position
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.instance import AnalyticsError, FileHeld, FileUnusable, Instance, RowsRefused
from gatekeeper.ledger.rows import Document, Waiting, joined
from gatekeeper.ledger.spend import Spend
from gatekeeper.times import iso

log = structlog.get_logger()

__all__ = ["Analytics", "AnalyticsError", "FileHeld", "FileUnusable"]

# Rows, and characters of them, of one INSERT: a day's worth at once would need many times its size in memory.
PORTION = 5_000
PORTION_SIZE = 8 << 20

# The inner SELECT reads the ids of all rows, the outer one all columns of a few.
PAGE = """
    SELECT {shown} FROM calls WHERE id IN (SELECT id FROM calls WHERE {question} ORDER BY id DESC LIMIT ?)
    ORDER BY id DESC
"""
MODELS = """
    SELECT model, count(*), epoch_us(max(started_at)) AS last, CAST(sum(cost_usd) AS VARCHAR),
           count(*) - count(cost_usd)
    FROM calls WHERE model IS NOT NULL GROUP BY model ORDER BY last DESC, model
"""


class Analytics:
    """All of it blocks, and belongs to one thread at a time.

    Questions see the file only while it is attached, and always what waits. The `timezone` is that of days
    and hours; raises ValueError if there is none of that name.
    """

    def __init__(self, folder: Path, timezone: str = "UTC", memory: str = "512MB") -> None:
        self._folder = folder.resolve()
        self._memory = memory
        self._read_only = False
        self._spend = Spend(timezone)
        self._instance: Instance | None = None
        self._waiting: deque[Waiting] = deque()
        self.waiting_size = 0
        """How many characters of memory they take."""
        self._loaded = 0  # so many of `_waiting`, from the first, are in the instance's table `pending`
        self._last = Position(0, 0)

    @property
    def waiting(self) -> int:
        """How many calls are not in the file."""
        return len(self._waiting)

    # The file

    def attach(self) -> None:
        """Holds the file until `release`; makes it if there is none. Raises FileHeld, FileUnusable."""
        try:
            self._running().attach(read_only=self._read_only)
        except FileUnusable:
            self.release()
            raise

    def attach_if_free(self) -> bool:
        """Whether the file is attached now. If not, questions are answered from what waits."""
        try:
            self.attach()
        except AnalyticsError:
            return False
        return True

    def release(self) -> None:
        """Lets go of the file and of DuckDB's memory; the next use takes both again."""
        if self._instance:
            self._instance.close()
        self._instance = None
        self._loaded = 0

    def watermark(self) -> Position | None:
        """The position in the journal up to which calls are in the file; None while it is not attached."""
        return self._instance.watermark if self._instance else None

    def rewind(self) -> None:
        """The journal was removed and its positions start anew: so does the attached file's watermark.

        To be called when the watermark lies beyond the journal's end. Raises FileUnusable.
        """
        self._running().rewind()

    def share(self) -> bool:
        """Brings the file up to date and opens it for reading only, as any number of processes then may; no
        rows move to it until `unshare`. Whether that was possible."""
        with suppress(AnalyticsError):
            self.move()
        self._reopen(read_only=True)
        return self.attach_if_free()

    def unshare(self) -> None:
        self._reopen(read_only=False)

    def _reopen(self, *, read_only: bool) -> None:
        """Lets go of the file, so that the next use opens it in this way."""
        self._read_only = read_only
        try:
            if self._instance:
                self._instance.detach()
        except FileUnusable:
            self.release()

    # In

    def add(self, batch: list[tuple[Position, Call]]) -> None:
        """Takes finished calls in the journal's order; they can be asked for at once.

        What was added before is skipped, so a reader that starts anew may offer it again.
        """
        for position, call in batch:
            if position > self._last:
                self._last = position
                item = rows.encode(position, call)
                self._waiting.append(Waiting(position, item))
                self.waiting_size += len(item)

    def move(self) -> Position | None:
        """Moves what waits to the file, attaching it if need be; the watermark, or None where it is held.

        Raises FileUnusable; what was not committed by then waits on.
        """
        if self._read_only:
            return None
        try:
            self.attach()
            return self._move_all()
        except FileHeld:
            return None
        except FileUnusable:
            self.release()
            raise

    def _move_all(self) -> Position | None:
        """A portion that DuckDB refuses is tried again by halves, until the row is found that is to blame."""
        most = PORTION
        while portion := self._portion(0, most):
            try:
                self._running().append(joined(portion), portion[-1].position)
            except RowsRefused as refusal:
                self._begin_anew()
                most = self._halved(portion, refusal)
                continue
            for each in portion:
                self._waiting.popleft()
                self.waiting_size -= len(each.item)
        if self._loaded:
            self._running().forget()
            self._loaded = 0
        return self.watermark()

    def _begin_anew(self) -> None:
        """With another instance, for nobody knows what state this one is in. Raises AnalyticsError where the
        file takes no row at all, so that none is to blame."""
        self.release()
        self.attach()
        self._running().append("[]", Position(0, 0))

    def _halved(self, portion: list[Waiting], refusal: Exception) -> int:
        """How many rows to try next. One that is refused all by itself loses its texts."""
        if len(portion) > 1:
            return len(portion) // 2
        position, item = portion[0]
        bare = rows.without_texts(item)
        if bare == item:
            raise refusal
        log.warning("row_stored_without_its_texts", position=position, size=len(item), detail=str(refusal))
        self._waiting[0] = Waiting(position, bare)
        self.waiting_size += len(bare) - len(item)
        return PORTION

    def _load(self, instance: Instance) -> None:
        while portion := self._portion(self._loaded, PORTION):
            instance.load(joined(portion))
            self._loaded += len(portion)

    def _portion(self, start: int, most: int) -> list[Waiting]:
        portion: list[Waiting] = []
        size = 0
        for each in islice(self._waiting, start, start + most):
            portion.append(each)
            size += len(each.item)
            if size >= PORTION_SIZE:
                break
        return portion

    # Out

    def calls(
        self,
        filter: Filter | None = None,  # noqa: A002
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Document]:
        """At most `limit` calls as `entry.document` shows them, newest (that is, highest `id`) first.

        `before` is the id of the last call of the page before. Raises ValueError where it is no id,
        AnalyticsError.
        """
        question, values = (filter or Filter()).within(since, until).where()
        if before is not None:
            question, values = f"{question} AND id < CAST(? AS UUID)", [*values, cursor(before)]
        page = PAGE.format(shown=rows.SHOWN, question=question)
        with self._asked() as con:
            return [rows.shown(row) for row in con.execute(page, [*values, limit]).fetchall()]

    def call(self, call_id: str) -> Document | None:
        """The finished call of that id, None where there is none. Raises AnalyticsError."""
        select = f"SELECT {rows.SHOWN} FROM calls WHERE id = TRY_CAST(? AS UUID)"  # noqa: S608
        with self._asked() as con:
            found = con.execute(select, [call_id]).fetchall()
        return rows.shown(found[0]) if found else None

    def spend(
        self,
        by: list[str],
        filter: Filter | None = None,  # noqa: A002
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 1000,
        top: int | None = None,
    ) -> Document:
        """`rows` by one or two of `spend.GROUPS` (or `none`), and their `total`; see `Spend.answer`.

        Raises ValueError for another `by`, AnalyticsError.
        """
        where = (filter or Filter()).within(since, until).where()
        with self._asked() as con:
            return self._spend.answer(con, by, where, limit, top)

    def models(self) -> list[Document]:
        """The models that were asked for, the last used first, with their calls and known cost."""
        names = ("model", "calls", "last_used_at", "cost_usd", "unpriced_calls")
        with self._asked() as con:
            found = [dict(zip(names, row, strict=True)) for row in con.execute(MODELS).fetchall()]
        return [{**row, "last_used_at": iso(row["last_used_at"])} for row in found]

    def first_waiting(self) -> tuple[str, bool]:
        """A portion of the rows that wait, as `Instance.load` takes it, and whether that is all of them."""
        portion = self._portion(0, PORTION)
        return joined(portion), len(portion) == self.waiting

    @contextmanager
    def _asked(self) -> Generator[DuckDBPyConnection]:
        """The connection, with all that waits loaded. An instance that fails a question is done with."""
        instance = self._running()
        try:
            self._load(instance)
            yield instance.con
        except duckdb.Error as error:
            self.release()
            raise AnalyticsError(instance.without_path(str(error))) from None

    def _running(self) -> Instance:
        self._instance = self._instance or Instance(self._folder, self._memory)
        return self._instance


def cursor(before: str) -> str:
    try:
        return str(UUID(before))
    except ValueError:
        raise ValueError(f'"{before}" is no cursor; give the id of the last call of a page') from None
