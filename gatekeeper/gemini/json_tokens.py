"""A streaming JSON tokenizer: any chunk boundaries, linear time. Bytes in, tokens out; nothing raises.

It is made for inspecting requests and does not validate: bytes that cannot be part of a JSON document end it
(`failed`). White space, commas, numbers and the colon after a key are not reported; a number is if the caller
asks for it. At most `MAX_STRING_BYTES` of a string are reported, and the rest (inline images, long prompts)
is skipped at the speed of a byte search, unless the caller wants the whole string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import TypeAlias

MAX_TOKEN_BYTES = 16 * 2**20
"""Limit of a document, not counting the skipped rest of long strings. A conversation of two million tokens,
the most that a model accepts, is smaller."""
MAX_STRING_BYTES = 1024
MAX_DEPTH = 128
"""Limit of nested containers; Google's parser accepts 100."""

_STEP = 16 * 1024  # bytes that are tokenized at once


class Kind(Enum):
    KEY = auto()
    STRING = auto()
    OPEN = auto()
    CLOSE = auto()
    LITERAL = auto()  # true, false, null
    REST = auto()  # another piece of the preceding string, if the whole string is wanted
    NUMBER = auto()  # if it is wanted


# Module globals are faster than attributes of the class, and every token needs one.
KEY, STRING, OPEN, CLOSE, LITERAL, REST, NUMBER = Kind

Token: TypeAlias = tuple[Kind, bytes]
"""The bytes of a string are those between its quotes, escapes included."""

# The bytes between tokens; a byte order mark counts as white space.
_BETWEEN = rb"[\s,:0-9.eE+\xef\xbb\xbf-]*+"
# A short plain string, and the colon that makes it a key; the quote of another string; a bracket; a literal.
_TOKEN = re.compile(
    _BETWEEN + rb'(?:"(?:([^"\\]{0,256}+)"(\s*+:)?)?|([{}\[\]])|(true|false|null)(?![a-z]))', re.DOTALL
)
_PLAIN, _KEY, _BRACKET, _LITERAL = 1, 2, 3, 4
_GAP = re.compile(_BETWEEN)
_SPACES, _NUMBER = re.compile(rb"\s++"), re.compile(rb"[0-9.eE+-]++")
_MAX_NUMBER_BYTES = 32  # more than any quantity has
_LITERALS = (b"true", b"false", b"null")
_COLON = re.compile(rb"\s*+(:)?")
_STRING_BODY = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE, _BACKSLASH = b'"\\'


def _container_pattern(depth: int) -> bytes:
    """A pattern for the rest of a container after its opening bracket, with nested ones. Between strings and
    brackets it accepts only what JSON allows: a single-quoted string, which a lenient parser would accept,
    could hide brackets."""
    string = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    inner = rb"|[{\[]" + _container_pattern(depth - 1) if depth else b""
    return rb"(?:[\s,:0-9.eE+truefalsn-]++|" + string + inner + rb")*+[}\]]"


_REST_OF_CONTAINER = re.compile(_container_pattern(8), re.DOTALL)


