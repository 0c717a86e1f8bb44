"""What a request asks for that is billed by piece or by second: pictures, songs, videos.

Google's own methods (`predict`, `predictLongRunning`) have it under `parameters`, OpenAI-style ones at the
top of the request: `n`, `seconds`, `size`. Numbers may be written as strings.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import msgspec


class Quantity(Enum):
    """A member of a request that says how much."""

    # Enum's own hash is computed in Python, and dictionaries and sets ask for it with each member.
    __hash__ = object.__hash__

    SAMPLES = auto()
    SECONDS = auto()
    RESOLUTION = auto()
    SIZE = auto()


class RequestedMedia(msgspec.Struct, frozen=True):
    """None: not said, so that the method's default counts."""

    samples: int | None = None
    seconds: int | None = None
    resolution: str | None = None
    """`720p`, `1080p`, `4k`; or whatever else was asked for, which has no price."""
    understood: bool = True
    """Whether each count is one, and none is said twice with another value: it is not published which of them
    Google takes."""


NOTHING_SAID = RequestedMedia()

_COUNT = re.compile(rb"(\d{1,6})(?:\.0+)?")
_RESOLUTION = re.compile(rb"\w{1,16}")
_SIZE = re.compile(rb"(\d{1,5})x(\d{1,5})")
# By the shorter side, in pixels
_RESOLUTIONS = {720: "720p", 1080: "1080p", 2160: "4k"}


class MediaCollector:
    """Collects the values of quantities."""

    def __init__(self) -> None:
        self.media = NOTHING_SAID

    def add(self, quantity: Quantity, raw: bytes) -> None:
        """`raw`: a number, or the bytes of a string."""
        said = self.media
        if quantity in (Quantity.RESOLUTION, Quantity.SIZE):
            resolution = _resolution(quantity, raw.lower())
            if said.resolution not in (None, resolution):
                resolution = "different ones"
            self.media = msgspec.structs.replace(said, resolution=resolution)
            return
        found = _COUNT.fullmatch(raw)
        count, name = int(found[1]) if found else None, quantity.name.lower()
        before: int | None = getattr(said, name)
        understood = said.understood and count is not None and before in (None, count)
        self.media = msgspec.structs.replace(said, understood=understood, **{name: count})


def _resolution(quantity: Quantity, text: bytes) -> str:
    if quantity is Quantity.SIZE and (size := _SIZE.fullmatch(text)):
        known = _RESOLUTIONS.get(min(int(size[1]), int(size[2])))
        return known or text.decode()
    return text.decode() if _RESOLUTION.fullmatch(text) else "unknown"
