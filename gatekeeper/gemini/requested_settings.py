"""The settings of a request that affect its cost or its storage: the largest output, candidates, service
tier, `store`; and the requested quantity of images, songs and videos.

One body may contain many requests (a batch, `countTokens`, the setup of an ephemeral token). Each of the
innermost ones is separate: a limit that one of them does not set counts as not set, whatever the others say.
If a setting is repeated, the value that allows more counts, because it is undocumented which one Google
takes; `null` counts as absent.

Quantities are under `parameters` in Google's own methods (`predict`, `predictLongRunning`), and at the top
level of OpenAI-style requests: `n`, `seconds`, `size`. Numbers may be written as strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from enum import Enum, auto

import msgspec

STANDARD_TIER = "standard"
# Google's `unspecified`, also as its enum number, and OpenAI's names for the default.
_STANDARD_NAMES = frozenset({"", "0", "unspecified", "default", "auto"})
_MAX_TIER_LENGTH = 32
_MAX_DIGITS = 18

_COUNT = re.compile(rb"(\d{1,6})(?:\.0+)?")
_RESOLUTION = re.compile(rb"\w{1,16}")
_SIZE = re.compile(rb"(\d{1,5})x(\d{1,5})")
# By the shorter side, in pixels
_RESOLUTIONS = {720: "720p", 1080: "1080p", 2160: "4k"}


class Setting(Enum):
    """A setting that is collected for each request of a body."""

    # Enum's own hash is computed in Python, and dictionaries and sets ask for it with each member.
    __hash__ = object.__hash__

    MAX_OUTPUT_TOKENS = auto()
    CANDIDATES = auto()
    SERVICE_TIER = auto()
    STORE = auto()


class RequestedSettings(msgspec.Struct, frozen=True):
    """The settings of all requests of a body; see `request_summary.RequestSummary`."""

    max_output_tokens: int | None = None
    candidate_count: int | None = None
    service_tiers: tuple[str, ...] = ()
    store: bool | None = None


class _Request:
    """An open object: a request, or a container of requests."""

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
        # Of two configurations Google may take only one.
        is_said_by_each = self.configs <= max(1, len(self.outputs))
        return _largest(self.outputs) if is_said_by_each else None


class SettingsCollector:
    """Collects the settings of nested requests: `open` and `close` objects, `add` a setting of the
    innermost."""

    def __init__(self) -> None:
        self._open: list[_Request] = []
        self._outputs: list[int | None] = []
        self._stores: list[bool | None] = []
        self._tiers: dict[str, None] = {}
        self._candidates: int | None = None

    @property
    def settings(self) -> RequestedSettings:
        """The settings so far. An open request may still set more: its output counts as unlimited."""
        tiers = tuple(self._tiers)
        return RequestedSettings(
            max_output_tokens=None if self._open else _largest(self._outputs),
            candidate_count=self._candidates,
            # The default is left out if there is no other.
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
    """None if one of them is unlimited, or there is none."""
    limited = [limit for limit in outputs if limit is not None]
    return max(limited) if limited and len(limited) == len(outputs) else None


def _kept(stores: Iterable[bool | None]) -> bool | None:
    """True if one is true; otherwise None if one is not set, or there is none."""
    values = set(stores)
    if True in values:
        return True
    return None if None in values or not values else False


def _tier(raw: bytes) -> str:
    """`flex`, from that or the enum name `SERVICE_TIER_FLEX`."""
    name = raw.decode(errors="replace").lower().removeprefix("service_tier_")
    return STANDARD_TIER if name in _STANDARD_NAMES else name[:_MAX_TIER_LENGTH]


def whole_number(raw: bytes) -> int | None:
    """The number, if proto3's JSON accepts it as an integer: `8`, `"8"`, `8.0`, `8e2`."""
    try:
        number = Decimal(raw.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    # Checks the size first: with an exponent the number may have a million digits.
    if not number.is_finite() or number.adjusted() > _MAX_DIGITS or number != number.to_integral_value():
        return None
    return int(number)


class Quantity(Enum):
    """A requested quantity that is billed per image or per second."""

    # Enum's own hash is computed in Python, and dictionaries and sets ask for it with each member.
    __hash__ = object.__hash__

    SAMPLES = auto()
    SECONDS = auto()
    RESOLUTION = auto()
    SIZE = auto()


class RequestedMedia(msgspec.Struct, frozen=True):
    """None: not set, so the method's default applies."""

    samples: int | None = None
    seconds: int | None = None
    resolution: str | None = None
    """`720p`, `1080p`, `4k`; or whatever else was requested, which has no price."""
    understood: bool = True
    """Whether each count is valid, and none is repeated with another value: which of them Google takes is
    undocumented."""


NO_MEDIA = RequestedMedia()


class MediaCollector:
    """Collects the values of quantities."""

    def __init__(self) -> None:
        self.media = NO_MEDIA

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
