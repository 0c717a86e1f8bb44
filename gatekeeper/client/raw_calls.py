"""Pages of `/calls` whose calls are kept as received, too."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import PartialResult
from gatekeeper.client.stream_events import CallFinished

# The API's largest page.
PAGE_SIZE = 1000


class RawPage(PartialResult, frozen=True, kw_only=True):
    """A page whose calls stay undecoded."""

    calls: list[msgspec.Raw]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EndedCalls:
    """Calls as the stream tells their ends. `missing` says why older ones are missing, if they are."""

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
