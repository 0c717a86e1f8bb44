"""Cached contents: prompts stored for reuse (https://ai.google.dev/api/caching)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatekeeper.sandbox.errors import cache_not_found, invalid
from gatekeeper.sandbox.google_json import Json, field, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.models import resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import (
    Clock,
    ExpiringStore,
    format_timestamp,
    page,
    parse_duration,
    parse_timestamp,
    random_id,
)
from gatekeeper.sandbox.token_counts import FileLookup, TokenCounts, count_tokens

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
    # Each counts as one: the store is limited to `MAX_CACHES`.
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

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/cachedContents", self.create),
            Route("GET", "/{v}/cachedContents", self.list),
            Route("GET", "/{v}/cachedContents/{id}", self.get),
            Route("PATCH", "/{v}/cachedContents/{id}", self.patch),
            Route("DELETE", "/{v}/cachedContents/{id}", self.delete),
        )

    def create(self, request: Request, at: Parameters) -> HttpResponse:
        body = request.json()
        model = text(field(body, "model")).removeprefix("models/")
        resolve_model(model, at.version, "createCachedContent")
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

    def patch(self, request: Request, at: Parameters) -> HttpResponse:
        """Only the expiry can change."""
        cache, end = self.require(at.path), self.expiry(request.json())
        if end is None:
            raise invalid("Only the expiration of CachedContent can be updated: give ttl or expire_time.")
        return self.put(replace(cache, updated=self._clock(), expires=end))

    def require(self, name: str) -> CachedContent:
        """Raises GoogleError (403)."""
        cache = self._caches.get(name)
        if cache is None:
            # 403, like Google, which does not reveal whether it exists.
            raise cache_not_found()
        return cache

    def get(self, _request: Request, at: Parameters) -> HttpResponse:
        return json_response(self.require(at.path).resource())

    def list(self, request: Request, _at: Parameters) -> HttpResponse:
        some, more = page(self._caches.all(), request.query.get("pageSize"), request.query.get("pageToken"))
        caches: Json = {"cachedContents": [cache.resource() for cache in some]} if some else {}
        return json_response(caches | more)

    def delete(self, _request: Request, at: Parameters) -> HttpResponse:
        self._caches.drop(self.require(at.path).name)
        return json_response({})
