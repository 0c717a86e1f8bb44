"""The streaming parsers of request bodies: JSON or an OpenAI-style form, plain or compressed. Bytes in, a
RequestSummary out; nothing raises.

Many methods name their model in the body only: batches, embeddings, `countTokens`, caches, tuned models,
Interactions, OpenAI-style calls, the `setup` of Live. So is the requested number of images or seconds of
video, and so are the settings that bound the cost (`requested_settings`).
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

import msgspec

from gatekeeper.gemini.form_request import FormRequestParser, form_boundary
from gatekeeper.gemini.json_request import JsonRequestParser
from gatekeeper.gemini.request_summary import RequestSummary

# Decompressed bytes at once, and in total.
_INFLATE_STEP, MAX_INFLATED_BYTES = 64 * 1024, 16 * 2**20


class RequestParser(Protocol):
    @property
    def summary(self) -> RequestSummary:
        """What the part of the body that was read contains."""
        ...

    @property
    def failed(self) -> bool:
        """Whether parsing has stopped before the end of the body."""
        ...

    def feed(self, chunk: bytes) -> None: ...


class InflatingRequestParser:
    """Decompresses for another parser, in bounded steps."""

    def __init__(self, parser: JsonRequestParser | FormRequestParser, window_bits: int) -> None:
        self._parser = parser
        self._inflater = zlib.decompressobj(wbits=window_bits)
        self._inflated = 0
        self._failed = False

    @property
    def summary(self) -> RequestSummary:
        ended = self._inflater.eof and not self._failed
        summary = self._parser.summary
        return summary if ended else msgspec.structs.replace(summary, understood=False)

    @property
    def failed(self) -> bool:
        return self._failed or self._parser.failed

    def feed(self, chunk: bytes) -> None:
        # Trailing bytes: Google might read them as part of the body.
        self._failed = self._failed or (self._inflater.eof and bool(chunk))
        # A piece shorter than the step is the last one of the chunk.
        full = True
        while full and not self._failed and not self._parser.failed:
            try:
                piece = self._inflater.decompress(chunk, _INFLATE_STEP)
            except zlib.error:
                self._failed = True
                return
            chunk = self._inflater.unconsumed_tail
            full = len(piece) == _INFLATE_STEP
            self._inflated += len(piece)
            self._failed = self._inflated > MAX_INFLATED_BYTES or bool(self._inflater.unused_data)
            self._parser.feed(piece)


class UnreadRequest:
    """The parser of a body that is not read."""

    def __init__(self, summary: RequestSummary) -> None:
        self.summary = summary
        self.failed = not summary.understood

    def feed(self, chunk: bytes) -> None:
        """Ignores the chunk."""


EMPTY_BODY: RequestParser = UnreadRequest(RequestSummary())
"""For a body that cannot contain anything of interest, and for no body."""
UNREADABLE_BODY: RequestParser = UnreadRequest(RequestSummary(understood=False))

_FORMS = frozenset({"openai.videos", "openai.images.edits"})
_UPLOADS = ("upload", "uploadToFileSearchStore", "openai.files")
_SETTINGS_KEY = re.compile(
    rb'"(?:max_?[oO]utput_?[tT]okens|candidate_?[cC]ount|tools|service_?[tT]ier|file_?[dD]ata)"'
)
_MODEL_KEY = re.compile(rb'"model"\s*:')
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def may_name_more(body: bytes) -> bool:
    """A quick test whether the body of one of `PATH_MODEL_ACTIONS` must be parsed, because it may reference a
    cached content or a long decode. Letters of a key may be escaped."""
    return b"cached" in body or b'"continuation' in body or (b"\\" in body and b"\\u00" in body)


def may_name_model(body: bytes) -> bool:
    """As `may_name_more`, but also whether the body may name a model in addition to the path's."""
    return may_name_more(body) or _MODEL_KEY.search(body) is not None


def may_name_settings(body: bytes) -> bool:
    """As `may_name_model`, but also whether the body may have settings that affect the bound of its cost."""
    return may_name_model(body) or _SETTINGS_KEY.search(body) is not None


def request_parser(
    action: str | None, content_encoding: bytes | None, content_type: bytes | None = None
) -> RequestParser:
    """The parser for the body of a request with this action and these headers."""
    if action and action.endswith(_UPLOADS):
        return EMPTY_BODY
    boundary = form_boundary(content_type) if action in _FORMS else None
    encoding = (content_encoding or b"").strip().lower()
    parser = FormRequestParser(boundary) if boundary else JsonRequestParser()
    if encoding in (b"", b"identity"):
        return parser
    bits = _WINDOW_BITS.get(encoding)
    return InflatingRequestParser(parser, bits) if bits else UNREADABLE_BODY


def read_request(body: bytes) -> RequestSummary:
    """The summary of a whole JSON body."""
    parser = JsonRequestParser()
    parser.feed(body)
    return parser.summary
