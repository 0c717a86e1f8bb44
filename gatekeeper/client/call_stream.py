"""Calls as they end, without a gap: `listen` reconnects to the stream as long as its listener permits, and
calls missed meanwhile are read from the ledger. These are calls that started after the last event, which have
greater ids (UUID version 7: ordered by start); calls that were in flight then, including those ended as
`interrupted` after a kill; and, as not every filter matches calls in flight, any that started shortly before.
Some of the calls yielded may be known already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain, islice, repeat
from typing import Protocol

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError, Unreachable
from gatekeeper.client.call_pages import read_page
from gatekeeper.client.call_types import Call, CallFinished, StreamEvent

# Seconds before each retry; a gateway that restarts is back within the first few.
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0)

# Ids of one request: a filter has at most 100 values.
IDS_PER_REQUEST = 40
MAX_PAGES = 100
# Milliseconds before the last known start. A call that began earlier, and whose start did not match the
# filter, has most likely ended before the gap.
SLACK_MS = 60_000
DIGITS = 12  # hexadecimal digits of a UUID's timestamp, in milliseconds (RFC 9562, 5.7)


def backoff() -> Iterator[float]:
    """Seconds to wait before each retry."""
    return chain(RETRY_DELAYS, repeat(2 * RETRY_DELAYS[-1]))


class Listener(Protocol):
    """Receives what `listen` reads from the stream."""

    def connected(self) -> None:
        """The stream is open: every call that ends from now on will be received."""
        ...

    def received(self, event: StreamEvent) -> None:
        """The next event, in order."""
        ...

    def disconnected(self, error: ApiError, wait: float) -> None:
        """The stream ended; the next attempt is in `wait` seconds, unless this raises the error."""
        ...


async def listen(client: Client, q: str | None, listener: Listener) -> None:
    """Reads the stream indefinitely, reconnecting as needed, also after a restart of the gateway.

    It resumes after the last event received, so that no event is lost or received twice; where the gateway
    no longer has the events in between, it sends a `gap` event.
    """
    waits, last_id = backoff(), None

    def opened() -> None:
        nonlocal waits
        waits = backoff()
        listener.connected()

    while True:
        error: ApiError = Unreachable(f"The gateway at {client.url} has ended the connection.")
        try:
            async with aclosing(client.stream(q, last_id, opened)) as events:
                async for event in events:
                    # An event without an id cannot be resumed after.
                    last_id = event.id or last_id
                    listener.received(event)
        except ApiError as caught:
            error = caught
        wait = next(waits)
        listener.disconnected(error, wait)
        await asyncio.sleep(wait)


async def missed_calls(
    client: Client,
    q: str | None,
    newest: str,
    running: Collection[str],
    max_pages: int = MAX_PAGES,
) -> AsyncGenerator[list[CallFinished], None]:
    """Finished calls of the filter, page by page. `newest` is the greatest id known, `running` are the ids of
    calls whose end is not known. Raises ApiError."""
    oldest, cursor, left = id_before(newest, SLACK_MS), None, dict.fromkeys(running)
    for _ in range(max_pages):
        page = await read_page(client, q, cursor)
        cursor = page.next_cursor
        for event in page.calls:
            left.pop(event.value.id, None)
        yield page.calls
        if cursor is None or page.calls[-1].value.id < oldest:
            break
    for ids in in_parts(left):
        yield (await read_page(client, joined(q, id_term(ids)))).calls
    # Those of a filter that matches them only now.
    yield (await read_page(client, joined(q, "outcome:interrupted"))).calls


def in_parts(ids: Collection[str]) -> Iterator[Sequence[str]]:
    rest = iter(ids)
    while part := list(islice(rest, IDS_PER_REQUEST)):
        yield part


def id_term(ids: Iterable[str]) -> str:
    """A filter for the calls of these ids."""
    return f"id:{','.join(ids)}"


def joined(q: str | None, term: str) -> str:
    return f"{q} {term}" if q else term


def id_before(id: str, milliseconds: int) -> str:  # noqa: A002 - the API's name
    """The smallest id of a call that began that long before this one; of an id without a time, the id."""
    try:
        began = int(id.replace("-", "")[:DIGITS], 16)
    except ValueError:
        return id
    return first_id(max(began - milliseconds, 0))


def first_id(milliseconds: int) -> str:
    """A prefix of the smallest id from this time on, in milliseconds since 1970."""
    digits = f"{milliseconds:0{DIGITS}x}"
    return f"{digits[:8]}-{digits[8:]}"


class SeenCalls:
    """The calls that a listener has seen, in bounded memory: distinguishes new ends from known ones."""

    def __init__(self, began: float, capacity: int = 100_000) -> None:
        """`began` is when it began to listen, in seconds since 1970: calls that ended before are not counted
        as missed."""
        self.oldest = self.newest = first_id(int(began * 1000))
        self.running: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._capacity = capacity

    def starts(self, call: Call) -> None:
        """The call has begun, or was in flight when the stream did."""
        if call.id not in self._ended:
            self.running[call.id] = None
        self.newest = max(self.newest, call.id)

    def ends(self, call: Call) -> bool:
        """Whether this ended call, from the stream, is new."""
        self.running.pop(call.id, None)
        self.newest = max(self.newest, call.id)
        if call.id in self._ended:
            return False
        self._ended[call.id] = None
        while len(self._ended) > self._capacity:
            del self._ended[next(iter(self._ended))]
        return True

    def missed(self, call: Call) -> bool:
        """Whether this ended call, from the ledger, is new and was missed."""
        # A filter may match a call only once it has ended: one from before this began was never to be shown.
        return (call.id in self.running or call.id >= self.oldest) and self.ends(call)
