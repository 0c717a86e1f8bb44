"""Which header fields are relayed, in both directions: all except those listed here. Credentials in responses
are among those: some of Google's repeat the request's headers, including the API key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from urllib.parse import unquote

from gatekeeper.gemini.evasion import PROXY_REWRITE_HEADERS, header_risk
from gatekeeper.http_fields import Headers

# Fields of one connection only (RFC 9110 §7.6.1), and `expect`, to which the gateway's server has responded.
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
        b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings", b"expect",
    }
)  # fmt: skip
# The last three are of other APIs: a client that sends one has put this gateway's key in the wrong header.
CREDENTIALS = frozenset({b"x-goog-api-key", b"authorization", b"api-key", b"x-api-key", b"x-litellm-api-key"})
TAG_HEADERS = frozenset({b"tags", b"x-gatekeeper-tags", b"x-litellm-tags"})
USER_HEADERS = (b"x-gatekeeper-user", b"x-litellm-end-user-id")
CALL_ID_HEADER = b"x-gatekeeper-call-id"
CLIENT_INFO_HEADERS = frozenset({b"host", b"cookie", b"forwarded", b"via", b"x-real-ip"})
GATEWAY_HEADERS = TAG_HEADERS | frozenset(USER_HEADERS) | {CALL_ID_HEADER}
NOT_FORWARDED = (
    HOP_BY_HOP
    | CREDENTIALS
    | GATEWAY_HEADERS
    | CLIENT_INFO_HEADERS
    | PROXY_REWRITE_HEADERS
    | {b"accept-encoding"}
)

LENGTH = frozenset({b"content-length"})
# With an underscore (`content_type`) the upstream might read them, and parse the body otherwise than the
# gateway.
DESCRIBES_BODY = LENGTH | {b"content-encoding", b"content-type"}
_NAME: Callable[[tuple[bytes, bytes]], bytes] = itemgetter(0)

# Fields of responses that are not relayed, by reason.
WITHHELD_BY_REASON: dict[str, frozenset[bytes]] = {
    "of one connection (RFC 9110 §7.6.1)": HOP_BY_HOP,
    "a credential, a repeated one, or about the gateway's own": CREDENTIALS
    | {
        b"cookie", b"set-cookie", b"set-cookie2", b"www-authenticate", b"authentication-info",
        b"proxy-authentication-info", b"x-goog-iam-authorization-token",
    },
    "an address at Google, by which a client would bypass the gateway": frozenset(
        {
            b"location", b"refresh", b"x-goog-upload-url", b"x-goog-upload-control-url",
            b"x-guploader-uploadid",
        }
    ),
    "said for Google's host, and browsers would apply it to the gateway's": frozenset(
        {
            b"accept-ch", b"alt-svc", b"clear-site-data", b"content-security-policy",
            b"content-security-policy-report-only", b"critical-ch", b"cross-origin-embedder-policy",
            b"cross-origin-embedder-policy-report-only", b"cross-origin-opener-policy",
            b"cross-origin-opener-policy-report-only", b"cross-origin-resource-policy", b"document-policy",
            b"expect-ct", b"nel", b"origin-agent-cluster", b"origin-trial", b"permissions-policy",
            b"public-key-pins", b"public-key-pins-report-only", b"report-to", b"reporting-endpoints",
            b"service-worker-allowed", b"speculation-rules", b"strict-transport-security",
            b"timing-allow-origin",
        }
    ),
}  # fmt: skip
WITHHELD = frozenset(name for group in WITHHELD_BY_REASON.values() for name in group)
# Set by the gateway only: CORS headers, and those with its own name.
OWN_PREFIXES = (b"access-control-", b"x-gatekeeper-")

# Fields for framing, routing or content must not be trailers (RFC 9110 §6.5.1).
NOT_IN_TRAILERS = frozenset(
    {
        b"age", b"cache-control", b"content-encoding", b"content-length", b"content-range", b"content-type",
        b"date", b"expires", b"host", b"location", b"max-forwards", b"retry-after", b"vary",
    }
)  # fmt: skip

# Version, trace, span, flags; later versions may go on.
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)")


def upstream_headers(
    headers: Headers, host: bytes, google_key: str, *, chunked: bool, call_ids: bytes | None = None
) -> Headers:
    """The headers for the upstream: `host`, then the client's own fields in their order, then the Google key.

    The client's `accept-encoding` is narrowed to gzip or identity, so that the meter can read the response.
    `call_ids`: the ids of the call here and at earlier gateways, for an upstream that may be a gateway.
    `chunked`: the body's length is unknown and it is re-chunked; otherwise a `content-length` is kept.
    """
    names = _names(headers)
    kept = list(compress(headers, _are_forwarded(names)))
    # RFC 9110 §7.6.1: what `Connection` names was for this hop only.
    dropped = _connection_options(_joined(headers, names, b"connection"))
    if chunked:
        dropped |= LENGTH
    if dropped:
        kept = [field for field in kept if field[0].replace(b"_", b"-") not in dropped]
    # First, as RFC 9110 §7.2 asks for.
    kept.insert(0, (b"host", host))
    codings = _joined(headers, names, b"accept-encoding")
    kept.append((b"accept-encoding", b"gzip" if accepts_gzip(codings) else b"identity"))
    # The only credential sent upstream; all of the client's were dropped above.
    kept.append((b"x-goog-api-key", google_key.encode("latin-1")))
    if call_ids is not None:
        kept.append((CALL_ID_HEADER, call_ids))
    if chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    return kept


@lru_cache(maxsize=1024)
def is_forwarded(name: bytes) -> bool:
    """Whether a field of a request is sent upstream."""
    # Some servers read `_` as `-`: a header that is not forwarded is dropped with underscores too.
    plain = name.replace(b"_", b"-")
    if plain != name and plain in DESCRIBES_BODY:
        return False
    return not (plain in NOT_FORWARDED or plain.startswith(b"x-forwarded-"))


# Requests of one client, and responses of one method, have the same fields.
@lru_cache(maxsize=64)
def _are_forwarded(names: tuple[bytes, ...]) -> tuple[bool, ...]:
    return tuple(map(is_forwarded, names))


@lru_cache(maxsize=64)
def _are_relayed(names: tuple[bytes, ...]) -> tuple[bool, ...]:
    return tuple([not is_withheld(name) for name in names])


def _names(headers: Headers) -> tuple[bytes, ...]:
    return tuple(map(_NAME, headers))


def _joined(headers: Headers, names: tuple[bytes, ...], name: bytes) -> bytes:
    """The values of a field; without any, nothing."""
    if name not in names:
        return b""
    if names.count(name) == 1:
        return headers[names.index(name)][1]
    return b",".join([value for field, value in headers if field == name])


@lru_cache(maxsize=64)
def accepts_gzip(value: bytes) -> bool:
    """Whether an `accept-encoding` gives gzip a weight above zero, by name or by `*` (RFC 9110 §12.5.3)."""
    weights: dict[bytes, bool] = {}
    for item in b"".join(value.lower().split()).split(b","):
        coding, _, weight = item.partition(b";q=")
        # `q=0`, `q=0.0` … are "not acceptable" (RFC 9110 §12.4.2).
        weights[coding] = not weight or weight.strip(b"0.") != b""
    # A coding's own weight goes before that of `*`.
    return next((weights[name] for name in (b"gzip", b"x-gzip", b"*") if name in weights), False)


@lru_cache(maxsize=64)
def _connection_options(connection: bytes) -> frozenset[bytes]:
    """The fields that `Connection` names, without those that are never relayed anyway: they are for this hop
    only. `Content-Length` is not among them: without it the body would be read as another request."""
    options = frozenset(option.strip().lower() for option in connection.split(b","))
    # A client could name it here; without it the two sides would disagree on the body's end.
    return options - HOP_BY_HOP - LENGTH - {b""}


def downstream_headers(headers: Headers, call_id: str) -> Headers:
    """The headers of the upstream's response for the client, in their order, and the id of the call."""
    names = _names(headers)
    kept = list(compress(headers, _are_relayed(names)))
    if named := _connection_options(_joined(headers, names, b"connection")):
        kept = [field for field in kept if field[0] not in named]
    kept.append((CALL_ID_HEADER, call_id.encode()))
    return kept


