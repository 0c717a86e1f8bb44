"""Which header fields cross the gateway, in both directions.

To the upstream all are forwarded but those that are withheld; to the client only those of an
allow-list, because some of Google's responses repeat request headers, the API key included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from gatekeeper.gemini.evasion import PROXY_REWRITE_HEADERS

Headers = list[tuple[bytes, bytes]]

# Fields of one connection only (RFC 9110 §7.6.1), and `expect`, which the server here has answered.
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
        b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings", b"expect",
    }
)  # fmt: skip
# The last three are other APIs': a client that sends one has put a key of this gateway in the wrong place.
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

RESPONSE_ALLOW_LIST = frozenset(
    {
        b"accept-ranges", b"cache-control", b"content-disposition", b"content-encoding", b"content-language",
        b"content-length", b"content-range", b"content-type", b"date", b"etag", b"expires", b"last-modified",
        b"pragma", b"retry-after", b"server", b"server-timing", b"vary", b"x-content-type-options",
        b"x-frame-options", b"x-gemini-service-tier", b"x-goog-upload-chunk-granularity",
        b"x-goog-upload-size-received", b"x-goog-upload-status", b"x-xss-protection",
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
    # RFC 9110 §7.6.1: what `Connection` names was for this hop only.
    named = _connection_options(headers)
    kept: Headers = [(b"host", host)]
    dropped = NOT_FORWARDED | {b"content-length"} if chunked else NOT_FORWARDED
    for field in headers:
        name = field[0]
        # Some servers read `_` as `-`: a header that is not forwarded is dropped with underscores too.
        if b"_" in name:
            name = name.replace(b"_", b"-")
            if name == b"content-length":
                continue
        if not (name in dropped or name in named or name.startswith(b"x-forwarded-")):
            kept.append(field)
    codings = b",".join(value for name, value in headers if name == b"accept-encoding")
    kept.append((b"accept-encoding", b"gzip" if accepts_gzip(codings) else b"identity"))
    # The only credential sent upstream; all of the client's were dropped above.
    kept.append((b"x-goog-api-key", google_key.encode("latin-1")))
    if call_ids is not None:
        kept.append((CALL_ID_HEADER, call_ids))
    if chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    return kept


def accepts_gzip(value: bytes) -> bool:
    """Whether an `accept-encoding` gives gzip a weight above zero, by name or by `*` (RFC 9110 §12.5.3)."""
    weights: dict[bytes, bool] = {}
    for item in b"".join(value.lower().split()).split(b","):
        coding, _, weight = item.partition(b";q=")
        weights[coding] = not weight or weight.strip(b"0.") != b""
    return next((weights[name] for name in (b"gzip", b"x-gzip", b"*") if name in weights), False)


def _connection_options(headers: Headers) -> frozenset[bytes]:
    """Fields that `Connection` names: they are for this hop only. The body's length never is, or its bytes
    would be read as another request."""
    values = [value for name, value in headers if name == b"connection"]
    options = frozenset(option.strip().lower() for value in values for option in value.split(b","))
    # A client could name it here; without it the two sides would disagree on the body's end.
    return options - {b"content-length"}


def downstream_headers(headers: Iterable[tuple[bytes, bytes]], call_id: str) -> Headers:
    """The headers of the upstream's response for the client, with the id of the call."""
    kept = [field for field in headers if field[0] in RESPONSE_ALLOW_LIST]
    kept.append((b"x-gatekeeper-call-id", call_id.encode()))
    return kept


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


def tags(headers: Headers, of_key: Iterable[str] = ()) -> list[str]:
    """The key's tags, then those of the request: trimmed, without duplicates, order kept."""
    values = [decode_value(value) for name, value in headers if name in TAG_HEADERS]
    texts = [*of_key, *(percent_decoded(text).strip() for value in values for text in value.split(","))]
    return list(dict.fromkeys(text for text in texts if text))


def end_user(headers: Headers) -> str | None:
    """The end user that the request names, if any."""
    # Reversed, so that the first of several equal fields counts, as everywhere here.
    found = {name: value for name, value in reversed(headers) if name in USER_HEADERS}
    for name in USER_HEADERS:
        if user := percent_decoded(decode_value(found.get(name, b""))).strip():
            return user
    return None


def trace_id(headers: Headers) -> str | None:
    """The trace that the call belongs to, from `traceparent` (W3C Trace Context §3.2.2)."""
    named = TRACEPARENT.match(first_value(headers, b"traceparent") or b"")
    return named[1].decode() if named else None


def first_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a field, if it is present."""
    return next((value for field, value in headers if field == name), None)
