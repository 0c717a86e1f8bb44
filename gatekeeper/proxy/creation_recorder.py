"""Notes what a call has made before the client has its name: the client may use it at once, while a stream
still runs, and a killed process must not forget whose it is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from gatekeeper.gemini.actions import EMBEDDING, IMAGE_ACTIONS, OPENAI_EMBEDDING, OPENAI_GENERATING, Billing
from gatekeeper.gemini.meter import NO_METER
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import CutByGateway

_CREATE_NOTHING = OPENAI_GENERATING | IMAGE_ACTIONS | EMBEDDING | {OPENAI_EMBEDDING}
# Chunks of a response that are searched for a new resource's name: it comes in the first ones, and searching
# costs more than relaying.
CHUNKS_SEARCHED = 16


class Write(Protocol):
    """Sends a piece of a response; `ends`: its last one."""

    def __call__(self, chunk: bytes, *, ends: bool = False) -> Awaitable[None]: ...


def may_create(call: ProxyCall) -> bool:
    """Whether the response may name what was made; most calls generate something, and are not looked at. What
    a read tells can be read once more."""
    route, status = call.route, call.exchange.upstream_status or 0
    return (
        call.row.method in ("POST", "PUT")
        # What is not parsed names nothing.
        and call.meter is not NO_METER
        and status // 100 == 2
        and route.billing is not Billing.METERED
        and route.action not in _CREATE_NOTHING
    )


class CreationRecorder:
    """In place of the client: has the meter see a chunk first, and what it names noted, before it is sent."""

    def __init__(self, call: ProxyCall, write: Write) -> None:
        self._call = call
        self._write = write
        self._chunks = 0

    async def write(self, chunk: bytes, *, ends: bool = False) -> None:
        call = self._call
        try:
            call.meter.feed(chunk)
        except CutByGateway:
            # What the client will have in full cannot be cut any more.
            if not ends:
                # What has used the budget up is the client's, and the error comes after it.
                await self._write(chunk)
                raise
        self._chunks += 1
        if self._chunks <= CHUNKS_SEARCHED and call.row.made is None:
            with call.context.accounting_errors.recorded():
                call.context.record_created(
                    call.row, call.head.path, call.exchange.upstream_status, call.meter
                )
        await self._write(chunk, ends=ends)
