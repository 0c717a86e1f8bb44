"""Downloadable content: uploaded bytes, or any number of bytes that are generated while they are sent.
`GeneratedBytes` are blocks of 64 KiB that begin with their number, so that a lost, duplicated or reordered
block changes the hash; the rest is the same in all blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Protocol, overload

from gatekeeper.sandbox.http import HttpResponse, Piece, Request, response

BLOCK_BYTES = 64 * 1024


class Content(Protocol):
    @property
    def size(self) -> int: ...
    def pieces(self, start: int, end: int) -> Sequence[Piece]:
        """The bytes from `start` up to but not including `end`."""
        ...


@dataclass(frozen=True, slots=True)
class KeptBytes:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self, start: int, end: int) -> Sequence[Piece]:
        return [(0.0, self.data[start:end])]


@dataclass(frozen=True, slots=True)
class GeneratedBytes:
    size: int

    def pieces(self, start: int, end: int) -> Sequence[Piece]:
        return Blocks(start, end)


@dataclass(frozen=True, slots=True)
class Blocks(Sequence[Piece]):
    """The bytes from `start` to `end` of generated content, one piece per block."""

    start: int
    end: int

    def __len__(self) -> int:
        # Empty content is one empty piece, because a response needs at least one.
        return max(1, -(-self.end // BLOCK_BYTES) - self.start // BLOCK_BYTES)

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Piece]: ...
    def __getitem__(self, index: int | slice) -> Piece | Sequence[Piece]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = self.start // BLOCK_BYTES + index
        first = number * BLOCK_BYTES
        return 0.0, block(number)[max(0, self.start - first) : max(0, self.end - first)]


def block(number: int) -> bytes:
    return number.to_bytes(8, "big") + filling()


@cache
def filling() -> bytes:
    return Random("sandbox").randbytes(BLOCK_BYTES - 8)  # noqa: S311 - nothing secret


# Enough digits for any content; int() accepts at most 4,300.
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def download_response(content: Content, kind: str, request: Request) -> HttpResponse:
    """The whole content, or the requested range (RFC 9110 §14); a request for several ranges gets the whole
    content."""
    asked = RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    start, end = parse_range(asked, content.size) if asked else (0, content.size)
    common = (b"accept-ranges", b"bytes"), (b"content-disposition", b"attachment")
    if start >= end and asked:
        size = (b"content-range", b"bytes */%d" % content.size)
        return response(416, b"text/html; charset=UTF-8", b"", size, *common)
    place = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, content.size))
    head = response(206 if asked else 200, kind.encode(), b"", *common, *((place,) if asked else ()))
    # Replaces the content-length of an empty body.
    length = (b"content-length", b"%d" % (end - start))
    headers = tuple(length if name == b"content-length" else (name, value) for name, value in head.headers)
    return HttpResponse(head.status, headers, content.pieces(start, end))


def parse_range(asked: re.Match[str], size: int) -> tuple[int, int]:
    """Start and end (exclusive) of a range; the start is not before the end if the range cannot be
    satisfied."""
    first, last = asked[1], asked[2]
    if not first:
        # A suffix range: the last bytes.
        return (max(0, size - int(last)), size) if last else (0, size)
    return int(first), min(int(last) + 1, size) if last else size
