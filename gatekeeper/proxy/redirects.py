"""Redirects of a GET or HEAD are followed by the gateway: the client could not use the targets.

Google redirects some downloads to a URL that repeats the API key, and needs it. Up to five redirects are
followed: to the configured upstream, or without the key to Google's own hosts, over https. A redirect of any
other request is not followed; its Location is rewritten to this gateway if it leads to the upstream,
otherwise withheld.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urljoin

from gatekeeper.addresses import is_loopback
from gatekeeper.gemini.evasion import normalized_path
from gatekeeper.http_fields import Headers
from gatekeeper.proxy.authenticate import extract_credential
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.failures import foreign_redirect, too_many_redirects, unreachable
from gatekeeper.proxy.transport import PREFIX
from gatekeeper.public_url import public_base
from gatekeeper.upstream.connection import ResponseHead, UpstreamConnection, UpstreamRequest
from gatekeeper.upstream.pool import ConnectFailed, Origin, UpstreamPool

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
FOLLOWED_METHODS = frozenset({"GET", "HEAD"})
MAX_REDIRECTS = 5

# A label has at most 63 characters: for a longer one `getaddrinfo` raises UnicodeError, which is no OSError.
GOOGLE_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:googleapis|googleusercontent)\.com")
# Visible ASCII without the backslash, which browsers read as a slash. Neither userinfo nor a scheme without
# an authority is allowed: URLs that two parsers could read differently are rejected.
REFERENCE = re.compile(
    rb"(?:(?:(?P<scheme>https?):)?//(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|\Z))?"
    rb"(?P<path>(?(host)|(?!//))[!-\[\]-~]*)",
    re.IGNORECASE,
)
SCHEME = re.compile(rb"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
PORTS = {"http": 80, "https": 443}

# Fields of range, conditional and negotiated requests, which are sent to other hosts too.
SELECTION_HEADERS = frozenset(
    {
        b"accept", b"accept-encoding", b"accept-language", b"range", b"if-match", b"if-modified-since",
        b"if-none-match", b"if-range", b"if-unmodified-since",
    }
)  # fmt: skip
FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class AbsoluteUrl(NamedTuple):
    """An absolute URL; `target` is its path and query."""

    origin: Origin
    target: bytes


class FollowedResponse(NamedTuple):
    """The final response; `with_key`: its request had the Google key."""

    connection: UpstreamConnection
    head: ResponseHead
    with_key: bool


def is_redirect(head: ResponseHead) -> bool:
    return head.status in REDIRECT_STATUSES and b"location" in head.fields


def resolve(location: bytes, base: AbsoluteUrl) -> AbsoluteUrl | None:
    """A Location resolved against the URL of its request (RFC 9110 §10.2.2), without the fragment; None if it
    is not a plain http or https URL. An absolute path keeps its bytes: it may be signed."""
    found = REFERENCE.fullmatch(location)
    if found is None:
        return None
    path = found["path"].partition(b"#")[0]
    if found["host"] is None:
        if SCHEME.match(path):
            return None
        joined = path if path[:1] == b"/" else urljoin(base.target.decode(), path.decode()).encode()
        return AbsoluteUrl(base.origin, joined)
    scheme = (found["scheme"] or base.origin.scheme.encode()).decode().lower()
    port = int(found["port"] or PORTS[scheme])
    origin = Origin(scheme, found["host"].strip(b"[]").decode().lower(), port)
    return AbsoluteUrl(origin, path if path[:1] == b"/" else b"/" + path)


def without_credentials(target: bytes) -> bytes:
    """Path and query of a URL from Google without the gateway's key in it: the key is sent in a header, and
    to the upstream only."""
    path, _, query = target.partition(b"?")
    rest = extract_credential((), query).query
    return path + b"?" + rest if rest else path


def is_below_upstream(address: AbsoluteUrl, upstream: UpstreamPool) -> bool:
    """Whether the address is below the configured upstream's URL."""
    origin = upstream.origin
    # Scheme and port.
    if address.origin[::2] != origin[::2] or not is_same_host(address.origin.host, origin.host):
        return False
    path = normalized_path(address.target.partition(b"?")[0])
    return path is not None and path.startswith(upstream.prefix.decode("latin-1") + "/")


