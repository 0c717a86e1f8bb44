"""Splits a response's body into JSON documents: a single document, Server-Sent Events, or a JSON array.

Server-Sent Events. `streamGenerateContent?alt=sse` sends `data: {json}` CRLF CRLF without further fields.
Streams of Interactions end their lines in LF, have an `event:` field in each event, and end with `data:
[DONE]`. Lines are parsed by WHATWG HTML, section 9.2.6, except that a lone CR does not end a line: Google
sends none, and so LF alone marks the end of a line. An error that ends a stream may be bare JSON among the
events, over several lines and without `data:` (Google's own clients accept it). Therefore a line that begins
like JSON instead of a field name counts as data.

JSON array. `streamGenerateContent` without `alt=sse` sends one array, with LF or CRLF around the commas.
Neither these nor chunk boundaries are significant: elements are found by the brackets outside of strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

# Bytes at the end of a body that are searched for its last bracket; Google appends at most one line break.
_TAIL = 8
# Bytes of a discarded line that are kept, so that it is not mistaken for the blank line that ends an event.
_KEPT_BYTES = 2
_BEGINS_JSON = frozenset(b'{}[]" \t')
# Matches up to the next bracket, or the start of a string that has an escape or continues after the chunk.
# Other strings are skipped within the match; possessive, so there is no backtracking.
_BRACKET_OR_STRING = re.compile(rb'(?:[^"{}\[\]]*+"[^"\\]*+")*+[^"{}\[\]]*+["{}\[\]]')
_QUOTE, _BACKSLASH = b'"\\'
_OPENING = frozenset(b"{[")

Document = bytes | bytearray


class Delimiters(NamedTuple):
    """Bytes to put before and after a document that is appended at the current position of a stream."""

    prefix: bytes
    suffix: bytes


_BETWEEN_EVENTS = Delimiters(b"data: ", b"\r\n\r\n")


class SingleDocument:
    """The body is a single document."""

    delimiters = None

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._limit = limit
        self._body = bytearray()

    @property
    def buffered_bytes(self) -> int:
        return len(self._body)

    def discard_partial(self) -> None:
        self.truncated = True
        self._body = bytearray()

    def feed(self, chunk: bytes) -> Sequence[Document]:
        if len(self._body) + len(chunk) > self._limit:
            self.discard_partial()
        elif not self.truncated:
            self._body += chunk
        return ()

    def peek(self) -> Sequence[Document]:
        return [self._body] if self._body[-_TAIL:].rstrip().endswith(b"}") else ()

    def finish(self) -> tuple[Sequence[Document], bool]:
        body, self._body = self._body, bytearray()
        return [body], not self.truncated


class SseDecoder:
    """Decodes Server-Sent Events: returns the data of each complete event.

    Buffered bytes have been searched for a line end and are not searched again, so the time is linear even
    for one-byte chunks. A line within one chunk bypasses the buffer.

    An event of more than `limit` bytes is discarded and sets `truncated`; the next one is decoded as usual.
    """

    __slots__ = ("_data", "_discarded", "_limit", "_line", "_size", "truncated")

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._limit = limit
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._discarded = False

    def feed(self, chunk: bytes) -> list[bytes]:
        # Fast path: Google sends most events as a chunk of their own, with one line.
        is_one = chunk.startswith(b"data: ") and chunk.endswith(b"\r\n\r\n") and len(chunk) <= self._limit
        is_between = not (self._line or self._data or self._discarded)
        if is_one and is_between and chunk.find(b"\n") == len(chunk) - 3:
            return [chunk[6:-4]]
        return self._feed_lines(chunk)

    def _feed_lines(self, chunk: bytes) -> list[bytes]:
        # A CR stays at the end of its line: it may have come in the previous chunk, without its LF.
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if self._line and lines:
            self._line += lines[0]
            lines[0], self._line = bytes(self._line), bytearray()
        events = self._events(lines)
        if rest:
            self._line += rest
            self._check(len(self._line))
        return events

    def peek(self) -> tuple[()]:
        return ()

    @property
    def buffered_bytes(self) -> int:
        return len(self._line) + self._size

    def discard_partial(self) -> None:
        self._begin()
        self._discarded = self.truncated = True
        del self._line[_KEPT_BYTES:]

    @property
    def delimiters(self) -> Delimiters | None:
        return None if self._unfinished else _BETWEEN_EVENTS

    @property
    def _unfinished(self) -> bool:
        """Whether the current position is within an event."""
        return bool(self._line or self._data or self._discarded)

    def finish(self) -> tuple[list[bytes], bool]:
        """The data of an unfinished last event, and whether the stream ended between events instead."""
        ended = not self._unfinished
        line, self._line = bytes(self._line), bytearray()
        return self._events([line, b""]), ended

    def _events(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line not in (b"", b"\r"):
                self._feed_line(line)
            else:
                if self._data:
                    events.append(b"\n".join(self._data))
                self._begin()
        return events

    def _feed_line(self, line: bytes) -> None:
        self._check(len(line))
        if self._discarded:
            return
        end = -1 if line.endswith(b"\r") else None
        # One space after the colon is not part of the value (WHATWG HTML, section 9.2.6).
        if line.startswith(b"data:"):
            self._data.append(line[6 if line.startswith(b" ", 5) else 5 : end])
        elif line[0] in _BEGINS_JSON:
            self._data.append(line[:end])
        else:
            return
        self._size += len(line)

    def _check(self, line_size: int) -> None:
        if self._discarded or self._size + line_size > self._limit:
            self.discard_partial()

    def _begin(self) -> None:
        self._data = []
        self._size = 0
        self._discarded = False


class BracketScanner:
    """Finds the brackets outside of strings, in time linear in the bytes, whatever the chunk boundaries."""

    def __init__(self) -> None:
        self._in_string = False
        self._escaped = False

    def scan(self, chunk: bytes) -> Iterator[int]:
        """The positions of brackets in `chunk`, ascending. Exhaust the iterator before scanning the next
        chunk."""
        if not chunk:
            return  # an escape continues in the next chunk
        at = self._string_end(chunk, 0) if self._in_string else 0
        while found := _BRACKET_OR_STRING.match(chunk, at):
            at = found.end()
            if chunk[at - 1] == _QUOTE:
                at = self._string_end(chunk, at)
            else:
                yield at - 1

    def _string_end(self, chunk: bytes, at: int) -> int:
        """Where the string that `at` is in ends; the end of the chunk if it continues."""
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
    """Splits a JSON array: returns each element that is an object or an array as soon as it is complete.

    Numbers, literals and strings among the elements are skipped: they are not responses. Invalid JSON never
    raises; the parser rejects the pieces. Bytes after the end of the array are ignored.

    An element of more than `limit` bytes is discarded and sets `truncated`; the next one is split off as
    usual.
    """

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._limit = limit
        self._brackets = BracketScanner()
        self._depth = 0
        self._element = bytearray()
        self._discarded = False
        self._closed = False
        # Whether an element may follow without a comma before it
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
            # An extra closing bracket ends the array as well: invalid JSON never raises.
            elif self._depth <= 0:
                self._closed = True
                return elements
        if self._depth >= 2:
            self._buffer(chunk[start:])
        elif b"," in chunk[end:]:
            self._separated = True
        return elements

    def peek(self) -> tuple[()]:
        return ()

    @property
    def buffered_bytes(self) -> int:
        return len(self._element)

    def discard_partial(self) -> None:
        self._element = bytearray()
        self._discarded = self.truncated = True

    @property
    def delimiters(self) -> Delimiters | None:
        if self._depth != 1 or self._closed:
            return None
        return Delimiters(b"" if self._separated else b",\r\n", b"\r\n")

    def finish(self) -> tuple[tuple[()], bool]:
        """No documents, because an incomplete element cannot be parsed, and whether the array was closed."""
        self._element = bytearray()
        return (), self._closed and self._depth == 0

    def _buffer(self, piece: bytes) -> None:
        if self._discarded or len(self._element) + len(piece) > self._limit:
            self.discard_partial()
        else:
            self._element += piece

    def _end(self, piece: bytes) -> list[bytearray]:
        self._buffer(piece)
        element, self._element = self._element, bytearray()
        discarded, self._discarded = self._discarded, False
        return [] if discarded else [element]


def _ends_escaped(chunk: bytes, start: int, end: int) -> bool:
    """Whether the last backslash of `chunk[start:end]`, a part of a string, escapes the next byte."""
    # In a run of backslashes every second one is escaped itself (RFC 8259, section 7).
    at = end
    while at > start and chunk[at - 1] == _BACKSLASH:
        at -= 1
    return (end - at) % 2 == 1