class JsonTokens:
    """The tokens of one document. `failed`: it is not JSON or exceeds the limit, and no more is read. Set
    `whole` after each KEY: whether its value, if it is a string, is wanted in full. The part beyond
    `MAX_STRING_BYTES` then follows as REST tokens."""

    def __init__(self, limit: int = MAX_TOKEN_BYTES) -> None:
        self.failed = False
        self._limit = limit
        self.whole = False
        self._rest = b""  # an incomplete token at the end of the last chunk
        self._skipped = 0  # depth within the container that is skipped
        self._wanted: tuple[bytes, ...] | None = None  # of the container that was just opened
        self._in_string = False  # in the part of a string that is skipped
        self._escaped = False  # the last byte there was a backslash
        self._string_stop = 0  # the end of the last string in the text
        self._wants_number = False
        self._read = 0

    def feed(self, chunk: bytes) -> Iterator[Token]:
        at = 0
        while at < len(chunk) and not self.failed:
            if self._in_string:
                start, at = at, self._skip_string(chunk, at)
                if self.whole and not self._skipped:
                    yield REST, chunk[start : at if self._in_string else at - 1]
                continue
            room = min(_STEP, self._limit - self._read)
            piece = chunk[at : at + room]
            self.failed = not piece
            at += len(piece)
            self._read += len(piece)
            yield from self._tokens(self._rest + piece)

    def skip(self) -> None:
        """Call it after an OPEN: no tokens of this container are reported, not even its CLOSE."""
        self._skipped, self._wanted = 1, ()

    def skip_unless_contains(self, *wanted: bytes) -> None:
        """Call it after an OPEN: the contents of this container may be left out if they contain none of
        these."""
        self._wanted = wanted

    def want_number(self) -> None:
        """Call it after a KEY: its value is reported if it is a number."""
        self._wants_number = True

    def _tokens(self, text: bytes) -> Iterator[Token]:
        """The tokens that `text` completes. An incomplete one at its end is kept in `_rest`."""
        at = 0
        self._rest = b""
        while not self.failed:
            if self._wants_number:
                number, at = self._number(text, at)
                if number:
                    yield NUMBER, number
                if self._wants_number:
                    return
            token = _TOKEN.match(text, at)
            if token is None:
                break
            at = token.end()
            group = token.lastindex
            if group == _BRACKET:
                if not self._skipped:
                    yield (OPEN if token[3] in b"{[" else CLOSE), token[3]
                    if self._wanted is not None:
                        at = self._next_wanted(text, at)
                else:
                    at = self._skip_bracket(token[3], text, at)
            elif group == _LITERAL:
                if not self._skipped:
                    yield LITERAL, token[4]
            elif group == _KEY or (group == _PLAIN and at < len(text) and text[at] in b",]}"):
                if not self._skipped:
                    yield (KEY if group == _KEY else STRING), token[1]
            else:
                # A string that is long, has escapes, or is a key if a colon follows.
                start = at if group is None else token.start(1)
                string, at = self._string(text, start)
                if string and not self._skipped:
                    yield string
                    yield from self._rest_of_string(string, text, start)
                if at == len(text):
                    return
        self._leave(text, at)

    def _rest_of_string(self, string: Token, text: bytes, start: int) -> Iterator[Token]:
        if self.whole and string[0] is STRING:
            yield REST, text[start + MAX_STRING_BYTES : self._string_stop]

    def _leave(self, text: bytes, at: int) -> None:
        """Keeps the rest of the text, at most the beginning of a literal, for the next chunk."""
        gap = _GAP.match(text, at)
        self._rest = text[gap.end() if gap else at :]
        self.failed = self.failed or not any(literal.startswith(self._rest) for literal in _LITERALS)

    def _skip_bracket(self, bracket: bytes, text: bytes, at: int) -> int:
        """Where to continue after a skipped bracket: after its container, if the text has all of that."""
        if bracket in b"{[" and (nested := _REST_OF_CONTAINER.match(text, at)):
            return nested.end()
        self._skipped += 1 if bracket in b"{[" else -1
        self.failed = self._skipped > MAX_DEPTH
        return at

    def _next_wanted(self, text: bytes, at: int) -> int:
        """Where to continue after an OPEN: at or after its CLOSE, if the text has all of it and nothing in it
        is wanted."""
        wanted, self._wanted = self._wanted or (), None
        rest = _REST_OF_CONTAINER.match(text, at)
        if rest is None or [word for word in wanted if text.find(word, at, rest.end()) >= 0]:
            return at
        end = rest.end() if self._skipped else rest.end() - 1
        self._skipped = 0
        return end

    def _number(self, text: bytes, at: int) -> tuple[bytes, int]:
        """The number that begins at `at` (empty if there is none) and where it ends. One that may continue in
        the next chunk is kept in `_rest`."""
        spaces = _SPACES.match(text, at)
        start = spaces.end() if spaces else at
        digits = _NUMBER.match(text, start)
        end = digits.end() if digits else start
        if end == len(text) and end - start <= _MAX_NUMBER_BYTES:
            self._rest = text[start:]
            return b"", end
        self._wants_number = False
        return text[start : min(end, start + _MAX_NUMBER_BYTES + 1)], end

    def _string(self, text: bytes, start: int) -> tuple[Token | None, int]:
        """The string that begins at `start`, and where it ends. If the text ends before the string does, or
        before it is known to be a key or a value, it is kept in `_rest`, unless its reported part is
        complete."""
        end, escaped = _string_end(text, start)
        if end < 0:
            if len(text) - start <= MAX_STRING_BYTES:
                self._rest = text[start - 1 :]
                return None, len(text)
            self._read -= len(text) - start - MAX_STRING_BYTES
            self._in_string, self._escaped, self._string_stop = True, escaped, len(text)
            # It may be a key, but one of this length is of no interest, so reporting it as a value is
            # harmless.
            return (STRING, text[start : start + MAX_STRING_BYTES]), len(text)
        colon = _COLON.match(text, end + 1)
        if colon and not colon[1] and colon.end() == len(text) and end - start <= MAX_STRING_BYTES:
            self._rest = text[start - 1 : end + 1]
            return None, len(text)
        self._read -= max(0, end - start - MAX_STRING_BYTES)
        self._string_stop = end
        string = text[start : min(end, start + MAX_STRING_BYTES)]
        is_key = colon is not None and colon[1] is not None
        return ((KEY if is_key else STRING), string), (colon.end() if colon else end + 1)

    def _skip_string(self, chunk: bytes, at: int) -> int:
        """Where to continue in the chunk."""
        if self._escaped:
            at += 1
            self._escaped = False
        if at == len(chunk):
            return at
        end, self._escaped = _string_end(chunk, at)
        self._in_string = end < 0
        return len(chunk) if end < 0 else end + 1


def _string_end(text: bytes, at: int) -> tuple[int, bool]:
    """The position of the quote that ends the string; if it is not in the text, -1 and whether the last byte
    is a backslash that escapes the next."""
    end = text.find(b'"', at)
    # Ten times as fast as the pattern, and most long strings have no escapes.
    if end == at or (end > at and text[end - 1] != _BACKSLASH):
        return end, False
    if end < 0 and text[-1] != _BACKSLASH:
        return end, False
    body = _STRING_BODY.match(text, at)
    end = body.end() if body else len(text)
    if end < len(text) and text[end] == _QUOTE:
        return end, False
    return -1, end < len(text)
