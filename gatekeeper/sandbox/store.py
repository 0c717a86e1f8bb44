"""Named things that expire, in memory and within a bound: the oldest make room for new ones."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.wire import Json, whole

Clock = Callable[[], float]
"""Seconds since 1970."""

PAGE, LARGEST_PAGE = 50, 1000


class Resource(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def expires(self) -> float:
        """Seconds since 1970."""
        ...

    @property
    def weight(self) -> int:
        """What it takes of the store's room, in bytes or so."""
        ...


R = TypeVar("R", bound=Resource)
T = TypeVar("T")


class Store(Generic[R]):
    """Holds resources of `room` weight in all."""

    def __init__(self, room: int, clock: Clock) -> None:
        self._room = room
        self._clock = clock
        self._held: dict[str, R] = {}

    def put(self, resource: R) -> None:
        """Adds or replaces; what is expired goes, and then the oldest, until all the rest fits."""
        self._held.pop(resource.name, None)
        self._held = {item.name: item for item in reversed(self.all())} | {resource.name: resource}
        over = sum(item.weight for item in self._held.values()) - self._room
        for oldest in list(self._held.values())[:-1]:
            if over <= 0:
                break
            over -= oldest.weight
            del self._held[oldest.name]

    def get(self, name: str) -> R | None:
        found = self._held.get(name)
        return found if found and found.expires > self._clock() else None

    def drop(self, name: str) -> None:
        self._held.pop(name, None)

    def all(self) -> list[R]:
        """Newest first, as Google lists."""
        now = self._clock()
        return [item for item in reversed(self._held.values()) if item.expires > now]


def page(items: Sequence[T], size: str | None, token: str | None) -> tuple[Sequence[T], Json]:
    """The part of `items` that `pageSize` and `pageToken` ask for, and the answer's `nextPageToken` if any.

    Raises ApiError (400) for what is no size and no token of ours.
    """
    limit = whole(size or PAGE)
    if limit is None or limit < 1:
        raise invalid("page_size must be a positive number.")
    start = position(token) if token else 0
    end = start + min(limit, LARGEST_PAGE)
    more: Json = {"nextPageToken": base64.urlsafe_b64encode(b"at:%d" % end).decode()}
    return items[start:end], more if end < len(items) else {}


def position(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).removeprefix(b"at:"))
    except (ValueError, binascii.Error) as error:
        raise invalid("Invalid page token.") from error


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds and `Z`, as Google writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(written: str) -> float:
    """Seconds since 1970 of an RFC 3339 time. Raises ApiError (400)."""
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError as error:
        raise invalid(f"Invalid time format: {written}") from error


def seconds(duration: str) -> float:
    """Of protobuf's JSON form of a duration, such as `3.5s`. Raises ApiError (400)."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", duration):
        raise invalid(f"Invalid duration format: {duration}")
    return float(duration[:-1])
