"""The changes of the audit log as a file: CSV, or NDJSON where the name ends in .ndjson."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from gatekeeper.client.admin_api import Client
from gatekeeper.client.audit import AuditChange
from tui.audit_filter import AuditRequest
from tui.export_file import new_file

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
    text_of = as_lines if path.suffix == ".ndjson" else as_rows
    with new_file(path) as file:
        async for changes in pages(client, request):
            file.write(text_of(changes, first=count == 0).encode())
            count += len(changes)
    return count


def as_lines(changes: Sequence[msgspec.Raw], first: bool) -> str:  # noqa: ARG001
    """One JSON document in each line."""
    return "".join(f"{bytes(change).decode()}\n" for change in changes)


def as_rows(changes: Sequence[msgspec.Raw], first: bool) -> str:
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
