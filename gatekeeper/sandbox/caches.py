"""Cached contents: prompts kept for reuse (https://ai.google.dev/api/caching)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatekeeper.sandbox.errors import invalid, no_cache
from gatekeeper.sandbox.exchange import Answer, Request, json_answer
from gatekeeper.sandbox.files import random_id
from gatekeeper.sandbox.models import answering
from gatekeeper.sandbox.store import Clock, Store, instant, page, seconds, timestamp
from gatekeeper.sandbox.tokens import Find, Tally, tally
from gatekeeper.sandbox.wire import Json, field, text

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
