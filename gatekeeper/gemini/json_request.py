"""Summarizes the body of a JSON request while it streams. Bytes in, a RequestSummary out; nothing raises.

Members are read at the places that Google's reference defines (`request_grammar`), in both spellings that
proto3's JSON accepts (`cachedContent`, `cached_content`). If a key is repeated, all its values count, because
it is undocumented which one Google takes.

The limit is that of `json_tokens`: 16 MiB, not counting long strings, of which 256 KiB may be names and
settings. What follows is not read, and the summary says so (`understood`).
"""

from __future__ import annotations

import json

from msgspec.structs import replace

from gatekeeper.gemini.continuation import TokenDigest
from gatekeeper.gemini.json_tokens import (
    CLOSE,
    KEY,
    LITERAL,
    MAX_DEPTH,
    MAX_STRING_BYTES,
    OPEN,
    REST,
    JsonTokens,
    Kind,
)
from gatekeeper.gemini.request_grammar import (
    CONTENT,
    FLAGS,
    GENERATION_CONFIG,
    LISTED,
    MESSAGE,
    REQUEST,
    Field,
    Meaning,
    NameOrNode,
    Node,
    Tool,
)
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import MediaCollector, Quantity, Setting, SettingsCollector
from gatekeeper.gemini.resource_names import file_of

MAX_NAME = 256  # characters of a name that are kept
MAX_KEPT = 256 * 1024  # bytes of names and settings of one request
OWN_VOICE = "voice_"  # Google's own voices have names like `Puck`
_NUMBERS = frozenset({Quantity, Setting})  # members whose value may be a number
# A name of the first kind is also one of the second.
_WIDER = {Field.AGENT: Field.MODEL, Field.INPUT_FILE: Field.FILE, Field.FILE_ID: Field.FILE}
# Prompts are long, and only the files that they reference are of interest. Without one of these keys, whose
# letters may be escaped, they reference none. A prompt's text cannot contain such a key, because its quotes
# are escaped.
_ESCAPED_LETTERS = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")
_CONTENT_KEYS = (b'"fileData"', b'"file_data"', *_ESCAPED_LETTERS)
_MESSAGE_KEYS = (b'"uri"', b'"url"', b'"fileId"', b'"file_id"', *_ESCAPED_LETTERS)


