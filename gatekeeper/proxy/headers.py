"""Which header fields cross the gateway, in both directions.

Upwards everything goes but what the contract keeps back; downwards only what an allow-list knows, because
some of Google's answers repeat request headers, the API key included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from gatekeeper.gemini.spelling import OF_PROXIES

Headers = list[tuple[bytes, bytes]]

# Fields of one connection only (RFC 9110 §7.6.1), and `expect`, which the server here has answered.
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
        b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings", b"expect",
    }
)  # fmt: skip
# The last three are other APIs': whoever sends one here has put a key of this gateway in the wrong place.
CREDENTIALS = frozenset({b"x-goog-api-key", b"authorization", b"api-key", b"x-api-key", b"x-litellm-api-key"})
TAGS = frozenset({b"tags", b"x-gatekeeper-tags", b"x-litellm-tags"})
USER = (b"x-gatekeeper-user", b"x-litellm-end-user-id")
CALL_ID = b"x-gatekeeper-call-id"
ABOUT_THE_CLIENT = frozenset({b"host", b"cookie", b"forwarded", b"via", b"x-real-ip"})
OURS = TAGS | frozenset(USER) | {CALL_ID}
STAYS = HOP_BY_HOP | CREDENTIALS | OURS | ABOUT_THE_CLIENT | OF_PROXIES | {b"accept-encoding"}

COMES_DOWN = frozenset(
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
    """What goes up: `host` first, then the client's own fields in their order, then the Google key.

    The client's `accept-encoding` is narrowed to gzip or identity, so that the meter can read the answer.
    `call_ids`: the ids of the call here and at gateways before, for an upstream that may be a gateway.
    `chunked`: the body's length is not known and it is framed anew; otherwise a `content-length` stands.
    """
    # RFC 9110 §7.6.1: what `Connection` names was for this hop only.
    named = _connection_options(headers)
    kept: Headers = [(b"host", host)]
    stays = STAYS | {b"content-length"} if chunked else STAYS
    for field in headers:
        name = field[0]
        # Some servers take it for `-`: what stays, stays in both spellings.
        if b"_" in name:
            name = name.replace(b"_", b"-")
            if name == b"content-length":
                continue
        if not (name in stays or name in named or name.startswith(b"x-forwarded-")):
            kept.append(field)
    codings = b",".join(value for name, value in headers if name == b"accept-encoding")
    kept.append((b"accept-encoding", b"gzip" if accepts_gzip(codings) else b"identity"))
    # The one credential that goes up; all that a client sent have been left out above.
    kept.append((b"x-goog-api-key", google_key.encode("latin-1")))
    if call_ids is not None:
        kept.append((CALL_ID, call_ids))
    if chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    return kept


def accepts_gzip(value: bytes) -> bool:
    """Whether an `accept-encoding` gives gzip a weight above zero, by its name or else by `*` (RFC 9110
    §12.5.3)."""
    weights: dict[bytes, bool] = {}
    for item in b"".join(value.lower().split()).split(b","):
        coding, _, weight = item.partition(b";q=")
        weights[coding] = not weight or weight.strip(b"0.") != b""
    return next((weights[name] for name in (b"gzip", b"x-gzip", b"*") if name in weights), False)


def _connection_options(headers: Headers) -> frozenset[bytes]:
    """Fields that `Connection` names: they were meant for this hop alone. The body's length never is, or its
    bytes would be read as another request."""
    values = [value for name, value in headers if name == b"connection"]
    options = frozenset(option.strip().lower() for value in values for option in value.split(b","))
    # A client could name it here; without it the body would have no end that both sides agree on.
    return options - {b"content-length"}


def downstream_headers(headers: Iterable[tuple[bytes, bytes]], call_id: str) -> Headers:
    """What comes down of an answer of the upstream, with the id of the call."""
    kept = [field for field in headers if field[0] in COMES_DOWN]
    kept.append((b"x-gatekeeper-call-id", call_id.encode()))
    return kept


def text_of(value: bytes) -> str:
    """A field's text: UTF-8 where it is that, else Latin-1, which is what `fetch` sends."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def unescaped(text: str) -> str:
    """A text whose other than ASCII letters may be percent-encoded, as JavaScript's `encodeURIComponent` does
    with what no header takes. What is no UTF-8, or hides characters that do not show, stays as it came."""
    if "%" not in text:
        return text
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text
    return plain if plain.isprintable() else text


def tags(headers: Headers, of_key: Iterable[str] = ()) -> list[str]:
    """The key's tags, then those of the request: trimmed, without doubles, order kept."""
    values = [text_of(value) for name, value in headers if name in TAGS]
    texts = [*of_key, *(unescaped(text).strip() for value in values for text in value.split(","))]
    return list(dict.fromkeys(text for text in texts if text))


def end_user(headers: Headers) -> str | None:
    """The end user that the request names, None where it names none."""
    # Reversed, so that of a field sent twice the first counts, as everywhere here.
    found = {name: value for name, value in reversed(headers) if name in USER}
    for name in USER:
        if user := unescaped(text_of(found.get(name, b""))).strip():
            return user
    return None


def trace_id(headers: Headers) -> str | None:
    """The trace that the call belongs to, from `traceparent` (W3C Trace Context §3.2.2)."""
    named = TRACEPARENT.match(value_of(headers, b"traceparent") or b"")
    return named[1].decode() if named else None


def value_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a field, None where there is none."""
    return next((value for field, value in headers if field == name), None)
