"""Server-Sent Events as Google sends them; the rules for lines are those of WHATWG HTML, section 9.2.6.

`streamGenerateContent?alt=sse` answers `data: {json}` CRLF CRLF without further fields. Interactions end
their lines in LF, name each event on an `event:` line and close with `data: [DONE]`. A lone CR ends no line
here: Google sends none, and without it a single byte says where a line ends.

An error that ends a stream may come as bare JSON among the events, over several lines and without `data:`
(Google's own clients read it so). A line that begins like JSON, not like a field's name, therefore counts as
data.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.gemini.response_parser import Seam

# A dropped line keeps this many bytes: enough never to pass for the blank line that ends an event.
_STUB = 2
_BEGINS_JSON = frozenset(b'{}[]" \t')


class SseDecoder:
    """Bytes in, the data of each complete event out.

    What is held has been searched for a line's end and is never searched again, so the time is linear even
    byte by byte. A line that lies whole within its chunk does not pass through the buffer.

    An event of more than `limit` bytes is dropped and `truncated` set; the next one is read again.
    """

    def __init__(self, limit: int) -> None:
        self.truncated = False
        self._limit = limit
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._dropped = False

    def feed(self, chunk: bytes) -> list[bytes]:
        # A CR stays at its line's end: the chunk before may have had it without its LF.
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
    def held(self) -> int:
        return len(self._line) + self._size

    def drop(self) -> None:
        self._begin()
        self._dropped = self.truncated = True
        del self._line[_STUB:]

    @property
    def seam(self) -> Seam | None:
        return None if self._unfinished else Seam(b"data: ", b"\r\n\r\n")

    @property
    def _unfinished(self) -> bool:
        """Whether the place reached lies within an event."""
        return bool(self._line or self._data or self._dropped)

    def finish(self) -> tuple[list[bytes], bool]:
        """What an unfinished last event says, and whether the stream ended between events instead."""
        ended = not self._unfinished
        line, self._line = bytes(self._line), bytearray()
        return self._events([line, b""]), ended

    def _events(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line not in (b"", b"\r"):
                self._take(line)
            else:
                if self._data:
                    events.append(b"\n".join(self._data))
                self._begin()
        return events

    def _take(self, line: bytes) -> None:
        self._check(len(line))
        if self._dropped:
            return
        end = -1 if line.endswith(b"\r") else None
        # One space behind the colon is no part of the value (WHATWG HTML, section 9.2.6).
        if line.startswith(b"data:"):
            self._data.append(line[6 if line.startswith(b" ", 5) else 5 : end])
        elif line[0] in _BEGINS_JSON:
            self._data.append(line[:end])
        else:
            return
        self._size += len(line)

    def _check(self, line_size: int) -> None:
        if self._dropped or self._size + line_size > self._limit:
            self.drop()

    def _begin(self) -> None:
        self._data = []
        self._size = 0
        self._dropped = False
