"""Redirects: those of a GET or HEAD are followed here, not by the client, who could not use their addresses.

Google answers some downloads by a redirect that repeats the API key, and whose target takes that key. So up
to five are followed: to the configured upstream, or without the key to Google's own hosts, over https. A
redirect of any other request is not followed; its Location is rewritten to this gateway if it leads to the
upstream, otherwise withheld.
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
# Visible ASCII without the backslash, which browsers read as a slash. An authority has no userinfo, and a
# scheme is followed by one: whatever two parsers could read differently leads nowhere.
REFERENCE = re.compile(
    rb"(?:(?:(?P<scheme>https?):)?//(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|\Z))?"
    rb"(?P<path>(?(host)|(?!//))[!-\[\]-~]*)",
    re.IGNORECASE,
)
SCHEME = re.compile(rb"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
PORTS = {"http": 80, "https": 443}

# What a request for a part of a file, or for one of its forms, needs elsewhere too.
SELECTION_HEADERS = frozenset(
    {
        b"accept", b"accept-encoding", b"accept-language", b"range", b"if-match", b"if-modified-since",
        b"if-none-match", b"if-range", b"if-unmodified-since",
    }
)  # fmt: skip
FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class AbsoluteUrl(NamedTuple):
    """An absolute URL: `target` is its path and query."""

    origin: Origin
    target: bytes


class FollowedResponse(NamedTuple):
    """The response at the end of the redirects; `with_key`: its request had the Google key."""

    connection: UpstreamConnection
    head: ResponseHead
    with_key: bool


def is_redirect(head: ResponseHead) -> bool:
    return head.status in REDIRECT_STATUSES and b"location" in head.fields


def resolve(location: bytes, base: AbsoluteUrl) -> AbsoluteUrl | None:
    """The address that a Location names, relative to that of its request (RFC 9110 §10.2.2), without a
    fragment; None if it is not a plain one of http or https. An absolute path keeps its bytes: it may be
    signed."""
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
    """Path and query of an address of Google's without a key: that would be the gateway's, which is sent in a
    header, and to the upstream only."""
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
    """Also for two names of this machine (localhost, 127.0.0.1), where a stand-in for Google may run."""
    return host == other or (is_loopback(host) and is_loopback(other))


def is_google_origin(origin: Origin) -> bool:
    return (
        origin.scheme == "https"
        and origin.port == PORTS["https"]
        and GOOGLE_HOST.fullmatch(origin.host) is not None
    )


def local_path(location: bytes, target: bytes, upstream: UpstreamPool) -> bytes | None:
    """A Location of the upstream's response to a request for `target`, as a path of this gateway; None if it
    leads elsewhere."""
    address = resolve(location, AbsoluteUrl(upstream.origin, target))
    if address is None or not is_below_upstream(address, upstream):
        return None
    return PREFIX + address.target[len(upstream.prefix) :]


def local_location(call: ProxyCall, location: bytes, target: bytes) -> Headers:
    """A Location of the response to a request for `target` that leads to this gateway; none if it leads
    elsewhere."""
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
            # Never kept: most are of a pool that was made for this address only.
            pool.close(connection)
    context.redirect_errors.record("too_many", limit=MAX_REDIRECTS)
    raise too_many_redirects(MAX_REDIRECTS)


def _next_address(context: ProxyContext, head: ResponseHead, base: AbsoluteUrl) -> AbsoluteUrl:
    """Raises CallFailed for an address that may not be requested."""
    address = resolve(head.fields[b"location"], base)
    if address is not None and (
        is_below_upstream(address, context.upstream) or is_google_origin(address.origin)
    ):
        # Others may be signed as they are.
        has_key = context.mask(address.target) != address.target
        return address._replace(target=without_credentials(address.target)) if has_key else address
    # Its host only: path and query may hold a signature, or a key.
    host = None if address is None else address.origin.host[:255]
    context.redirect_errors.record("foreign_host" if host else "no_plain_url", host=host)
    raise foreign_redirect(host)


def _headers(headers: Headers, authority: bytes | None) -> Headers:
    """The headers of a further request: to the upstream (None) those of the first, to any other authority
    only what selects the response."""
    if authority is None:
        return [field for field in headers if field[0] not in FRAMING_HEADERS]
    return [(b"host", authority), *(field for field in headers if field[0] in SELECTION_HEADERS)]
