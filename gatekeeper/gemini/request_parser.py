"""Chooses and runs the parser of a request's body, JSON or an OpenAI-style form, plain or compressed, as it
streams. Bytes in, a RequestSummary out; nothing raises.

Many methods name their model in the body only: batches, embeddings, `countTokens`, caches, tuned models,
Interactions, OpenAI-style calls, the `setup` of Live. What is billed by piece or second is in the body only,
and so are the limits that a request sets itself (`requested_settings`).
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

import msgspec

from gatekeeper.gemini.form_request import FormRequestParser, form_boundary
from gatekeeper.gemini.json_request import JsonRequestParser
from gatekeeper.gemini.request_summary import RequestSummary

# Bytes of a compressed body that are inflated at once, and in all.
_INFLATE_STEP, MAX_INFLATED_BYTES = 64 * 1024, 16 * 2**20


class RequestParser(Protocol):
    @property
    def summary(self) -> RequestSummary:
        """What the body has named so far."""
        ...

    @property
    def failed(self) -> bool:
        """Whether nothing more is read, though there is more."""
        ...

    def feed(self, chunk: bytes) -> None: ...


class InflatingRequestParser:
    """Inflates for another parser, in bounded steps."""

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
        # What follows the end could be read as more of it.
        self._failed = self._failed or (self._inflater.eof and bool(chunk))
        # A piece that is not full is the last one of the chunk.
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
    """The parser of a body that is not looked at."""

    def __init__(self, summary: RequestSummary) -> None:
        self.summary = summary
        self.failed = not summary.understood

    def feed(self, chunk: bytes) -> None:
        """Ignores the chunk."""


NOTHING_NAMED: RequestParser = UnreadRequest(RequestSummary())
"""Of a body in which nothing can be named, and of none."""
UNKNOWN: RequestParser = UnreadRequest(RequestSummary(understood=False))

_FORMS = frozenset({"openai.videos", "openai.images.edits"})
_UPLOADS = ("upload", "uploadToFileSearchStore", "openai.files")
_SETTINGS_KEY = re.compile(
    rb'"(?:max_?[oO]utput_?[tT]okens|candidate_?[cC]ount|tools|service_?[tT]ier|file_?[dD]ata)"'
)
_MODEL_KEY = re.compile(rb'"model"\s*:')
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def may_name_more(body: bytes) -> bool:
    """Whether it is worth parsing the body of one of `PATH_MODEL_ACTIONS`; letters of a key may be
    escaped."""
    return b"cached" in body or b'"continuation' in body or (b"\\" in body and b"\\u00" in body)


def may_name_model(body: bytes) -> bool:
    """The same for a model, where it matters whether the body names one beside the path's."""
    return may_name_more(body) or _MODEL_KEY.search(body) is not None


def may_name_settings(body: bytes) -> bool:
    """The same for what bounds the cost of a call, or does not."""
    return may_name_model(body) or _SETTINGS_KEY.search(body) is not None


def request_parser(
    action: str | None, content_encoding: bytes | None, content_type: bytes | None = None
) -> RequestParser:
    """The parser for the body of a request with this action and these headers."""
    if action and action.endswith(_UPLOADS):
        return NOTHING_NAMED
    boundary = form_boundary(content_type) if action in _FORMS else None
    encoding = (content_encoding or b"").strip().lower()
    parser = FormRequestParser(boundary) if boundary else JsonRequestParser()
    if encoding in (b"", b"identity"):
        return parser
    bits = _WINDOW_BITS.get(encoding)
    return InflatingRequestParser(parser, bits) if bits else UNKNOWN


def read_request(body: bytes) -> RequestSummary:
    """What a whole body names."""
    parser = JsonRequestParser()
    parser.feed(body)
    return parser.summary
