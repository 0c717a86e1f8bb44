"""A bounded in-memory store of named resources that expire; new ones evict the oldest. Also Google's formats
of ids, pages and times."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, parse_int

# Returns seconds since 1970; a parameter, so that tests can control the time.
Clock = Callable[[], float]

# Limits of one file or upload, and of all together; the size of one without content, which limits the number.
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024
OVERHEAD_BYTES = 64 * 1024
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000
ALPHABET = string.ascii_lowercase + string.digits


class Resource(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def expires(self) -> float:
        """Seconds since 1970."""
        ...

    @property
    def size(self) -> int:
        """Its share of the store's capacity, in bytes or another unit."""
        ...


R = TypeVar("R", bound=Resource)
T = TypeVar("T")


class ExpiringStore(Generic[R]):
    """Resources with a total size of at most `capacity`."""

    def __init__(self, capacity: int, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock
        self._resources: dict[str, R] = {}

    def put(self, resource: R) -> None:
        """Adds or replaces; evicts the expired resources, then the oldest, until the rest fits."""
        self._resources.pop(resource.name, None)
        # `all` has the newest first; the dict keeps the oldest first.
        self._resources = {item.name: item for item in reversed(self.all())} | {resource.name: resource}
        over = sum(item.size for item in self._resources.values()) - self._capacity
        # Never the new one itself, even if it alone exceeds the capacity.
        for oldest in list(self._resources.values())[:-1]:
            if over <= 0:
                break
            over -= oldest.size
            del self._resources[oldest.name]

    def get(self, name: str) -> R | None:
        # Expired resources stay until the next `put`.
        found = self._resources.get(name)
        return found if found and found.expires > self._clock() else None

    def drop(self, name: str) -> None:
        self._resources.pop(name, None)

    def all(self) -> list[R]:
        """Newest first, like Google's lists."""
        now = self._clock()
        return [item for item in reversed(self._resources.values()) if item.expires > now]


def random_id(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def page(items: Sequence[T], size: str | None, token: str | None) -> tuple[Sequence[T], Json]:
    """The page of `items` that `pageSize` and `pageToken` select, and the response's `nextPageToken` if any.

    Raises GoogleError (400) for an invalid size or token.
    """
    limit = parse_int(size or DEFAULT_PAGE_SIZE)
    if limit is None or limit < 1:
        raise invalid("page_size must be a positive number.")
    # The token is an index, encoded so that it is as opaque to clients as Google's.
    start = parse_page_token(token) if token else 0
    # A size beyond the maximum is reduced, not rejected (https://google.aip.dev/158).
    end = start + min(limit, MAX_PAGE_SIZE)
    more: Json = {"nextPageToken": base64.urlsafe_b64encode(b"at:%d" % end).decode()}
    return items[start:end], more if end < len(items) else {}


def parse_page_token(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).removeprefix(b"at:"))
    except (ValueError, binascii.Error) as error:
        raise invalid("Invalid page token.") from error


def format_timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds and `Z`, Google's format."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(written: str) -> float:
    """An RFC 3339 time in seconds since 1970. Raises GoogleError (400)."""
    try:
        # Converted to UTC here, where the year may overflow.
        return datetime.fromisoformat(written).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise invalid(f"Invalid time format: {written}") from error


def parse_duration(duration: str) -> float:
    """The seconds of a duration in protobuf's JSON mapping, such as `3.5s`. Raises GoogleError (400)."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", duration):
        raise invalid(f"Invalid duration format: {duration}")
    return float(duration[:-1])
