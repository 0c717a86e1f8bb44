"""What a request asks for beside its contents: its largest output, candidates, service tier, storage; and how
much of what is billed by piece or by second (pictures, songs, videos).

One body may hold many requests (a batch, `countTokens`, the setup of an ephemeral token). Each of the
innermost ones stands for itself: what one of them leaves open is left open, whatever the others say. Where a
setting is said more than once, the value that allows more counts, because it is not published which of them
Google takes; `null` counts as absent.

Quantities are under `parameters` in Google's own methods (`predict`, `predictLongRunning`), in OpenAI-style
ones at the top of the request: `n`, `seconds`, `size`. Numbers may be written as strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from enum import Enum, auto

import msgspec

STANDARD_TIER = "standard"
# Google's `unspecified`, also as the number in the enum, and what OpenAI calls its default.
_STANDARD_NAMES = frozenset({"", "0", "unspecified", "default", "auto"})
_MAX_TIER_LENGTH = 32
_MAX_DIGITS = 18

_COUNT = re.compile(rb"(\d{1,6})(?:\.0+)?")
_RESOLUTION = re.compile(rb"\w{1,16}")
_SIZE = re.compile(rb"(\d{1,5})x(\d{1,5})")
# By the shorter side, in pixels
_RESOLUTIONS = {720: "720p", 1080: "1080p", 2160: "4k"}


class Setting(Enum):
    """A member of a request that is collected for each request of a body."""

    # Enum's own hash is computed in Python, and dictionaries and sets ask for it with each member.
    __hash__ = object.__hash__

    MAX_OUTPUT_TOKENS = auto()
    CANDIDATES = auto()
    SERVICE_TIER = auto()
    STORE = auto()


class RequestedSettings(msgspec.Struct, frozen=True):
    """Of all requests of a body, as `request_parser.RequestSummary` has them."""

    max_output_tokens: int | None = None
    candidate_count: int | None = None
    service_tiers: tuple[str, ...] = ()
    store: bool | None = None


class _Request:
    """An object that is open: a request, or one that holds some."""

    __slots__ = ("configs", "has_contents", "holds_requests", "outputs", "stores", "tiers")

    def __init__(self) -> None:
        self.holds_requests = self.has_contents = False
        self.configs = 0
        self.outputs: list[int | None] = []
        self.stores: list[bool | None] = []
        self.tiers: list[str] = []

    @property
    def is_request(self) -> bool:
        return self.has_contents or not self.holds_requests

    @property
    def max_output_tokens(self) -> int | None:
        # Of two configurations one may be all that Google takes.
        is_said_by_each = self.configs <= max(1, len(self.outputs))
        return _largest(self.outputs) if is_said_by_each else None


class SettingsCollector:
    """Collects the settings of nested requests: `open` and `close` them, `add` what the innermost says."""

    def __init__(self) -> None:
        self._open: list[_Request] = []
        self._outputs: list[int | None] = []
        self._stores: list[bool | None] = []
        self._tiers: dict[str, None] = {}
        self._candidates: int | None = None

    @property
    def settings(self) -> RequestedSettings:
        """What is known so far. A request that is open may still say more: its output counts as unlimited."""
        tiers = tuple(self._tiers)
        return RequestedSettings(
            max_output_tokens=None if self._open else _largest(self._outputs),
            candidate_count=self._candidates,
            # The default is not worth a mention where none is named.
            service_tiers=() if tiers == (STANDARD_TIER,) else tiers,
            store=_kept([*self._stores, *(_kept(request.stores) for request in self._open)]),
        )

    def open(self) -> None:
        if self._open:
            self._open[-1].holds_requests = True
        self._open.append(_Request())

    def contents(self) -> None:
        """The innermost object has contents: it is a request, whatever else it holds."""
        if self._open:
            self._open[-1].has_contents = True

    def config(self) -> None:
        """The innermost request begins a `generationConfig`."""
        if self._open:
            self._open[-1].configs += 1

    def close(self) -> None:
        if not self._open:
            return
        request = self._open.pop()
        if request.is_request:
            self._outputs.append(request.max_output_tokens)
            self._stores.append(_kept(request.stores))
            self._tiers.update(dict.fromkeys(request.tiers or [STANDARD_TIER]))

    def add(self, setting: Setting, raw: bytes, *, is_literal: bool = False) -> None:
        """`raw`: a number, the bytes of a string, or a literal (`true`, `false`, `null`)."""
        if not self._open:
            return  # the document's brackets do not match
        request = self._open[-1]
        is_null = is_literal and raw == b"null"
        if setting is Setting.STORE:
            request.stores.append(None if is_null else not (is_literal and raw == b"false"))
        elif setting is Setting.SERVICE_TIER:
            request.tiers.append(STANDARD_TIER if is_null else _tier(raw))
        elif setting is Setting.MAX_OUTPUT_TOKENS:
            limit = whole_number(raw)
            request.outputs.append(limit if limit and limit > 0 else None)
        elif (count := whole_number(raw)) is not None:
            self._candidates = max(count, self._candidates or count)


def _largest(outputs: list[int | None]) -> int | None:
    """None if one of them is not limited, or there is none."""
    limited = [limit for limit in outputs if limit is not None]
    return max(limited) if limited and len(limited) == len(outputs) else None


def _kept(stores: Iterable[bool | None]) -> bool | None:
    """True if one is, None if one is not known, or there is none."""
    values = set(stores)
    if True in values:
        return True
    return None if None in values or not values else False


def _tier(raw: bytes) -> str:
    """`flex`, or the name in the enum, `SERVICE_TIER_FLEX`."""
    name = raw.decode(errors="replace").lower().removeprefix("service_tier_")
    return STANDARD_TIER if name in _STANDARD_NAMES else name[:_MAX_TIER_LENGTH]


def whole_number(raw: bytes) -> int | None:
    """The number, if it is one that proto3's JSON takes for an integer: `8`, `"8"`, `8.0`, `8e2`."""
    try:
        number = Decimal(raw.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    # The size first: an exponent may ask for a number of a million digits.
    if not number.is_finite() or number.adjusted() > _MAX_DIGITS or number != number.to_integral_value():
        return None
    return int(number)


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
