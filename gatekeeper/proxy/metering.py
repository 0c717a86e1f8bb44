"""Chooses what is read of a response while its bytes pass."""

from __future__ import annotations

from gatekeeper.gemini.actions import CACHE_CREATE, Billing
from gatekeeper.gemini.evasion import header_risk, query_risk
from gatekeeper.gemini.meter import GZIP, IDENTITY, NO_METER, meter_for, meter_options
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.resource_names import owned_resource_in_path
from gatekeeper.proxy.cache_storage import is_stored
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.created_resources import CreatedNamesMeter, may_name_created
from gatekeeper.proxy.interaction_results import reader_of
from gatekeeper.proxy.pending_results import CacheMeter, ResultMeter
from gatekeeper.upstream.connection import ResponseHead

DOWNLOADS = frozenset({"files.download", "openai.files.content"})


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
    # A 206 is a part, of which nothing may be concluded.
    if head.status != 200:
        return meter
    if may_name_created(call.route.action, owned_resource_in_path(call.head.path)):
        meter = _finding(meter, (encoding or b"").strip().lower())
    if call.row.resource is not None or call.route.action == CACHE_CREATE:
        meter = _tapped(call, meter, media_type, (encoding or b"").strip().lower())
    return meter


def _finding(meter: Meter, encoding: bytes) -> Meter:
    if encoding not in IDENTITY + GZIP:
        return meter
    return CreatedNamesMeter(meter, is_gzip=encoding in GZIP)


def _tapped(call: ProxyCall, meter: Meter, media_type: bytes | None, encoding: bytes) -> Meter:
    """Also reads what an earlier call waits for, and cached contents; only if the response is whole."""
    if encoding not in IDENTITY + GZIP:
        return meter
    if call.route.action == CACHE_CREATE:
        return CacheMeter(meter, is_gzip=encoding in GZIP)
    awaited = call.context.deferred.pending.find(call.row.resource or "")
    if awaited is None or _is_partial(call):
        return meter
    if is_stored(awaited):
        return CacheMeter(meter, is_gzip=encoding in GZIP)
    # A cancellation answers with the interaction.
    is_shown = call.row.method == "GET" or call.route.action == "interactions.cancel"
    reader = reader_of(awaited, call.context, media_type) if is_shown else None
    return ResultMeter(meter, reader, is_gzip=encoding in GZIP) if reader else meter


def _is_partial(call: ProxyCall) -> bool:
    """Whether the response may lack members, because a field mask was given; or is a file's description, not
    the file."""
    query, action = call.credential.query, call.route.action
    if (call.row.resource or "").startswith("files/"):
        return action not in DOWNLOADS and not (action == "files.get" and b"alt=media" in query)
    return bool(query_risk(query) or header_risk(call.fields.keys(), b""))
