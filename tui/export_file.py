"""Files that the terminal application writes, readable by their owner only, never in place of another; and
the changes of the audit log as one: CSV, or NDJSON where the name ends in .ndjson.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from gatekeeper.client.admin_api import Client
from gatekeeper.client.audit import AuditChange
from tui.audit import AuditRequest

# Of changes: the API's largest page, and the columns of CSV.
PAGE = 1000
COLUMNS = AuditChange.__struct_fields__


def suggested_name(what: str, now: datetime, extension: str) -> str:
    """`calls-20261124-140732.csv`: sorted by time where there are many."""
    return f"{what}-{now.astimezone():%Y%m%d-%H%M%S}.{extension}"


@contextmanager
def new_file(path: Path) -> Generator[IO[bytes]]:
    """A new file, mode 0600; removed again if it cannot be completed.

    Raises FileExistsError where there is one already, OSError where it cannot be written.
    """
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class _RawPage(msgspec.Struct):
    """A page whose changes are passed on as they came."""

    changes: list[msgspec.Raw]
    next_cursor: str | None = None


async def change_pages(client: Client, request: AuditRequest) -> AsyncIterator[list[msgspec.Raw]]:
    """All changes that match, newest first. Raises ApiError."""
    cursor: str | None = None
    while True:
        values = (request.action, request.key, request.by, request.since, request.until)
        page = msgspec.json.decode((await client.audit(*values, PAGE, cursor)).raw, type=_RawPage)
        yield page.changes
        if (cursor := page.next_cursor) is None:
            return


async def export_changes(client: Client, request: AuditRequest, path: Path) -> int:
    """Writes all changes that match to a new file; returns how many. Raises ApiError and OSError; then there
    is no file."""
    count = 0
    text_of = changes_as_lines if path.suffix == ".ndjson" else changes_as_rows
    with new_file(path) as file:
        async for changes in change_pages(client, request):
            file.write(text_of(changes, first=count == 0).encode())
            count += len(changes)
    return count


def changes_as_lines(changes: Sequence[msgspec.Raw], first: bool) -> str:  # noqa: ARG001
    """One JSON document in each line."""
    return "".join(f"{bytes(change).decode()}\n" for change in changes)


def changes_as_rows(changes: Sequence[msgspec.Raw], first: bool) -> str:
    """CSV: a row for each change, and before the `first` the names; `detail` is JSON."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    if first:
        table.writerow(COLUMNS)
    for change in changes:
        fields = msgspec.json.decode(change, type=dict[str, msgspec.Raw])
        table.writerow([_cell(fields.get(name)) for name in COLUMNS])
    return text.getvalue()


def _cell(value: msgspec.Raw | None) -> str:
    """Text as it is, nothing for null, anything else as JSON."""
    decoded: object = None if value is None else msgspec.json.decode(value)
    if isinstance(decoded, str):
        return decoded
    return "" if value is None or decoded is None else bytes(value).decode()
