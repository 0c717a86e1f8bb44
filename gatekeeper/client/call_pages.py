"""Pages of `/calls` whose calls are kept as received, too; and their calls as lines of a file for other
programs: the API's documents one a line, or CSV with their members.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import PartialResult
from gatekeeper.client.call_types import Call, CallFinished

# The API's largest page.
PAGE_SIZE = 1000

FORMATS = ("csv", "ndjson")


class RawPage(PartialResult, frozen=True, kw_only=True):
    """A page whose calls stay undecoded."""

    calls: list[msgspec.Raw]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EndedCalls:
    """A page of ended calls. `missing` says why older ones are missing, if they are."""

    calls: list[CallFinished]
    next_cursor: str | None
    missing: str = ""


async def read_page(client: Client, q: str | None, cursor: str | None = None) -> EndedCalls:
    """Calls of a filter, newest first. Raises ApiError."""
    response = await client.calls(q, limit=PAGE_SIZE, cursor=cursor)
    page = msgspec.json.decode(response.raw, type=RawPage)
    calls = [
        CallFinished("", call, bytes(raw).decode())
        # The same calls read twice: as values, and as the bytes that an export passes on.
        for call, raw in zip(response.value.calls, page.calls, strict=True)
    ]
    missing = page.partial_reason if page.partial else ""
    return EndedCalls(calls, page.next_cursor if calls else None, missing)


class CallLines:
    """Writes pages in one of the `FORMATS`. The columns of CSV are the members of the first call."""

    def __init__(self, file_format: str) -> None:
        self._format = file_format
        self._columns: tuple[str, ...] = ()

    def of(self, page: Sequence[CallFinished]) -> bytes:
        """The next lines."""
        if self._format == "ndjson":
            # Compact, because what Google sent may contain newlines between its members.
            return b"".join(msgspec.json.format(event.raw.encode(), indent=-1) + b"\n" for event in page)
        rows = [msgspec.json.decode(event.raw, type=dict[str, msgspec.Raw]) for event in page]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if not self._columns:
            self._columns = tuple(rows[0]) if rows else Call.__struct_fields__
            writer.writerow(self._columns)
        null = msgspec.Raw(b"null")
        writer.writerows([csv_cell(bytes(row.get(name, null))) for name in self._columns] for row in rows)
        return text.getvalue().encode()


def csv_cell(value: bytes) -> str:
    """Empty for null, a string without its quotes, everything else as JSON."""
    if value == b"null":
        return ""
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str)
    return msgspec.json.format(value, indent=-1).decode()
