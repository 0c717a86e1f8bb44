"""Meters a response from Google while the relay forwards its bytes. Bytes in, a ResponseSummary out; nothing
raises.

Meters are layered: a GzipMeter decompresses for a JsonMeter, which truncates runs of base64, splits the body
into JSON documents (DocumentSplitter) and collects their metadata (ResponseParser). `meter_options` decides
by the route what is read: usage, the created resource, or only an error. `meter_for` builds the layers for
the response's headers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from gatekeeper.gemini.inline_data import InlineDataTruncator
from gatekeeper.gemini.meter_layers import GzipMeter, Meter
from gatekeeper.gemini.resource_names import collection_of
from gatekeeper.gemini.response_parser import ResponseParser, ResponseSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.splitters import ArraySplitter, Delimiters, Document, SingleDocument, SseDecoder
from gatekeeper.gemini.upstream_error import TEXT_LIMIT, read_error

# Limit of a unary body, an event or an array element that is parsed, and of all incomplete ones that are
# buffered by all meters together; a long run of base64 counts as `MAX_RUN_BYTES`.
MAX_BUFFERED_BYTES = 64 * 2**20
_SPACE_OR_BOM = b" \t\r\n\xef\xbb\xbf"


class DocumentSplitter(Protocol):
    """Splits a body into documents. `truncated`: whether one exceeded the limit and was discarded."""

    truncated: bool

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the incomplete document."""
        ...

    def discard_partial(self) -> None:
        """Discards the incomplete document; the next one is split off as usual."""
        ...

    @property
    def delimiters(self) -> Delimiters | None:
        """See `Meter.delimiters`."""
        ...

    def feed(self, chunk: bytes) -> Sequence[Document]:
        """The documents that `chunk` completes."""
        ...

    def peek(self) -> Sequence[Document]:
        """The documents that look complete although only the end of the body can confirm it."""
        ...

    def finish(self) -> tuple[Sequence[Document], bool]:
        """The documents that only the end completes, and whether the body ended properly in its format."""
        ...


class BufferQuota:
    """How many bytes all meters together may buffer."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


BUFFER_QUOTA = BufferQuota(MAX_BUFFERED_BYTES)


class JsonMeter:
    """Meters a JSON response. The first byte that is not white space determines the splitter, and takes
    precedence over the media type: an error is one JSON object even under `text/event-stream`.
    """

    __slots__ = ("_counted_bytes", "_default", "_parser", "_splitter", "_truncator", "body_bytes")

    def __init__(self, splitter: Callable[[int], DocumentSplitter], parser: ResponseParser) -> None:
        self._default = splitter
        self._splitter: DocumentSplitter | None = None
        self._truncator = InlineDataTruncator()
        self._parser = parser
        self._counted_bytes = 0  # bytes that count against `BUFFER_QUOTA`
        self.body_bytes = 0

    @property
    def summary(self) -> ResponseSummary:
        if self._splitter is None:
            return self._parser.summary(complete=False, truncated=False)
        for document in self._splitter.peek():
            self._parser.read(document, is_whole=False)
        return self._parser.summary(complete=False, truncated=self._splitter.truncated)

    @property
    def delimiters(self) -> Delimiters | None:
        return (self._splitter or self._default(MAX_BUFFERED_BYTES)).delimiters

    def feed(self, chunk: bytes) -> None:
        if self._splitter is None:
            chunk = chunk.lstrip(_SPACE_OR_BOM)
            if not chunk:
                return
            self._splitter = _BY_FIRST_BYTE.get(chunk[0], self._default)(MAX_BUFFERED_BYTES)
        splitter = self._splitter
        kept = self._truncator.feed(chunk)
        self.body_bytes += len(kept)
        for document in splitter.feed(kept):
            self._parser.read(document)
        buffered = splitter.buffered_bytes
        # Most chunks leave nothing buffered, so they need not update the shared count.
        if growth := buffered - self._counted_bytes:
            # Only the document that exceeds the quota is discarded, not those of other responses.
            if growth > 0 and BUFFER_QUOTA.used + growth > BUFFER_QUOTA.limit:
                splitter.discard_partial()
                growth = (buffered := splitter.buffered_bytes) - self._counted_bytes
            BUFFER_QUOTA.used += growth
            self._counted_bytes = buffered

    def _count(self, buffered_bytes: int) -> None:
        BUFFER_QUOTA.used += buffered_bytes - self._counted_bytes
        self._counted_bytes = buffered_bytes

    def finish(self) -> ResponseSummary:
        # An empty body has not determined one.
        self._splitter = self._splitter or self._default(MAX_BUFFERED_BYTES)
        documents, ended = self._splitter.finish()
        self._count(0)
        understood = [self._parser.read(document, is_whole=ended) for document in documents]
        complete = ended and all(understood)
        return self._parser.summary(complete=complete, truncated=self._splitter.truncated)


class Unmetered:
    """The meter of a body whose media type or encoding is not supported: it reports nothing."""

    summary = ResponseSummary(complete=True)
    delimiters = None
    body_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Ignores the chunk."""

    def finish(self) -> ResponseSummary:
        return self.summary


