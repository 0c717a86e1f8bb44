"""Summarizes the body of an OpenAI-style form request while it streams. Bytes in, a RequestSummary out;
nothing raises.

OpenAI's SDKs send requests for videos and image edits as multipart/form-data (RFC 7578), which is split into
its fields in linear time, whatever the chunk boundaries. As in `json_tokens`, input that another parser could
read differently ends the parsing (`failed`). At most `MAX_VALUE_BYTES` of a value are kept, so file contents
are skipped.
"""

from __future__ import annotations

import re

from gatekeeper.gemini.json_request import name_of
from gatekeeper.gemini.request_grammar import REQUEST, Field
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import MediaCollector, Quantity

MAX_VALUE_BYTES = 1024
MAX_HEAD_BYTES = 4096  # of the headers of one part

_BOUNDARY = re.compile(
    rb'\s*multipart/form-data\s*;\s*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s;"]{1,70}))\s*\Z', re.IGNORECASE
)
_NAME = re.compile(
    rb'(?:\A|\r\n)content-disposition:[ \t]*form-data[ \t]*;[ \t]*name="([^"\\\r\n]*)"', re.IGNORECASE
)


def form_boundary(content_type: bytes | None) -> bytes | None:
    """The boundary parameter of a multipart/form-data Content-Type; None for any other."""
    found = _BOUNDARY.match(content_type or b"")
    return (found[1] or found[2]) if found else None


class FormRequestParser:
    """Parses one form: the model, and the requested number of images or seconds of video."""

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
                self._models[name_of(Field.MODEL, value.decode(errors="replace"))] = None
            elif isinstance(meaning, Quantity):
                self._media.add(meaning, value)


class FormFields:
    """Splits one form into fields. `ended`: the closing boundary was read."""

    def __init__(self, boundary: bytes) -> None:
        self.ended = self.failed = False
        self._delimiter = b"\r\n--" + boundary
        # A boundary is preceded by a line break, but the first one is at the start of the body.
        self._rest = b"\r\n"
        self._name: bytes | None = None  # of the part whose value is read; None within its headers
        self._in_head = False
        self._value = b""

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """The fields that `chunk` completes: names and values."""
        text, self._rest = self._rest + chunk, b""
        found: list[tuple[bytes, bytes]] = []
        at = 0
        while not (self.failed or self.ended):
            end = self._head(text, at) if self._in_head else self._body(text, at, found)
            if end is None:
                break
            at = end
        return found

    def _head(self, text: bytes, at: int) -> int | None:
        """Reads the headers of a part; returns where they end, or None if that is not in the text yet."""
        # A part without headers: the line break of its boundary is part of the empty line.
        end = text.find(b"\r\n\r\n", at)
        if end < 0:
            self._rest = text[at:]
            self.failed = len(self._rest) > MAX_HEAD_BYTES
            return None
        head = text[at:end]
        names = _NAME.findall(head)
        # The bytes of an encoded value are not the value.
        self.failed = len(names) != 1 or b"content-transfer-encoding" in head.lower()
        self._name = names[0] if names else None
        self._in_head = False
        # In an empty value the line break before the next boundary is the one after the headers.
        return end + 2

    def _body(self, text: bytes, at: int, found: list[tuple[bytes, bytes]]) -> int | None:
        """Reads a value up to the next boundary; returns where the next part begins, or None if that is not
        in the text yet."""
        end = text.find(self._delimiter, at)
        after = end + len(self._delimiter)
        if end < 0 or len(text) < after + 2:
            # All but a possible beginning of a boundary
            keep = max(at, len(text) - len(self._delimiter) - 1) if end < 0 else end
            self._keep(text[at:keep])
            self._rest = text[keep:]
            return None
        self._keep(text[at:end])
        if self._name is not None:
            found.append((self._name, self._value.removeprefix(b"\r\n")))
        elif self._value:
            self.failed = True  # there is text before the first boundary
        self._name, self._value = None, b""
        self.ended = text[after : after + 2] == b"--"
        self.failed = self.failed or not (self.ended or text[after : after + 2] == b"\r\n")
        self._in_head = True
        return after

    def _keep(self, piece: bytes) -> None:
        self._value += piece[: MAX_VALUE_BYTES + 2 - len(self._value)]
