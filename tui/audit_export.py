"""The changes of the audit log as a file: CSV, or NDJSON where the name ends in .ndjson."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import msgspec

from gatekeeper.client.admin_api import Client
from gatekeeper.client.audit_types import AuditChange
from tui import new_file
from tui.audit_filter import AuditRequest

PAGE = 1000
COLUMNS = AuditChange.__struct_fields__


class _RawPage(msgspec.Struct):
    """A page whose changes are passed on as they came."""

    changes: list[msgspec.Raw]
    next_cursor: str | None = None


async def pages(client: Client, request: AuditRequest) -> AsyncIterator[list[msgspec.Raw]]:
    """All changes that match, newest first. Raises ApiError."""
    cursor: str | None = None
    while True:
        values = (request.action, request.key, request.by, request.since, request.until)
        page = msgspec.json.decode((await client.audit(*values, PAGE, cursor)).raw, type=_RawPage)
        yield page.changes
        if (cursor := page.next_cursor) is None:
            return


async def export(client: Client, request: AuditRequest, path: Path) -> int:
    """Writes all changes that match to a new file; returns how many. Raises ApiError and OSError; then there
    is no file."""
    count = 0
    file = new_file.create(path)
    try:
        with file:
            write = write_lines if path.suffix == ".ndjson" else write_csv
            async for changes in pages(client, request):
                write(file, changes, first=count == 0)
                count += len(changes)
    except BaseException:
        discard(path)
        raise
    return count


def discard(path: Path) -> None:
    """Removes what was written of a file."""
    path.unlink()


def write_lines(file: IO[str], changes: list[msgspec.Raw], first: bool) -> None:  # noqa: ARG001
    """One JSON document in each line."""
    file.writelines(f"{bytes(change).decode()}\n" for change in changes)


def write_csv(file: IO[str], changes: list[msgspec.Raw], first: bool) -> None:
    """A row for each change; `detail` is JSON."""
    table = csv.writer(file)
    if first:
        table.writerow(COLUMNS)
    for change in changes:
        fields = msgspec.json.decode(change, type=dict[str, msgspec.Raw])
        table.writerow([_cell(fields.get(name)) for name in COLUMNS])


def _cell(value: msgspec.Raw | None) -> str:
    """Text as it is, nothing for null, anything else as JSON."""
    decoded: object = None if value is None else msgspec.json.decode(value)
    if isinstance(decoded, str):
        return decoded
    return "" if value is None or decoded is None else bytes(value).decode()