NO_METER: Meter = Unmetered()


class ErrorOnlyMeter:
    """Meters an error in plain text, such as those of Google's upload servers: the text is its message."""

    delimiters = None
    body_bytes = 0

    def __init__(self) -> None:
        self._text = b""

    @property
    def summary(self) -> ResponseSummary:
        message = self._text.decode(errors="replace").strip()
        return ResponseSummary(complete=True, error=read_error({"message": message}) if message else None)

    def feed(self, chunk: bytes) -> None:
        self._text = (self._text + chunk[:TEXT_LIMIT])[:TEXT_LIMIT]

    def finish(self) -> ResponseSummary:
        return self.summary


_BY_FIRST_BYTE: dict[int, Callable[[int], DocumentSplitter]] = {
    ord("{"): SingleDocument,
    ord("["): ArraySplitter,
    # `data:`, `event:`, `id:`, `retry:` or a comment, even if the media type is JSON: no response object
    # begins with these bytes.
    **dict.fromkeys(b"deir:", SseDecoder),
}
_BY_MEDIA_TYPE: dict[bytes, Callable[[int], DocumentSplitter]] = {
    b"application/json": SingleDocument,
    b"text/event-stream": SseDecoder,
}
# Sent by servers that do not know the type: the first byte of the body determines it (RFC 9110 §8.3).
_UNSPECIFIC_TYPES = (b"", b"text/plain", b"application/octet-stream")
IDENTITY = (b"", b"identity")
GZIP = (b"gzip", b"x-gzip")


class MeterOptions(NamedTuple):
    """Arguments of `meter_for`; see `ResponseParser`."""

    collection: str | None
    counts_usage: bool


def meter_options(method: str, route: Route, status: int, media_type: bytes | None) -> MeterOptions | None:
    """How to read the response to a call that is not METERED; None: do not read it.

    Only a POST uses tokens or creates something. For other methods only errors are read, and streams, to find
    where their events end: lists and downloads may be large, and the usage in a fetched interaction or cache
    is that of the call that created it. A created ephemeral token is never read, because it is a secret.
    """
    action = route.action or ""
    makes = method == "POST" and (route.billable or "." in action) and "auth_tokens" not in action
    if makes or status >= 400 or (media_type or b"").startswith(b"text/event-stream"):
        # A free POST to a resource returns it; one that cancels it, with the usage until then.
        return MeterOptions(collection_of(route.action), makes and route.billable)
    return None


def meter_for(
    content_type: bytes | None,
    content_encoding: bytes | None,
    collection: str | None = None,
    counts_usage: bool = True,
    *,
    status: int = 200,
) -> Meter:
    """The meter for a response with these headers; `NO_METER` if the media type or encoding is not supported.
    For `collection` and `counts_usage` see `ResponseParser`."""
    found = _format_of(content_type, content_encoding, status >= 400)
    if found is None:
        return NO_METER
    meter: Meter = ErrorOnlyMeter()
    splitter, is_gzip = found
    if splitter is not None:
        meter = JsonMeter(splitter, ResponseParser(collection, counts_usage=counts_usage))
    return GzipMeter(meter) if is_gzip else meter


# Few combinations of these occur.
@lru_cache(maxsize=256)
def _format_of(
    content_type: bytes | None, content_encoding: bytes | None, is_error: bool
) -> tuple[Callable[[int], DocumentSplitter] | None, bool] | None:
    """The splitter (None for an error in plain text) and whether the body is compressed; None if the media
    type or encoding is not supported."""
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    encoding = (content_encoding or b"").strip().lower()
    splitter = _BY_MEDIA_TYPE.get(media_type)
    is_plain_error = is_error and media_type == b"text/plain"
    if media_type in _UNSPECIFIC_TYPES and not is_plain_error:
        splitter = SseDecoder
    if not (splitter or is_plain_error) or encoding not in IDENTITY + GZIP:
        return None
    return splitter, encoding in GZIP
