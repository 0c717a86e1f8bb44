"""Truncates inline data (images, audio) in JSON: long runs of base64."""

from __future__ import annotations

import re

MAX_RUN_BYTES = 4096
"""Bytes of a base64 run that are kept. The rest is not needed: nothing in it is parsed."""
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_"
"""The characters of the standard and the URL-safe alphabet, and the padding."""

# The key of a continuation token, and how many bytes before a run are searched for it.
_TOKEN_KEY = re.compile(rb'"continuation(?:T|_t)oken"\s*+:\s*+"\Z')
_KEY_BYTES = 64

_NOT_BASE64 = re.compile(b"[^%b]" % re.escape(BASE64))


class InlineDataTruncator:
    """Truncates long base64 runs (inline images, audio) before a response is buffered, wherever its chunks
    begin and end. A continuation token is kept whole, because its digest is of all of it.

    In every format such a long run is part of a JSON string, and only its first few characters can belong to
    an escape. So the truncated document stays valid, and the parsed members (counts, names, reasons,
    searches) do not change. A chunk in which the string does not end counts as part of the run as a whole.
    """

    __slots__ = ("_before", "_is_token", "_kept", "_run")

    def __init__(self, kept: int = MAX_RUN_BYTES) -> None:
        self._kept = kept
        self._run = 0  # length of the run at the end of the bytes so far
        self._is_token = False  # whether that run is one of a continuation token
        self._before = b""  # the bytes before the next chunk, as many as the key of a token takes

    def feed(self, chunk: bytes) -> bytes:
        start = 0
        if self._run > self._kept and _stays_in_string(chunk):
            self._run += len(chunk)
            self._note_end(chunk)
            return chunk if self._is_token else b""
        if self._run:
            room = max(0, self._kept - self._run)
            if not chunk.translate(None, BASE64):  # ten times as fast as a search
                self._run += len(chunk)
                self._note_end(chunk)
                return chunk if self._is_token else chunk[:room]
            start = _run_end(chunk, 0)
            if not self._is_token:
                chunk = chunk[: min(room, start)] + chunk[start:]
                start = min(room, start)
        self._run = len(chunk) - len(chunk.rstrip(BASE64))
        kept = chunk if len(chunk) <= self._kept else self._truncate_runs(chunk, start)
        if self._run:
            # Checked once per run, at its beginning: later the key is no longer in the window.
            self._is_token = self._begins_token(chunk, len(chunk) - self._run)
        self._note_end(chunk)
        return kept

    def _note_end(self, chunk: bytes) -> None:
        self._before = (chunk if len(chunk) >= _KEY_BYTES else self._before + chunk)[-_KEY_BYTES:]

    def _begins_token(self, chunk: bytes, at: int) -> bool:
        """Whether a run that begins there is a continuation token."""
        before = chunk[max(0, at - _KEY_BYTES) : at]
        return _TOKEN_KEY.search(before if len(before) == _KEY_BYTES else self._before + before) is not None

    def _truncate_runs(self, chunk: bytes, start: int) -> bytes:
        """Probes the text in steps of one maximal run, so that ordinary text is hardly searched at all.
        `start` is where the run of the previous chunk ends."""
        parts: list[bytes] = []
        done, at = 0, start
        while len(ahead := chunk[at : at + self._kept + 1]) > self._kept:
            beside = len(ahead.rstrip(BASE64))
            at += beside
            if not beside:
                end = _run_end(chunk, at + self._kept)
                if not self._begins_token(chunk, at):
                    parts.append(chunk[done : at + self._kept])
                    done = end
                at = end
        return b"".join([*parts, chunk[done:]]) if parts else chunk


def _stays_in_string(chunk: bytes) -> bool:
    """Whether a JSON string that began before the chunk continues after it, without an escape. Four searches
    for a byte take a twentieth of the time of a loop over all bytes."""
    return chunk.isascii() and not (b'"' in chunk or b"\\" in chunk or b"\n" in chunk)


def _run_end(chunk: bytes, at: int) -> int:
    other = _NOT_BASE64.search(chunk, at)
    return other.start() if other else len(chunk)
