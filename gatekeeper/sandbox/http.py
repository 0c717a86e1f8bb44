"""HTTP requests and responses without a connection: bodies, API keys, errors in the requested format, and
CORS.

A body is counted and hashed as it arrives, and kept up to a limit, so that an upload of gigabytes takes no
memory. Like at Google, every origin may read every response, and a CORS preflight needs no key
(https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from gatekeeper.sandbox.errors import GoogleError, invalid, invalid_key, invalid_payload, missing_key
from gatekeeper.sandbox.google_json import Json, decode, indented, parse_problem

Headers = tuple[tuple[bytes, bytes], ...]
# Seconds to wait before sending, and the bytes.
Piece = tuple[float, bytes]

# As recorded, `vary` three times.
GOOGLE_HEADERS: Headers = (
    (b"vary", b"Origin"),
    (b"vary", b"X-Origin"),
    (b"vary", b"Referer"),
    (b"server", b"scaffolding on HTTPServer2"),
    (b"x-xss-protection", b"0"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
)
JSON_TYPE = b"application/json; charset=UTF-8"

# Google's limit for a request body; larger files have to be uploaded.
MAX_BODY_BYTES = 100 * 1024 * 1024
# Any other key is valid.
INVALID_KEY = "invalid"
CORS_METHODS = b"DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
EXPOSED_HEADERS = (
    b"vary,content-encoding,date,server,content-length,content-range,x-goog-upload-chunk-granularity,"
    b"x-goog-upload-control-url,x-goog-upload-size-received,x-goog-upload-status,x-goog-upload-url"
)


class BodyBuffer:
    """Bytes as they arrive: all are counted and hashed, but kept only up to `limit`."""

    def __init__(self, limit: int = MAX_BODY_BYTES) -> None:
        self.size = 0
        self.limit = limit
        self._kept: list[bytes] = []
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)
        if self.size <= self.limit:
            self._kept.append(data)
        else:
            # A truncated body is useless.
            self._kept.clear()

    @property
    def data(self) -> bytes | None:
        """All bytes; None if they exceeded the limit."""
        return b"".join(self._kept) if self.size <= self.limit else None

    @property
    def kept_bytes(self) -> int:
        return self.size if self.size <= self.limit else 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, header names are in lower case, `origin` is scheme and host as sent by the client;
    `content` is complete once the body has arrived."""

    method: str
    path: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    origin: str = "http://localhost"
    content: BodyBuffer = dataclasses.field(default_factory=BodyBuffer)

    @property
    def key(self) -> str | None:
        """The API key, from any place where Google accepts it; an OAuth token counts as one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        bearer = token if scheme.lower() == "bearer" else ""
        return self.headers.get("x-goog-api-key") or self.query.get("key") or bearer or None

    @property
    def response_format(self) -> str:
        """The requested format of the response: `json`, `sse` or `media`."""
        return self._alt.partition(";")[0]

    @property
    def wants_enum_numbers(self) -> bool:
        """Whether enums are requested as numbers, as google-generativeai's REST client does."""
        return "enum-encoding=int" in self._alt

    @property
    def _alt(self) -> str:
        return self.query.get("alt") or self.query.get("$alt") or "json"

    def body(self) -> bytes:
        """The decompressed body (Google's clients in Java send gzip). Raises GoogleError (400) if it is
        larger than Google accepts."""
        data = self.content.data
        if data is not None and self.headers.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
            data = inflated(data)
        if data is None:
            raise invalid(f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes.")
        return data

    def json(self) -> Json:
        """The body as an object; an empty one counts as `{}`. Raises GoogleError (400)."""
        body = self.body()
        try:
            document = decode(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise invalid_payload(parse_problem(body, error)) from error
        if not isinstance(document, dict):
            raise invalid_payload('Unknown name "": Root element must be a message.')
        return cast("Json", document)


def inflated(data: bytes, limit: int = MAX_BODY_BYTES) -> bytes | None:
    """Decompresses gzip; None if the result is larger than `limit`. Raises GoogleError (400) if it is not
    gzip."""
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data, limit + 1)
    except zlib.error:
        body = b""
    if len(body) > limit:
        return None
    if not inflater.eof:
        raise invalid("The request's body is not compressed as its Content-Encoding says.")
    return body


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`complete` is False if the connection breaks after the last piece."""

    status: int
    headers: Headers
    pieces: Sequence[Piece]
    complete: bool = True

    def delayed(self, seconds: float) -> HttpResponse:
        (first, data), *rest = self.pieces
        return replace(self, pieces=[(first + seconds, data), *rest])

    def truncated(self) -> HttpResponse:
        """The response cut off in the middle of an event: at most the first two pieces and half of the
        next."""
        # Two, so that a client has started to show the stream when it breaks.
        kept_pieces = min(2, len(self.pieces) - 1)
        seconds, data = self.pieces[kept_pieces]
        return replace(
            self, pieces=[*self.pieces[:kept_pieces], (seconds, data[: len(data) // 2])], complete=False
        )


def response(
    status: int, kind: bytes, body: bytes, *extra: tuple[bytes, bytes], seconds: float = 0
) -> HttpResponse:
    """A response with a complete body, after `seconds`."""
    headers = (b"content-type", kind), (b"content-length", b"%d" % len(body))
    return HttpResponse(
        status, (*headers, *extra, *timing_header(seconds), *GOOGLE_HEADERS), [(seconds, body)]
    )


def timing_header(seconds: float) -> Headers:
    return ((b"server-timing", b"gfet4t7; dur=%d" % (seconds * 1000)),)


def json_response(
    document: object, *extra: tuple[bytes, bytes], seconds: float = 0, status: int = 200
) -> HttpResponse:
    return response(status, JSON_TYPE, indented(document) + b"\n", *extra, seconds=seconds)


def error_response(error: GoogleError, request: Request) -> HttpResponse:
    """An error in the requested format: plain JSON, the only element of an array, or plain JSON with the
    media type of an event stream."""
    if not request.path.endswith(":streamGenerateContent"):
        return json_response(error.document(), status=error.code)
    # As recorded: an error is plain JSON despite the media type.
    if request.response_format == "sse":
        return response(error.code, b"text/event-stream", indented(error.document()) + b"\n")
    return response(error.code, JSON_TYPE, b"[" + indented(error.document()) + b"\n]")


# Renders an error in the format of a path's API.
RenderError = Callable[[GoogleError, Request], HttpResponse]


def empty_404() -> HttpResponse:
    """Google's 404 for an unknown path: an empty body."""
    return response(404, b"text/html; charset=UTF-8", b"")


def check_key(request: Request) -> None:
    """Raises GoogleError."""
    if request.key is None:
        raise missing_key()
    if request.key == INVALID_KEY:
        raise invalid_key()


def preflight_response(request: Request) -> HttpResponse | None:
    """None if the request is not a preflight."""
    headers = request.headers
    if request.method != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    allowed = headers.get("access-control-request-headers", "").encode()
    return response(
        200,
        b"text/html; charset=UTF-8",
        b"",
        (b"access-control-allow-methods", CORS_METHODS),
        (b"access-control-max-age", b"3600"),
        *(((b"access-control-allow-headers", allowed),) if allowed else ()),
    )


def readable_by_page(answer: HttpResponse, request: Request) -> HttpResponse:
    """The response with CORS headers, if the request has an origin."""
    origin = request.headers.get("origin", "").encode()
    if not origin:
        return answer
    shared = (b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED_HEADERS)
    return replace(answer, headers=(*answer.headers, *shared))
