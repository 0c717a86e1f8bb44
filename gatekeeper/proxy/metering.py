"""Metering of responses: which meter reads the body, and how created resources are recorded before the client
has their names."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from gatekeeper.gemini.actions import (
    CACHE_CREATE,
    EMBEDDING,
    IMAGE_ACTIONS,
    OPENAI_EMBEDDING,
    OPENAI_GENERATING,
    Billing,
)
from gatekeeper.gemini.evasion import header_risk, query_risk
from gatekeeper.gemini.meter import GZIP, IDENTITY, NO_METER, meter_for, meter_options
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.resource_names import OwnedResource, owned_resource_in_path
from gatekeeper.proxy.cache_storage import is_storage_charge
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import CutByGateway
from gatekeeper.proxy.pending_results import result_reader
from gatekeeper.proxy.tee_meters import CacheMeter, CreatedNamesMeter, ResultMeter
from gatekeeper.upstream.connection import ResponseHead

DOWNLOADS = frozenset({"files.download", "openai.files.content"})
# Collections whose resources may name others: those that they have created, or work with.
MAY_NAME_CREATED = frozenset(
    {"operations", "models", "batches", "interactions", "triggers", "videos", "tunedModels"}
)
CREATE_NOTHING = OPENAI_GENERATING | IMAGE_ACTIONS | EMBEDDING | {OPENAI_EMBEDDING}
# Chunks of a response that are searched for a created resource's name: it is in the first ones, and searching
# costs more than relaying.
CHUNKS_SEARCHED = 16


def choose_meter(call: ProxyCall, head: ResponseHead) -> Meter:
    """The meter for the body of the response to a call."""
    media_type = head.fields.get(b"content-type")
    encoding = head.fields.get(b"content-encoding")
    call.tier_header = head.fields.get(b"x-gemini-service-tier")
    if call.route.billing is Billing.METERED:
        meter = meter_for(media_type, encoding, status=head.status)
    elif reading := meter_options(call.row.method, call.route, head.status, media_type):
        meter = meter_for(media_type, encoding, *reading, status=head.status)
    else:
        meter = NO_METER
    # A 206 has only a part of the document.
    if head.status != 200:
        return meter
    if may_name_created(call.route.action, owned_resource_in_path(call.head.path)):
        meter = _with_created_names(meter, (encoding or b"").strip().lower())
    if call.row.resource is not None or call.route.action == CACHE_CREATE:
        meter = _with_results(call, meter, media_type, (encoding or b"").strip().lower())
    return meter


def may_name_created(action: str | None, named: OwnedResource) -> bool:
    """Whether the response to a call may name other resources than the one requested."""
    return action == "interactions.create" or (
        named.name is not None and named.name.partition("/")[0] in MAY_NAME_CREATED
    )


def _with_created_names(meter: Meter, encoding: bytes) -> Meter:
    if encoding not in IDENTITY + GZIP:
        return meter
    return CreatedNamesMeter(meter, is_gzip=encoding in GZIP)


def _with_results(call: ProxyCall, meter: Meter, media_type: bytes | None, encoding: bytes) -> Meter:
    """Also reads the result that an earlier call waits for, and cached contents; only of a complete
    response."""
    if encoding not in IDENTITY + GZIP:
        return meter
    if call.route.action == CACHE_CREATE:
        return CacheMeter(meter, is_gzip=encoding in GZIP)
    awaited = call.context.deferred.pending.find(call.row.resource or "")
    if awaited is None or _is_partial(call):
        return meter
    if is_storage_charge(awaited):
        return CacheMeter(meter, is_gzip=encoding in GZIP)
    # The response to a cancellation is the interaction.
    is_shown = call.row.method == "GET" or call.route.action == "interactions.cancel"
    reader = result_reader(awaited, call.context, media_type) if is_shown else None
    return ResultMeter(meter, reader, is_gzip=encoding in GZIP) if reader else meter


def _is_partial(call: ProxyCall) -> bool:
    """Whether the response may lack members, because of a field mask, or is a file's metadata, not its
    content."""
    query, action = call.credential.query, call.route.action
    if (call.row.resource or "").startswith("files/"):
        return action not in DOWNLOADS and not (action == "files.get" and b"alt=media" in query)
    return bool(query_risk(query) or header_risk(call.fields.keys(), b""))


class WriteChunk(Protocol):
    """Sends a piece of a response; `is_last`: the last one."""

    def __call__(self, chunk: bytes, *, is_last: bool = False) -> Awaitable[None]: ...


def may_create(call: ProxyCall) -> bool:
    """Whether the response may name a created resource. Not of calls that generate content, which are most,
    nor of reads, which can be repeated."""
    route, status = call.route, call.exchange.upstream_status or 0
    return (
        call.row.method in ("POST", "PUT")
        # What is not parsed names nothing.
        and call.meter is not NO_METER
        and status // 100 == 2
        and route.billing is not Billing.METERED
        and route.action not in CREATE_NOTHING
    )


class CreationRecorder:
    """Records a created resource before the client has its name: the client may use it at once, while a
    stream still runs, and its owner must be known after a kill.

    Its `write` replaces the client's: a chunk is metered, and what it names recorded, before it is sent.
    """

    def __init__(self, call: ProxyCall, write: WriteChunk) -> None:
        self._call = call
        self._write = write
        self._chunks = 0

    async def write(self, chunk: bytes, *, is_last: bool = False) -> None:
        call = self._call
        try:
            call.meter.feed(chunk)
        except CutByGateway:
            # What the client will have in full cannot be cut any more.
            if not is_last:
                # The client gets the chunk that has used up the budget, and then the error.
                await self._write(chunk)
                raise
        self._chunks += 1
        if self._chunks <= CHUNKS_SEARCHED and call.row.made is None:
            with call.context.accounting_errors.recorded():
                call.context.record_created(
                    call.row, call.head.path, call.exchange.upstream_status, call.meter
                )
        await self._write(chunk, is_last=is_last)
