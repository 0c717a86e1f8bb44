"""The headers of a call's request upstream."""

from __future__ import annotations

from gatekeeper.http_fields import Headers
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.headers import upstream_headers
from gatekeeper.upstream.pool import UpstreamPool


def call_headers(call: ProxyCall, upstream: UpstreamPool, *, chunked: bool) -> Headers:
    """The client's, with the Google key that the call has now."""
    # Not sent to Google. Any other upstream may lead back to this gateway, which then finds its own id.
    call_ids = None
    if upstream.may_be_gateway:
        call_ids = b", ".join([*call.forwarded_call_ids, call.row.id.encode()])
    return upstream_headers(
        call.headers,
        upstream.authority,
        call.google_key.secret,
        chunked=chunked,
        call_ids=call_ids,
    )
