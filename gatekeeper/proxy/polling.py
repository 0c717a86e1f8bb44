"""The gateway's own requests to Google, which are not calls and have no rows.

`PendingPoller` polls batches and videos whose charge is pending (setting `poll_pending`), because some
clients never fetch a result: the row of the call that began it is completed. Resources are polled one after
another, with the Google key that created them, and with exponential backoff: after the setting's time, then
twice that, and so on up to `MAX_DELAY`.

`check_refused_keys` polls with each Google key that was refused (a free read).
"""

from __future__ import annotations

from typing import NamedTuple

import trio

from gatekeeper.http_fields import Headers
from gatekeeper.keys.cool_downs import KeyRequirement
from gatekeeper.ledger.call import CallRecord
from gatekeeper.logs import log
from gatekeeper.proxy.cache_storage import is_storage_charge
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.failures import CallFailed
from gatekeeper.proxy.pending_results import result_reader
from gatekeeper.proxy.redirects import follow_redirects, is_redirect
from gatekeeper.proxy.tee_meters import ResultReader
from gatekeeper.runtime import now_micros
from gatekeeper.upstream.connection import ConnectionLost, ResponseHead, UpstreamConnection, UpstreamRequest
from gatekeeper.upstream.pool import ConnectFailed

MAX_DELAY = 3600.0  # seconds between two polls of the same resource
MAX_POLLS = 50  # of one round
POLL_TIMEOUT = 300.0  # seconds for a response, which may be a file of results
VERSION = b"/v1beta/"
CHECK_SECONDS = 300.0  # seconds between two checks of the refused keys
CHECK_TIMEOUT = 30.0  # seconds for a response
MODELS = b"/v1beta/models?pageSize=1"


class NextPoll(NamedTuple):
    """When a resource is polled next, on trio's clock, and the delay after that."""

    at: float
    delay: float


class PendingPoller:
    """`interval`: seconds between two rounds, and until the first poll of a resource."""

    def __init__(self, context: ProxyContext, interval: float) -> None:
        self._context = context
        self._interval = interval
        self._due: dict[str, NextPoll] = {}

    async def run(self) -> None:
        while True:
            await trio.sleep(self._interval)
            await self.round()

    async def round(self) -> None:
        """Polls the resources that are due."""
        waiting = {
            pending_row.id: pending_row
            for pending_row in self._context.deferred.pending.all()
            if not is_storage_charge(pending_row)
        }
        self._due = {name: due for name, due in self._due.items() if name in waiting}
        now, polls = trio.current_time(), 0
        for name, pending_row in waiting.items():
            due = self._due.get(name) or NextPoll(now, self._interval)
            # Those over the limit stay due: a later round polls them.
            if due.at > now or polls == MAX_POLLS:
                continue
            polls += 1
            self._due[name] = NextPoll(now + due.delay, min(2 * due.delay, MAX_DELAY))
            if await self.poll(pending_row) and (moved := self._context.deferred.pending.begun_by(name)):
                await self.poll(moved)  # the results of a batch are in a file

    async def poll(self, pending_row: CallRecord) -> bool:
        """Returns whether the row was completed. After an error the resource is polled again."""
        context = self._context
        target, key = poll_target(pending_row), context.google_keys.secret_of(pending_row.upstream_key)
        reader = result_reader(pending_row, context, b"application/json")
        if target is None or key is None or reader is None:
            return False
        is_complete_body = False
        try:
            with trio.fail_after(POLL_TIMEOUT):
                is_complete_body = await fetch_result(context, polling_request(context, target, key), reader)
        except (ConnectFailed, ConnectionLost, CallFailed, trio.TooSlowError) as error:
            context.poll_errors.record_exception(error)
        if not is_complete_body:
            reader.discard()
            return False
        known = reader.finish()
        if known is not None:
            context.deferred.amend(known)
        return known is not None


def poll_target(pending_row: CallRecord) -> bytes | None:
    """Path and query of the resource that a call waits for."""
    resource = pending_row.pending.resource if pending_row.pending else None
    if resource is None:
        return None
    name = resource.encode()
    if resource.startswith("files/"):
        return VERSION + name + b":download?alt=media"
    return VERSION + (b"openai/" if resource.startswith("videos/") else b"") + name


def polling_request(context: ProxyContext, target: bytes, key: str) -> UpstreamRequest:
    """A GET of the gateway's own, with a Google key."""
    headers: Headers = [
        (b"host", context.upstream.authority),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
        (b"x-goog-api-key", key.encode("latin-1")),
    ]
    return UpstreamRequest("GET", context.upstream.prefix + target, headers)


async def fetch_result(context: ProxyContext, request: UpstreamRequest, reader: ResultReader) -> bool:
    """Whether all of a result was read. Raises ConnectFailed, ConnectionLost and CallFailed."""
    connection = await context.upstream.acquire()
    try:
        await connection.send_request(*request, b"")
        head = await connection.read_head()
        if not is_redirect(head):
            return await read_result(connection, head, reader)
        # Google redirects the download of a batch's result file to `/download/…`.
        async with follow_redirects(context, request, head, lambda: None) as response:
            return await read_result(response.connection, response.head, reader)
    finally:
        context.upstream.release(connection)


async def read_result(connection: UpstreamConnection, head: ResponseHead, reader: ResultReader) -> bool:
    """Whether all of a result was read. Raises ConnectionLost."""
    if head.status != 200 or head.fields.get(b"content-encoding", b"identity") != b"identity":
        return False
    chunk = connection.buffered_chunk() or b""
    while chunk is not None:
        reader.feed(chunk)
        chunk = await connection.read_chunk()
    return True


async def check_refused_keys(context: ProxyContext, seconds: float = CHECK_SECONDS) -> None:
    """Polls with each key that Google has refused, so that it returns to the pool once it is accepted. Runs
    until cancelled."""
    while True:
        await trio.sleep(seconds)
        for pooled in [*context.google_keys]:
            if pooled.refused is not None:
                await check_key(context, pooled.key.label)


async def check_key(context: ProxyContext, label: str) -> None:
    """Asks Google for one model with this key. Errors leave it as it is."""
    # If it was removed meanwhile, another key would be chosen.
    if context.google_keys.find(label) is None:
        return
    # By its label: otherwise a refused key would be chosen last.
    lease = context.google_keys.choose(KeyRequirement(action="models.list"), now_micros(), label)
    if lease is None:
        return
    try:
        with trio.move_on_after(CHECK_TIMEOUT):
            if await is_accepted(context, lease.key.secret):
                lease.succeeded(now_micros())
                log.info("google_key_accepted", key=label)
    except (ConnectFailed, ConnectionLost) as error:
        context.poll_errors.record_exception(error)
    finally:
        lease.finish(now_micros())


async def is_accepted(context: ProxyContext, secret: str) -> bool:
    """Raises ConnectFailed and ConnectionLost."""
    connection = await context.upstream.acquire()
    try:
        await connection.send_request(*polling_request(context, MODELS, secret), b"")
        return (await connection.read_head()).status == 200
    finally:
        context.upstream.release(connection)
