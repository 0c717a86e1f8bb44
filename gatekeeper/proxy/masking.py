"""The Google keys, taken out of what goes to a client: of an answer that is no success, of headers, of texts.

Sans-IO. What is masked keeps its length, so that a `content-length` stays right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatekeeper.proxy.headers import Headers

ESCAPES = rb"[%\\&]"  # what every spelling other than the plain one holds


class Mask:
    """Finds the keys in their plain spelling and, each character by itself, percent-encoded, as an escape of
    JSON's or as a character reference of HTML's."""

    def __init__(self, keys: Iterable[str]) -> None:
        encoded = [key.encode() for key in keys]
        self._patterns = [re.compile(b"".join(map(_spellings, key))) for key in encoded]
        self._may_hold_one = re.compile(b"|".join([*map(re.escape, encoded), ESCAPES])).search
        self.reach = max((6 * len(key) for key in encoded), default=1) - 1
        """Bytes at the end of a piece that may be the beginning of a key."""

    def __call__(self, data: bytes) -> bytes:
        """The same number of bytes, with `*` in place of a key's."""
        # One search over everything, and nearly always the last: the patterns below are slow.
        if not self._may_hold_one(data):
            return data
        for pattern in self._patterns:
            data = pattern.sub(_stars, data)
        return data

    def text(self, text: str | None) -> str | None:
        return text and self(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Headers) -> Headers:
        if not self._may_hold_one(b"\n".join(value for _, value in headers)):
            return headers
        return [(name, self(value)) for name, value in headers]


class MaskedStream:
    """The same for a body that comes in pieces: the last `reach` bytes are held back until more is known."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._mask(self._held + chunk)
        # A key may begin in this piece and end in the next one.
        end = max(0, len(data) - self._mask.reach)
        self._held = data[end:]
        return data[:end]

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held


def _spellings(character: int) -> bytes:
    return b"(?:%b|%%(?i:%02x)|\\\\u00(?i:%02x)|&#(?i:x%02x);|&#%d;)" % (
        re.escape(bytes([character])),
        *(character,) * 4,
    )


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])
