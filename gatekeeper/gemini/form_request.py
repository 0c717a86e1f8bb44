"""Collects what a request in an OpenAI-style form names, as it streams. Bytes in, a RequestSummary out;
nothing raises.

OpenAI's SDKs send what makes videos and edits pictures as multipart/form-data (RFC 7578), which is split into
its fields at any chunking and in linear time. As in `json_tokens` what another parser could read in another
way ends it, `failed`. Of a value at most `MAX_VALUE_BYTES` are kept, so that the files among the fields are
passed over.
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
    """The boundary of a form with this Content-Type; None for all other bodies."""
    found = _BOUNDARY.match(content_type or b"")
    return (found[1] or found[2]) if found else None


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
                self._models[name_of(Field.MODEL, value.decode(errors="replace"))] = None
            elif isinstance(meaning, Quantity):
                self._media.add(meaning, value)


class FormFields:
    """The fields of one form. `ended`: its last boundary was seen."""

    def __init__(self, boundary: bytes) -> None:
        self.ended = self.failed = False
        self._delimiter = b"\r\n--" + boundary
        # As if a line ended before the body: the first boundary has none before it.
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
        """Reads the headers of a part. Where it ends; None if that is not in the text."""
        # An empty head ends at once, with the line end of the boundary before it.
        end = text.find(b"\r\n\r\n", at)
        if end < 0:
            self._rest = text[at:]
            self.failed = len(self._rest) > MAX_HEAD_BYTES
            return None
        head = text[at:end]
        names = _NAME.findall(head)
        # An encoded value would say something else than its bytes.
        self.failed = len(names) != 1 or b"content-transfer-encoding" in head.lower()
        self._name = names[0] if names else None
        self._in_head = False
        # The line end before the next boundary may be the one that ends the head.
        return end + 2

    def _body(self, text: bytes, at: int, found: list[tuple[bytes, bytes]]) -> int | None:
        """Reads a value, up to the boundary after it. Where the next part begins; None if that is not in the
        text."""
        end = text.find(self._delimiter, at)
        after = end + len(self._delimiter)
        if end < 0 or len(text) < after + 2:
            # All but what may be the beginning of a boundary
            keep = max(at, len(text) - len(self._delimiter) - 1) if end < 0 else end
            self._keep(text[at:keep])
            self._rest = text[keep:]
            return None
        self._keep(text[at:end])
        if self._name is not None:
            found.append((self._name, self._value.removeprefix(b"\r\n")))
        elif self._value:
            self.failed = True  # something stands before the first boundary
        self._name, self._value = None, b""
        self.ended = text[after : after + 2] == b"--"
        self.failed = self.failed or not (self.ended or text[after : after + 2] == b"\r\n")
        self._in_head = True
        return after

    def _keep(self, piece: bytes) -> None:
        self._value += piece[: MAX_VALUE_BYTES + 2 - len(self._value)]