def is_same_host(host: str, other: str) -> bool:
    """Whether two hosts are the same; two loopback names are (localhost, 127.0.0.1), where a simulated API
    may run."""
    return host == other or (is_loopback(host) and is_loopback(other))


def is_google_origin(origin: Origin) -> bool:
    return (
        origin.scheme == "https"
        and origin.port == PORTS["https"]
        and GOOGLE_HOST.fullmatch(origin.host) is not None
    )


def local_path(location: bytes, target: bytes, upstream: UpstreamPool) -> bytes | None:
    """The Location of the upstream's response to a request for `target`, as a path of this gateway; None if
    it is not a URL of the upstream's."""
    address = resolve(location, AbsoluteUrl(upstream.origin, target))
    if address is None or not is_below_upstream(address, upstream):
        return None
    return PREFIX + address.target[len(upstream.prefix) :]


def local_location(call: ProxyCall, location: bytes, target: bytes) -> Headers:
    """The header `location` for the client, with the same target at this gateway; none if it is not a URL of
    the upstream's."""
    path = local_path(location, target, call.context.upstream)
    if path is None:
        return []
    base = public_base(call.head.scope, call.context.settings)
    return [(b"location", base.encode("latin-1") + path)]


@asynccontextmanager
async def follow_redirects(
    context: ProxyContext, request: UpstreamRequest, head: ResponseHead, before_request: Callable[[], None]
) -> AsyncGenerator[FollowedResponse]:
    """The response to a GET or HEAD whose first response is a redirect. `before_request` is called before
    each further request. Raises CallFailed, and ConnectionLost for a connection without a response."""
    upstream = context.upstream
    address = AbsoluteUrl(upstream.origin, request.target)
    for _ in range(MAX_REDIRECTS):
        address = _next_address(context, head, address)
        with_key = is_below_upstream(address, upstream)
        pool = upstream if with_key else upstream.for_other_host(address.origin.host)
        before_request()
        try:
            connection = await pool.connect()
        except ConnectFailed as error:
            raise unreachable(f"it redirected to {address.origin.host}, and there was {error}") from None
        try:
            # The Google key and the client's own fields are for the upstream only.
            headers = _headers(request.headers, None if with_key else pool.authority)
            await connection.send_request(request.method, address.target, headers, b"")
            head = await connection.read_head()
            if not is_redirect(head):
                yield FollowedResponse(connection, head, with_key)
                return
        finally:
            # Never reused: most are of a pool that was made for this URL only.
            pool.close(connection)
    context.redirect_errors.record("too_many", limit=MAX_REDIRECTS)
    raise too_many_redirects(MAX_REDIRECTS)


def _next_address(context: ProxyContext, head: ResponseHead, base: AbsoluteUrl) -> AbsoluteUrl:
    """Raises CallFailed for an address that may not be requested."""
    address = resolve(head.fields[b"location"], base)
    if address is not None and (
        is_below_upstream(address, context.upstream) or is_google_origin(address.origin)
    ):
        # Any other is kept as it is, because it may be signed.
        has_key = context.mask(address.target) != address.target
        return address._replace(target=without_credentials(address.target)) if has_key else address
    # Its host only: path and query may hold a signature, or a key.
    host = None if address is None else address.origin.host[:255]
    context.redirect_errors.record("foreign_host" if host else "no_plain_url", host=host)
    raise foreign_redirect(host)


def _headers(headers: Headers, authority: bytes | None) -> Headers:
    """The headers of the next request: to the upstream (None) those of the first one, to any other host only
    SELECTION_HEADERS."""
    if authority is None:
        return [field for field in headers if field[0] not in FRAMING_HEADERS]
    return [(b"host", authority), *(field for field in headers if field[0] in SELECTION_HEADERS)]
