"""Collects what the body of a request names, JSON or an OpenAI-style form, as it streams: models, a cached
content, files, an earlier interaction, the token of a long decode, and whether the response is to be a
stream. Bytes in, a RequestSummary out; nothing raises.

Many methods name their model in the body only: batches, embeddings, `countTokens`, caches, tuned models,
Interactions, OpenAI-style calls, the `setup` of Live. What is billed by piece or second is in the body only
(`requested_media`). Members count where Google's reference has them, in both spellings that proto3's JSON
accepts (`cachedContent`, `cached_content`), and all values count if a key is repeated: it is not published
which of them Google takes.

The limit is that of `json_tokens`: 256 KiB, long strings not counted. Of what comes later nothing is known.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Protocol

import msgspec

from gatekeeper.gemini.continuation import TokenDigest
from gatekeeper.gemini.form_fields import FormFields, form_boundary
from gatekeeper.gemini.json_tokens import CLOSE, KEY, LITERAL, MAX_DEPTH, OPEN, REST, JsonTokens, Kind
from gatekeeper.gemini.request_grammar import (
    CONTENT,
    FLAGS,
    LISTED,
    MESSAGE,
    REQUEST,
    Field,
    Meaning,
    Node,
    Tool,
)
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_media import MediaCollector, Quantity
from gatekeeper.gemini.requested_settings import Setting, SettingsCollector

MAX_NAME = 256  # characters that are kept of a name
# Bytes of a compressed body that are inflated at once, and in all.
_INFLATE_STEP, MAX_INFLATED_BYTES = 64 * 1024, 16 * 2**20


_NUMBERS = frozenset({Quantity, Setting})  # what may be said by a number
# Prompts are long; only the names of files in them are of interest, whose letters may be escaped.
_FILE_WORDS = (b"file", b"\\u00")
_FILE_NAME = re.compile(r"(?:\A|/)(files/[\w-]+)", re.ASCII)


class RequestParser(Protocol):
    @property
    def summary(self) -> RequestSummary:
        """What the body has named so far."""
        ...

    def feed(self, chunk: bytes) -> None: ...


class JsonRequestParser:
    """Parses one JSON document."""

    def __init__(self) -> None:
        self._tokens = JsonTokens()
        self._names: dict[Field, dict[str, None]] = {field: {} for field in Field}
        self._continuation: TokenDigest | None = None
        self._media = MediaCollector()
        self._settings = SettingsCollector()
        # The members of the object that is open, and what the next value means; of those around them too.
        self._members, self._meaning = Node(), REQUEST
        self._around: list[tuple[Node, Meaning]] = []
        self._ended = False

    @property
    def summary(self) -> RequestSummary:
        names, settings = self._names, self._settings.settings
        return RequestSummary(
            models=tuple(names[Field.MODEL]),
            cached_contents=tuple(names[Field.CACHED_CONTENT]),
            interactions=tuple(names[Field.INTERACTION]),
            files=tuple(names[Field.FILE]),
            stream=bool(names[Field.STREAM]),
            background=bool(names[Field.BACKGROUND]),
            include_usage=bool(names[Field.INCLUDE_USAGE]),
            continuation=self._continuation.digest() if self._continuation else None,
            media=self._media.media,
            max_output_tokens=settings.max_output_tokens,
            candidate_count=settings.candidate_count,
            thinking_budget=settings.thinking_budget,
            service_tiers=settings.service_tiers,
            store=settings.store,
            tools=tuple(names[Field.TOOL]),
            file_search_stores=tuple(names[Field.FILE_SEARCH_STORE]),
            vector_stores=tuple(names[Field.VECTOR_STORE]),
            webhook_uris=tuple(names[Field.WEBHOOK_URI]),
            understood=self._ended and not self._tokens.failed,
        )

    @property
    def failed(self) -> bool:
        """Whether nothing more is read."""
        return self._tokens.failed

    def feed(self, chunk: bytes) -> None:
        for kind, text in self._tokens.feed(chunk):
            if kind is KEY:
                self._meaning = self._members.get(text if b"\\" not in text else _unescaped(text).encode())
                self._tokens.whole = self._meaning is Field.CONTINUATION
                if type(self._meaning) in _NUMBERS:
                    self._tokens.want_number()
            elif kind is OPEN:
                self._open(text)
            elif kind is CLOSE:
                self._close(text)
            elif kind is REST and self._continuation:
                self._continuation.feed(text)
            elif isinstance(self._meaning, Field):
                self._collect(self._meaning, kind, text)
                if self._meaning not in LISTED:
                    self._meaning = None
            elif isinstance(self._meaning, Quantity):
                if text != b"null":
                    self._media.add(self._meaning, text)
                if self._meaning is Quantity.SAMPLES:
                    self._settings.add(Setting.CANDIDATES, text)
                self._meaning = None
            elif isinstance(self._meaning, Setting):
                self._settings.add(self._meaning, text, is_literal=kind is LITERAL)
                self._meaning = None

    def _open(self, bracket: bytes) -> None:
        meaning = self._meaning
        if bracket == b"{" and isinstance(meaning, Tool):
            self._names[Field.TOOL][meaning.name] = None
        if not (meaning if isinstance(meaning, Node) else bracket == b"[" and meaning in LISTED):
            self._tokens.pass_over()
            return
        self._around.append((self._members, meaning))
        self._tokens.failed = len(self._around) > MAX_DEPTH
        if meaning is CONTENT or meaning is MESSAGE:
            self._settings.contents()
            self._tokens.pass_over_without(*_FILE_WORDS)
        if bracket == b"{" and isinstance(meaning, Node):
            self._members, self._meaning = meaning, None
            if meaning is REQUEST:
                self._settings.open()

    def _close(self, bracket: bytes) -> None:
        if not self._around or self._ended:
            self._tokens.failed = True  # not JSON
            return
        if bracket == b"}" and self._members is REQUEST:
            self._settings.close()
        self._members, self._meaning = self._around.pop()
        self._ended = not self._around

    def _collect(self, field: Field, kind: Kind, text: bytes) -> None:
        if kind is LITERAL:
            if field in FLAGS and text == b"true":
                self._names[field]["true"] = None
        elif field is Field.CONTINUATION:
            self._continuation = TokenDigest() if text else None
            if self._continuation:
                self._continuation.feed(text)
        elif field not in FLAGS and (name := _name(field, _unescaped(text))):
            self._names[field][name] = None


def _name(field: Field, text: str) -> str:
    """A name as Google writes it in its resources; empty if it is none."""
    if field is Field.FILE:
        found = _FILE_NAME.search(text)
        return found[1][:MAX_NAME] if found else ""
    if field is Field.INTERACTION and text:
        text = f"interactions/{text.removeprefix('interactions/')}"
    if field is Field.FILE_SEARCH_STORE and text:
        text = f"fileSearchStores/{text.removeprefix('fileSearchStores/')}"
    return text.removeprefix("models/")[:MAX_NAME]


def _unescaped(raw: bytes) -> str:
    """The text of a string; a lone surrogate, which no column takes, becomes a question mark."""
    text = raw.decode(errors="replace")
    if "\\" not in text:
        return text
    try:
        text = json.loads(f'"{text}"', strict=False)
    except ValueError:  # an escape that is none, or was cut
        return text
    return text.encode(errors="replace").decode()


class FormRequestParser:
    """Parses one form: the model, and what is billed by piece or second."""

    def __init__(self, boundary: bytes) -> None:
        self._fields = FormFields(boundary)
        self._models: dict[str, None] = {}
        self._media = MediaCollector()

    @property
    def summary(self) -> RequestSummary:
        understood = self._fields.ended and not self._fields.failed
        return RequestSummary(models=tuple(self._models), media=self._media.media, understood=understood)

    @property
    def failed(self) -> bool:
        """Whether nothing more is read."""
        return self._fields.failed

    def feed(self, chunk: bytes) -> None:
        for name, value in self._fields.feed(chunk):
            meaning = REQUEST.get(name)
            if meaning is Field.MODEL:
                self._models[_name(Field.MODEL, value.decode(errors="replace"))] = None
            elif isinstance(meaning, Quantity):
                self._media.add(meaning, value)


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

    def feed(self, chunk: bytes) -> None:
        """Ignores the chunk."""


NOTHING_NAMED: RequestParser = UnreadRequest(RequestSummary())
"""Of a body in which nothing can be named, and of none."""
UNKNOWN: RequestParser = UnreadRequest(RequestSummary(understood=False))

# Their path names the model, and only a cached content and the token of a long decode are looked for: prompts
# are long, and calls many.
PLAIN_ACTIONS = frozenset({"generateContent", "streamGenerateContent", "generateAnswer"})
_FORMS = frozenset({"openai.videos", "openai.images.edits"})
_UPLOADS = ("upload", "uploadToFileSearchStore", "openai.files")
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def may_name_more(body: bytes) -> bool:
    """Whether it is worth parsing the body of one of `PLAIN_ACTIONS`; letters of a key may be escaped."""
    return b"cached" in body or b'"continuation' in body or (b"\\" in body and b"\\u00" in body)


def request_parser(
    action: str | None, content_encoding: bytes | None, content_type: bytes | None = None
) -> RequestParser:
    """The parser for the body of a request with this action and these headers."""
    if action and action.endswith(_UPLOADS):
        return NOTHING_NAMED
    boundary = form_boundary(content_type) if action in _FORMS else None
    parser = FormRequestParser(boundary) if boundary else JsonRequestParser()
    encoding = (content_encoding or b"").strip().lower()
    if encoding in (b"", b"identity"):
        return parser
    bits = _WINDOW_BITS.get(encoding)
    return InflatingRequestParser(parser, bits) if bits else UNKNOWN


def read_request(body: bytes) -> RequestSummary:
    """What a whole body, or the first message of a Live session (`setup.model`), names."""
    parser = JsonRequestParser()
    parser.feed(body)
    return parser.summary
