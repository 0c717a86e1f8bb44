"""What can be downloaded: bytes that were uploaded, or bytes of any number that are made as they are sent.

`GeneratedBytes` are blocks of 64 KiB that begin with their number, so that a block that is lost, doubled or
out of place changes the hash; the rest of a block is the same in every one."""

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
    """The bytes from `start` to `end` of the blocks, one piece for each block that they touch."""

    start: int
    end: int

    def __len__(self) -> int:
        # An empty content is one empty piece: a response needs one.
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


# No content has so many bytes, and int() takes 4,300 digits at most.
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def download_response(content: Content, kind: str, request: Request) -> HttpResponse:
    """The whole content, or the range of it that is asked for (RFC 9110 §14); several ranges are ignored."""
    asked = RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    start, end = parse_range(asked, content.size) if asked else (0, content.size)
    common = (b"accept-ranges", b"bytes"), (b"content-disposition", b"attachment")
    if start >= end and asked:
        size = (b"content-range", b"bytes */%d" % content.size)
        return response(416, b"text/html; charset=UTF-8", b"", size, *common)
    place = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, content.size))
    head = response(206 if asked else 200, kind.encode(), b"", *common, *((place,) if asked else ()))
    # The head was made for an empty body.
    length = (b"content-length", b"%d" % (end - start))
    headers = tuple(length if name == b"content-length" else (name, value) for name, value in head.headers)
    return HttpResponse(head.status, headers, content.pieces(start, end))


def parse_range(asked: re.Match[str], size: int) -> tuple[int, int]:
    """Start and end, exclusive; a start at or behind the end if the range cannot be satisfied."""
    first, last = asked[1], asked[2]
    if not first:
        # The last bytes, as many as asked for.
        return (max(0, size - int(last)), size) if last else (0, size)
    return int(first), min(int(last) + 1, size) if last else size