class JsonRequestParser:
    """Parses one JSON document."""

    def __init__(self) -> None:
        self._tokens = JsonTokens()
        self._kept = 0
        self._names: dict[Field, dict[str, None]] = {}
        self._continuation: TokenDigest | None = None
        self._media = MediaCollector()
        self._settings = SettingsCollector()
        # The grammar of the open object, and the meaning of the next value; then those of the enclosing ones.
        self._members, self._meaning = Node(), REQUEST
        self._around: list[tuple[Node, Meaning]] = []
        self._ended = False
        self._summary: RequestSummary | None = None  # cached until more is fed

    @property
    def summary(self) -> RequestSummary:
        if self._summary is None:
            self._summary = self._summed_up()
        return self._summary

    def _summed_up(self) -> RequestSummary:
        settings = self._settings.settings
        asked = RequestSummary(
            continuation=self._continuation.digest() if self._continuation else None,
            media=self._media.media,
            max_output_tokens=settings.max_output_tokens,
            candidate_count=settings.candidate_count,
            service_tiers=settings.service_tiers,
            store=settings.store,
            understood=self._ended and not self._tokens.failed,
        )
        # Most bodies name nothing.
        return self._with_names(asked) if self._names else asked

    def _with_names(self, asked: RequestSummary) -> RequestSummary:
        names = self._names.get
        return replace(
            asked,
            models=tuple(names(Field.MODEL, ())),
            cached_contents=tuple(names(Field.CACHED_CONTENT, ())),
            interactions=tuple(names(Field.INTERACTION, ())),
            files=tuple(names(Field.FILE, ())),
            agents=tuple(names(Field.AGENT, ())),
            input_files=tuple(names(Field.INPUT_FILE, ())),
            stream=bool(names(Field.STREAM)),
            background=bool(names(Field.BACKGROUND)),
            tools=tuple(names(Field.TOOL, ())),
            file_search_stores=tuple(names(Field.FILE_SEARCH_STORE, ())),
            vector_stores=tuple(names(Field.VECTOR_STORE, ())),
            environments=tuple(names(Field.ENVIRONMENT, ())),
            resources=(*names(Field.RESOURCE, ()), *names(Field.CREDENTIAL, ()), *names(Field.VOICE, ())),
        )

    @property
    def failed(self) -> bool:
        """Whether nothing more is read."""
        return self._tokens.failed

    def feed(self, chunk: bytes) -> None:
        self._summary = None
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
            elif isinstance(self._meaning, NameOrNode):
                self._collect(self._meaning.field, kind, text)
            elif isinstance(self._meaning, Quantity):
                if text != b"null":
                    self._media.add(self._meaning, text)
                if self._meaning is Quantity.SAMPLES:
                    self._settings.add(Setting.CANDIDATES, text)
                self._meaning = None
            elif isinstance(self._meaning, Setting):
                self._settings.add(self._meaning, text, is_literal=kind is LITERAL)
                self._keep(len(text) + 1)
                self._meaning = None

    def _open(self, bracket: bytes) -> None:
        meaning = self._meaning
        if bracket == b"{" and isinstance(meaning, Tool):
            self._name(Field.TOOL, meaning.name)
        # An empty node is false: a tool without members of interest is recorded and skipped.
        if not (meaning if isinstance(meaning, Node) else bracket == b"[" and meaning in LISTED):
            self._tokens.skip()
            return
        self._around.append((self._members, meaning))
        self._tokens.failed = len(self._around) > MAX_DEPTH
        if meaning is CONTENT or meaning is MESSAGE:
            self._settings.contents()
            self._tokens.skip_unless_contains(*(_CONTENT_KEYS if meaning is CONTENT else _MESSAGE_KEYS))
        if bracket == b"{" and isinstance(meaning, Node):
            self._members, self._meaning = meaning, None
            if meaning is REQUEST:
                self._settings.open()
            elif meaning is GENERATION_CONFIG:
                self._settings.config()

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
                self._name(field, "true")
        elif field is Field.CONTINUATION:
            self._continuation = TokenDigest() if text else None
            if self._continuation:
                self._continuation.feed(text)
        elif field not in FLAGS:
            self._add(field, name_of(field, _unescaped(text), is_cut=len(text) >= MAX_STRING_BYTES))

    def _add(self, field: Field, name: str) -> None:
        if name:
            self._name(field, name)
            if (wider := _WIDER.get(field)) is not None:
                self._name(wider, name)

    def _name(self, field: Field, name: str) -> None:
        names = self._names.setdefault(field, {})
        if name not in names:
            names[name] = None
            self._keep(len(name))

    def _keep(self, size: int) -> None:
        """Stops the parsing when a client would fill the memory of the process with names."""
        self._kept += size
        self._tokens.failed = self._tokens.failed or self._kept > MAX_KEPT


def name_of(field: Field, text: str, *, is_cut: bool = False) -> str:
    """The resource name in a member's value; empty if there is none. `is_cut`: the value was truncated."""
    if field in (Field.FILE, Field.INPUT_FILE, Field.FILE_ID):
        # An id may come without its collection.
        found = file_of(text, is_cut=is_cut) or (f"files/{text}" if text and field is not Field.FILE else "")
        return found[:MAX_NAME]
    if field is Field.INTERACTION and text:
        text = f"interactions/{text.removeprefix('interactions/')}"
    if field is Field.FILE_SEARCH_STORE and text:
        text = f"fileSearchStores/{text.removeprefix('fileSearchStores/')}"
    if field is Field.CREDENTIAL and text:
        text = f"credentials/{text.removeprefix('credentials/')}"
    if field is Field.VOICE:
        own = text.removeprefix("voices/")
        text = f"voices/{own}" if own.startswith(OWN_VOICE) else ""
    return text.removeprefix("models/")[:MAX_NAME]


def _unescaped(raw: bytes) -> str:
    """The decoded text of a JSON string; a lone surrogate, which no column can store, becomes a question
    mark."""
    text = raw.decode(errors="replace")
    if "\\" not in text:
        return text
    try:
        text = json.loads(f'"{text}"', strict=False)
    except ValueError:  # an invalid or truncated escape
        return text
    return text.encode(errors="replace").decode()
