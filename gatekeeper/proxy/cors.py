"""CORS: which web pages may read the gateway's responses, by the Fetch standard
(https://fetch.spec.whatwg.org/).

A page's script may send a request with a key only after a preflight, and read a response only with
`Access-Control-Allow-Origin`. The gateway makes both itself: Google's are for Google's users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from gatekeeper.http_fields import Headers
from gatekeeper.proxy.headers import first_value
from gatekeeper.server.client_stream import ClientStream

ANY_ORIGIN = b"*"
REQUEST_METHOD, REQUEST_HEADERS = b"access-control-request-method", b"access-control-request-headers"
PRIVATE_NETWORK = b"access-control-request-private-network"
ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
PREFLIGHT_SECONDS = b"7200"  # the longest that Chromium caches a preflight
PREFLIGHT_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
FIELD_NAMES = re.compile(rb"[\w!#$%&'*+.^`|~, \t-]{0,8192}", re.ASCII)
# Scripts may read these without being told so.
SAFELISTED = frozenset(
    {
        b"cache-control", b"content-language", b"content-length", b"content-type", b"expires",
        b"last-modified", b"pragma",
    }
)  # fmt: skip


class AllowedOrigins:
    """The origins whose pages may use the gateway; without any, none may."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY_ORIGIN in self._origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allowed(self, headers: Headers) -> bytes | None:
        """The value of `Access-Control-Allow-Origin` for a request with these headers; None if it has no
        `Origin`, or one that is not allowed."""
        origin = first_value(headers, b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return None
        return ANY_ORIGIN if self._any else origin


def allow_reading(stream: ClientStream, origins: AllowedOrigins, headers: Headers) -> bool:
    """Adds the CORS headers to the response of this stream; returns False if the request's origin is not
    allowed."""
    origin = origins.allowed(headers)
    if origin is not None:
        stream.edit_headers = partial(with_cors_fields, allowed_origin=origin)
    elif origins:
        stream.edit_headers = with_vary
    return origin is not None


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a request is a CORS preflight. Any other OPTIONS is an ordinary request."""
    return (
        method == "OPTIONS"
        and first_value(headers, b"origin") is not None
        and first_value(headers, REQUEST_METHOD) is not None
    )


def preflight_headers(headers: Headers) -> Headers:
    """The headers of the response to a preflight of an allowed origin, without those that `with_cors_fields`
    adds: any method and any requested header is allowed, because all are relayed."""
    names = first_value(headers, REQUEST_HEADERS) or b""
    added = [
        (b"access-control-allow-methods", ALLOWED_METHODS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
        (b"vary", PREFLIGHT_VARY),
    ]
    # The names are echoed, so nothing else may be in the value.
    if names and FIELD_NAMES.fullmatch(names):
        added.append((b"access-control-allow-headers", names))
    # https://wicg.github.io/private-network-access/: a page of a public site that wants to reach a gateway in
    # a private network.
    if first_value(headers, PRIVATE_NETWORK) == b"true":
        added.append((b"access-control-allow-private-network", b"true"))
    return added


def with_cors_fields(headers: Headers, allowed_origin: bytes) -> Headers:
    """The response's headers and those of CORS, by which the page may read the response and all its
    headers."""
    names = list(dict.fromkeys(name for name, _ in headers if name not in SAFELISTED))
    added = [
        *headers,
        (b"access-control-allow-origin", allowed_origin),
        (b"access-control-expose-headers", b", ".join(names)),
    ]
    return added if allowed_origin == ANY_ORIGIN else with_vary(added)


def with_vary(headers: Headers) -> Headers:
    """The headers with `Vary: Origin`, so that no cache serves the response to another origin, for which the
    headers would differ."""
    return [*headers, (b"vary", b"Origin")]
