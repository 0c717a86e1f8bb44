"""Named things that expire, in memory and within a bound: the oldest make room for new ones. Cached contents,
prompts kept for reuse, are the plainest of them (https://ai.google.dev/api/caching); files have a module.
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

from gatekeeper.sandbox.errors import invalid, no_cache
from gatekeeper.sandbox.models import Find, Tally, answering, tally
from gatekeeper.sandbox.wire import Answer, Json, Request, field, json_answer, text, whole

# Seconds since 1970; a parameter, so that tests can let time pass.
Clock = Callable[[], float]

PAGE, LARGEST_PAGE = 50, 1000
ALPHABET = string.ascii_lowercase + string.digits


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
        # `all` has the newest first; the dict keeps the oldest first.
        self._held = {item.name: item for item in reversed(self.all())} | {resource.name: resource}
        over = sum(item.weight for item in self._held.values()) - self._room
        # Never the new one itself, even where it alone is over the room.
        for oldest in list(self._held.values())[:-1]:
            if over <= 0:
                break
            over -= oldest.weight
            del self._held[oldest.name]

    def get(self, name: str) -> R | None:
        # What has expired is held until the next `put`.
        found = self._held.get(name)
        return found if found and found.expires > self._clock() else None

    def drop(self, name: str) -> None:
        self._held.pop(name, None)

    def all(self) -> list[R]:
        """Newest first, as Google lists."""
        now = self._clock()
        return [item for item in reversed(self._held.values()) if item.expires > now]


def random_id(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def page(items: Sequence[T], size: str | None, token: str | None) -> tuple[Sequence[T], Json]:
    """The part of `items` that `pageSize` and `pageToken` ask for, and the answer's `nextPageToken` if any.

    Raises ApiError (400) for what is no size and no token of ours.
    """
    limit = whole(size or PAGE)
    if limit is None or limit < 1:
        raise invalid("page_size must be a positive number.")
    # A number of items, in a form that is as opaque to clients as Google's.
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


# Google's default for a `ttl` that is not given: an hour.
LIFE = 3600.0
ROOM = 1000
LEAST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Cache:
    name: str
    model: str
    title: str
    tokens: Tally
    created: float
    updated: float
    expires: float
    weight: int = 1

    def resource(self) -> Json:
        return {
            "name": self.name,
            "model": f"models/{self.model}",
            "createTime": timestamp(self.created),
            "updateTime": timestamp(self.updated),
            "expireTime": timestamp(self.expires),
            "displayName": self.title,
            "usageMetadata": {"totalTokenCount": self.tokens.total()},
        }


class Caches:
    """All cached contents; `find` looks up the files in them."""

    def __init__(self, clock: Clock, find: Find) -> None:
        self._clock = clock
        self._find = find
        self._caches = Store[Cache](ROOM, clock)

    def create(self, request: Request, version: str) -> Answer:
        wish = request.json()
        model = text(field(wish, "model")).removeprefix("models/")
        answering(model, version, "createCachedContent")
        tokens = tally(wish, self._find)
        if tokens.total() < LEAST_TOKENS:
            raise invalid(
                f"Cached content is too small. total_token_count={tokens.total()}, "
                f"min_total_token_count={LEAST_TOKENS}"
            )
        now = self._clock()
        name, title = f"cachedContents/{random_id(40)}", text(field(wish, "displayName"))
        return self.keep(Cache(name, model, title, tokens, now, now, self.expiry(wish) or now + LIFE))

    def keep(self, cache: Cache) -> Answer:
        self._caches.put(cache)
        return json_answer(cache.resource())

    def expiry(self, wish: Json) -> float | None:
        """When `ttl` or `expireTime` say that it ends; None if neither does. Raises ApiError (400)."""
        if ttl := text(field(wish, "ttl")):
            return self._clock() + seconds(ttl)
        if end := text(field(wish, "expireTime")):
            return instant(end)
        return None

    def patch(self, name: str, request: Request) -> Answer:
        """Only the expiry can change."""
        cache, end = self.held(name), self.expiry(request.json())
        if end is None:
            raise invalid("Only the expiration of CachedContent can be updated: give ttl or expire_time.")
        return self.keep(replace(cache, updated=self._clock(), expires=end))

    def held(self, name: str) -> Cache:
        """Raises ApiError (403)."""
        cache = self._caches.get(name)
        if cache is None:
            raise no_cache()
        return cache

    def get(self, name: str) -> Answer:
        return json_answer(self.held(name).resource())

    def list(self, request: Request) -> Answer:
        some, more = page(self._caches.all(), request.query.get("pageSize"), request.query.get("pageToken"))
        caches: Json = {"cachedContents": [cache.resource() for cache in some]} if some else {}
        return json_answer(caches | more)

    def delete(self, name: str) -> Answer:
        self._caches.drop(self.held(name).name)
        return json_answer({})