@lru_cache(maxsize=1024)
def is_withheld(name: bytes) -> bool:
    """Whether a field of a response is not relayed."""
    return name in WITHHELD or name.startswith(OWN_PREFIXES)


def upstream_trailers(trailers: Headers) -> Headers:
    """The trailers of a request for the upstream, without fields that are not allowed there, and those that
    would change how the call is metered if they were read as headers."""
    names = {name: name.replace(b"_", b"-") for name, _ in trailers}
    dropped = NOT_FORWARDED | NOT_IN_TRAILERS
    return [
        (name, value)
        for name, value in trailers
        if not (names[name] in dropped or names[name].startswith(b"x-forwarded-"))
        and header_risk(frozenset({name}), b"") is None
    ]


def downstream_trailers(trailers: Headers) -> Headers:
    """The trailers of the upstream's response for the client."""
    return [field for field in trailers if not (is_withheld(field[0]) or field[0] in NOT_IN_TRAILERS)]


def decode_value(value: bytes) -> str:
    """A field's text: UTF-8 if it is valid, otherwise Latin-1, which is what `fetch` sends."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def percent_decoded(text: str) -> str:
    """The percent-decoded text: clients encode what no header may contain, by JavaScript's
    `encodeURIComponent`. Text that is not UTF-8, or has unprintable characters, stays as it is."""
    if "%" not in text:
        return text
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text
    return plain if plain.isprintable() else text


def tags(headers: Headers) -> list[str]:
    """Those of a request: trimmed, without duplicates, order kept."""
    texts: list[str] = []
    for name, value in headers:
        if name in TAG_HEADERS:
            texts += [percent_decoded(text).strip() for text in decode_value(value).split(",")]
    return list(dict.fromkeys(filter(None, texts)))


def end_user(fields: Mapping[bytes, bytes]) -> str | None:
    """The end user that the request names, if any."""
    for name in USER_HEADERS:
        if (value := fields.get(name)) and (user := percent_decoded(decode_value(value)).strip()):
            return user
    return None


def user_agent(fields: Mapping[bytes, bytes]) -> str | None:
    agent = fields.get(b"user-agent")
    return decode_value(agent) if agent else None


def trace_id(fields: Mapping[bytes, bytes]) -> str | None:
    """The trace that the call belongs to, from `traceparent` (W3C Trace Context §3.2.2)."""
    parent = fields.get(b"traceparent")
    named = TRACEPARENT.match(parent) if parent else None
    return named[1].decode() if named else None


def first_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a field, if it is present."""
    return next((value for field, value in headers if field == name), None)
