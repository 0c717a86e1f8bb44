"""Polls Google every five minutes with each key that it has refused (a free read, without a row), so that the
key returns to the pool once it is accepted."""

from __future__ import annotations

from time import time_ns

import trio

from gatekeeper.http_fields import Headers
from gatekeeper.keys.cool_downs import KeyRequirement
from gatekeeper.logs import log
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.upstream.connection import ConnectionLost
from gatekeeper.upstream.pool import ConnectFailed

CHECK_SECONDS = 300.0
CHECK_TIMEOUT = 30.0  # seconds
TARGET = b"/v1beta/models?pageSize=1"


async def check_refused_keys(context: ProxyContext, seconds: float = CHECK_SECONDS) -> None:
    """Runs until cancelled."""
    while True:
        await trio.sleep(seconds)
        for pooled in [*context.google_keys]:
            if pooled.refused is not None:
                await check(context, pooled.key.label)


async def check(context: ProxyContext, label: str) -> None:
    """Asks Google for one model with this key. Errors leave it as it is."""
    # In place of one that was removed while another was looked at, any other would be chosen.
    if context.google_keys.find(label) is None:
        return
    # By its label: among the others a key that was refused comes last.
    lease = context.google_keys.choose(KeyRequirement(action="models.list"), time_ns() // 1000, label)
    if lease is None:
        return
    try:
        with trio.move_on_after(CHECK_TIMEOUT):
            if await is_accepted(context, lease.key.secret):
                lease.succeeded(time_ns() // 1000)
                log.info("google_key_accepted", key=label)
    except (ConnectFailed, ConnectionLost) as error:
        context.poll_errors.record_exception(error)
    finally:
        lease.finish(time_ns() // 1000)


async def is_accepted(context: ProxyContext, secret: str) -> bool:
    """Raises ConnectFailed and ConnectionLost."""
    headers: Headers = [
        (b"host", context.upstream.authority),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
        (b"x-goog-api-key", secret.encode("latin-1")),
    ]
    connection = await context.upstream.acquire()
    try:
        await connection.send_request("GET", context.upstream.prefix + TARGET, headers, b"")
        return (await connection.read_head()).status == 200
    finally:
        context.upstream.release(connection)
