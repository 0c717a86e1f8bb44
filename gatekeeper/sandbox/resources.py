"""Named resources that expire, in memory and of bounded size: new ones evict the oldest. Cached contents,
prompts stored for reuse (https://ai.google.dev/api/caching), are the simplest of them; files have their own
module.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from gatekeeper.sandbox.errors import cache_not_found, invalid
from gatekeeper.sandbox.models import FileLookup, TokenCounts, count_tokens, resolve_model
from gatekeeper.sandbox.wire import HttpResponse, Json, Request, field, json_response, parse_int, text

# Returns seconds since 1970; a parameter, so that tests can control the time.
Clock = Callable[[], float]

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
        return datetime.fromisoformat(written).timestamp()
    except ValueError as error:
        raise invalid(f"Invalid time format: {written}") from error


def parse_duration(duration: str) -> float:
    """The seconds of a duration in protobuf's JSON mapping, such as `3.5s`. Raises GoogleError (400)."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", duration):
        raise invalid(f"Invalid duration format: {duration}")
    return float(duration[:-1])


# Google's default for a missing `ttl`: an hour.
DEFAULT_TTL = 3600.0
MAX_CACHES = 1000
MIN_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class CachedContent:
    name: str
    model: str
    display_name: str
    tokens: TokenCounts
    created: float
    updated: float
    expires: float
    size: int = 1

    def resource(self) -> Json:
        return {
            "name": self.name,
            "model": f"models/{self.model}",
            "createTime": format_timestamp(self.created),
            "updateTime": format_timestamp(self.updated),
            "expireTime": format_timestamp(self.expires),
            "displayName": self.display_name,
            "usageMetadata": {"totalTokenCount": self.tokens.total()},
        }


class CachedContents:
    """All cached contents; `find_file` looks up the files that they contain."""

    def __init__(self, clock: Clock, find_file: FileLookup) -> None:
        self._clock = clock
        self._find_file = find_file
        self._caches = ExpiringStore[CachedContent](MAX_CACHES, clock)

    def create(self, request: Request, version: str) -> HttpResponse:
        body = request.json()
        model = text(field(body, "model")).removeprefix("models/")
        resolve_model(model, version, "createCachedContent")
        tokens = count_tokens(body, self._find_file)
        if tokens.total() < MIN_TOKENS:
            raise invalid(
                f"Cached content is too small. total_token_count={tokens.total()}, "
                f"min_total_token_count={MIN_TOKENS}"
            )
        now = self._clock()
        name, display_name = f"cachedContents/{random_id(40)}", text(field(body, "displayName"))
        return self.put(
            CachedContent(name, model, display_name, tokens, now, now, self.expiry(body) or now + DEFAULT_TTL)
        )

    def put(self, cache: CachedContent) -> HttpResponse:
        self._caches.put(cache)
        return json_response(cache.resource())

    def expiry(self, body: Json) -> float | None:
        """The time given by `ttl` or `expireTime`; None without either. Raises GoogleError (400)."""
        if ttl := text(field(body, "ttl")):
            return self._clock() + parse_duration(ttl)
        if end := text(field(body, "expireTime")):
            return parse_timestamp(end)
        return None

    def patch(self, name: str, request: Request) -> HttpResponse:
        """Only the expiry can change."""
        cache, end = self.require(name), self.expiry(request.json())
        if end is None:
            raise invalid("Only the expiration of CachedContent can be updated: give ttl or expire_time.")
        return self.put(replace(cache, updated=self._clock(), expires=end))

    def require(self, name: str) -> CachedContent:
        """Raises GoogleError (403)."""
        cache = self._caches.get(name)
        if cache is None:
            raise cache_not_found()
        return cache

    def get(self, name: str) -> HttpResponse:
        return json_response(self.require(name).resource())

    def list(self, request: Request) -> HttpResponse:
        some, more = page(self._caches.all(), request.query.get("pageSize"), request.query.get("pageToken"))
        caches: Json = {"cachedContents": [cache.resource() for cache in some]} if some else {}
        return json_response(caches | more)

    def delete(self, name: str) -> HttpResponse:
        self._caches.drop(self.require(name).name)
        return json_response({})
