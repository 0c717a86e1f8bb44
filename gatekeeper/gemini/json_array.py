"""A stream that is one JSON array: how `streamGenerateContent` answers without `alt=sse`.

Google sends an element at a time, with LF or CRLF around the commas. Neither these nor the cuts between
chunks mean anything: only brackets outside of strings do (RFC 8259, sections 2 and 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatekeeper.gemini.response_parser import Seam

# To the next bracket, or to the beginning of a string that has an escape or goes on after the chunk. Other
# strings are passed over within the one call; possessive, so that no byte is tried twice.
_BRACKET_OR_STRING = re.compile(rb'(?:[^"{}\[\]]*+"[^"\\]*+")*+[^"{}\[\]]*+["{}\[\]]')
_QUOTE, _BACKSLASH = b'"\\'
_OPENING = frozenset(b"{[")


class BracketScanner:
    """Finds the brackets that are no part of a string, in time linear in the bytes however they are cut."""

    def __init__(self) -> None:
        self._in_string = False
        self._escaped = False

    def scan(self, chunk: bytes) -> Iterator[int]:
        """Positions in `chunk`, ascending. To be used up before the next chunk is scanned."""
        at = self._string_end(chunk, 0) if self._in_string else 0
        while found := _BRACKET_OR_STRING.match(chunk, at):
            at = found.end()
            if chunk[at - 1] == _QUOTE:
                at = self._string_end(chunk, at)
            else:
                yield at - 1

    def _string_end(self, chunk: bytes, at: int) -> int:
        """Where the string that is open at `at` ends; the end of the chunk if it goes on."""
        start = at = at + self._escaped
        self._in_string = self._escaped = False
        while (quote := chunk.find(_QUOTE, at)) >= 0:
            at = quote + 1
            if not _ends_escaped(chunk, start, quote):
                return at
        self._in_string = True
        self._escaped = _ends_escaped(chunk, start, len(chunk))
        return len(chunk)


class ArraySplitter:
    """Bytes of a JSON array in, each of its objects and arrays out as soon as it is whole.

    Numbers, words and strings among the elements are passed over: no answer is one. What is no JSON never
    raises; its pieces are for the reader to refuse. Whatever follows the array's end is ignored.

    An element of more than `limit` bytes is dropped and `truncated` set; the next one is split off again.
    """

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._limit = limit
        self._brackets = BracketScanner()
        self._depth = 0
        self._element = bytearray()
        self._dropped = False
        self._closed = False
        # Whether an element may stand here without a comma before it
        self._separated = True

    def feed(self, chunk: bytes) -> list[bytearray]:
        elements: list[bytearray] = []
        if self._closed or not chunk:
            return elements
        start = end = 0
        for at in self._brackets.scan(chunk):
            end = at + 1
            if chunk[at] in _OPENING:
                # The array itself is depth 1, so an element begins where depth 2 does.
                self._depth += 1
                start = at if self._depth == 2 else start
                continue
            self._depth -= 1
            if self._depth == 1:
                elements += self._end(chunk[start:end])
                self._separated = False
            # A bracket too many ends it as well: what is no JSON never raises.
            elif self._depth <= 0:
                self._closed = True
                return elements
        if self._depth >= 2:
            self._hold(chunk[start:])
        elif b"," in chunk[end:]:
            self._separated = True
        return elements

    def peek(self) -> tuple[()]:
        return ()

    @property
    def held(self) -> int:
        return len(self._element)

    def drop(self) -> None:
        self._element = bytearray()
        self._dropped = self.truncated = True

    @property
    def seam(self) -> Seam | None:
        if self._depth != 1 or self._closed:
            return None
        return Seam(b"" if self._separated else b",\r\n", b"\r\n")

    def finish(self) -> tuple[tuple[()], bool]:
        """Nothing, for an unfinished element can not be read, and whether the array was closed."""
        self._element = bytearray()
        return (), self._closed and self._depth == 0

    def _hold(self, piece: bytes) -> None:
        if self._dropped or len(self._element) + len(piece) > self._limit:
            self.drop()
        else:
            self._element += piece

    def _end(self, piece: bytes) -> list[bytearray]:
        self._hold(piece)
        element, self._element = self._element, bytearray()
        dropped, self._dropped = self._dropped, False
        return [] if dropped else [element]


def _ends_escaped(chunk: bytes, start: int, end: int) -> bool:
    """Whether what follows `chunk[start:end]`, a part of a string, is escaped by its last backslash."""
    # Of a run of backslashes each second one is escaped itself (RFC 8259, section 7).
    at = end
    while at > start and chunk[at - 1] == _BACKSLASH:
        at -= 1
    return (end - at) % 2 == 1
