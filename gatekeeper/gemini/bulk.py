"""What of an answer is data, cut short before it is held: images and sound come as megabytes of base64.

A run of base64's characters this long is a part of a string, whatever the form of the body, and none of its
characters is part of an escape but the first few. So a shortened one leaves the document valid, and what is
read of it (counts, names, reasons, searches) as it was.
"""

from __future__ import annotations

import re

KEPT = 4096
"""Bytes of a run that are kept."""

_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_"
_OTHER = re.compile(b"[^%b]" % re.escape(_CHARACTERS))


class Abridger:
    """Bytes in, the same without the rest of each run out, however they are cut."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._run = 0  # bytes of the run in which the bytes so far end

    def feed(self, chunk: bytes) -> bytes:
        if self._run:
            room = max(0, self._kept - self._run)
            if not chunk.translate(None, _CHARACTERS):  # ten times as fast as a search
                self._run += len(chunk)
                return chunk[:room]
            end = _run_end(chunk, 0)
            chunk = chunk[: min(room, end)] + chunk[end:]
        self._run = len(chunk) - len(chunk.rstrip(_CHARACTERS))
        return chunk if len(chunk) <= self._kept else self._abridged(chunk)

    def _abridged(self, chunk: bytes) -> bytes:
        """Looks at what lies a run's length ahead, so that of text next to nothing is looked at."""
        parts: list[bytes] = []
        done = at = 0
        while len(ahead := chunk[at : at + self._kept + 1]) > self._kept:
            beside = len(ahead.rstrip(_CHARACTERS))
            at += beside
            if not beside:
                parts.append(chunk[done : at + self._kept])
                done = at = _run_end(chunk, at + self._kept)
        return b"".join([*parts, chunk[done:]]) if parts else chunk


def _run_end(chunk: bytes, at: int) -> int:
    other = _OTHER.search(chunk, at)
    return other.start() if other else len(chunk)
