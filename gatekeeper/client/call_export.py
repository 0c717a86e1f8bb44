"""Calls as lines of a file for other programs: the API's documents one a line, or CSV with their members."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import msgspec

from gatekeeper.client.api_types import Call
from gatekeeper.client.stream_events import CallFinished

FORMATS = ("csv", "ndjson")


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
