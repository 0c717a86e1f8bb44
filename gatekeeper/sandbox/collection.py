"""Generic collections of resources with create, get, list, patch and delete, in the style of Google's older
APIs (names, camelCase) or of its newer ones (ids, snake_case; errors as in the Interactions API)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from gatekeeper.sandbox.errors import GoogleError, invalid
from gatekeeper.sandbox.google_json import Json, field, text
from gatekeeper.sandbox.http import HttpResponse, RenderError, Request, error_response, json_response
from gatekeeper.sandbox.interactions import interaction_error
from gatekeeper.sandbox.routing import Parameters, Respond, Route
from gatekeeper.sandbox.store import (
    MAX_TOTAL_BYTES,
    OVERHEAD_BYTES,
    Clock,
    ExpiringStore,
    format_timestamp,
    page,
    random_id,
)

RESOURCE_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Style:
    """The style of an API. `key` is the field that identifies a resource; fields that `is_own` cannot be set
    by clients."""

    key: str
    created: str
    updated: str
    page_size: str
    page_token: str
    next_page: str
    render_error: RenderError

    def is_own(self, name: str) -> bool:
        return name in (self.key, self.created, self.updated)


NAMED = Style("name", "createTime", "updateTime", "pageSize", "pageToken", "nextPageToken", error_response)
IDENTIFIED = Style(
    "id", "create_time", "update_time", "page_size", "page_token", "next_page_token", interaction_error
)


@dataclass(frozen=True, slots=True)
class Record:
    """A resource: its full name, and the `document` that clients get."""

    name: str
    document: Json
    size: int
    expires: float = inf


# A function of a request's body and the new resource's name that returns further fields of the resource.
Defaults = Callable[[Json, str], Json]


def no_defaults(_body: Json, _name: str) -> Json:
    return {}


class Collection:
    """All resources at `path`, whatever their parents; `listed` is the field with the items in a list
    response."""

    def __init__(
        self,
        clock: Clock,
        path: str,
        *,
        listed: str = "",
        style: Style = NAMED,
        defaults: Defaults = no_defaults,
        parent: Collection | None = None,
    ) -> None:
        self.path = f"/{{v}}/{path}"
        self.style = style
        self._clock = clock
        self._noun = path.rpartition("/")[2]
        self._listed = listed or self._noun
        self._defaults = defaults
        self._parent = parent
        self._records = ExpiringStore[Record](MAX_TOTAL_BYTES, clock)

    def routes(self) -> tuple[Route, ...]:
        one = f"{self.path}/{{id}}"
        return (
            self.route("GET", self.path, self.list),
            self.route("POST", self.path, self.create),
            self.route("GET", one, self.get),
            self.route("PATCH", one, self.patch),
            self.route("DELETE", one, self.delete),
        )

    def route(self, method: str, path: str, respond: Respond) -> Route:
        return Route(method, path, respond, render_error=self.style.render_error)

    def create(self, request: Request, at: Parameters) -> HttpResponse:
        return json_response(self.make(at.path, request.json(), self.wanted_id(request)).document)

    def wanted_id(self, request: Request) -> str:
        """The id that a client has chosen: `tunedModelId` in the query, or in the body."""
        in_query = request.query.get(f"{self._noun.removesuffix('s')}Id", "")
        given = text(field(request.json(), self.style.key))
        return in_query or given.rpartition("/")[2]

    def make(self, collection: str, body: Json, identity: str = "") -> Record:
        """Creates a resource in `collection`, such as `corpora/a/documents`. Raises GoogleError: 400 for an
        invalid id, 404 for a missing parent, 409 if it exists."""
        if self._parent:
            self._parent.require(collection.rpartition("/")[0])
        if identity and not RESOURCE_ID.fullmatch(identity):
            raise invalid(f"Invalid id: {identity}. Use lower-case letters, digits and dashes.")
        name = f"{collection}/{identity or random_id(12)}"
        if self._records.get(name):
            raise GoogleError(409, "Requested entity already exists")
        now = format_timestamp(self._clock())
        style = self.style
        key = name if style.key == "name" else name.rpartition("/")[2]
        own: Json = {style.key: key, style.created: now, style.updated: now}
        given: Json = {item: value for item, value in body.items() if not style.is_own(item)}
        return self.put(name, {**own, **given, **self._defaults(body, name)})

    def put(self, name: str, document: Json) -> Record:
        # `str` of the document is about as long as its JSON.
        record = Record(name, document, OVERHEAD_BYTES + len(str(document)))
        self._records.put(record)
        return record

    def require(self, name: str) -> Record:
        """Raises GoogleError (404)."""
        found = self._records.get(name)
        if found is None:
            raise GoogleError(404, f"Requested entity was not found: {name}.")
        return found

    def below(self, parent: str) -> list[Record]:
        """The resources in the collection or below the parent, newest first."""
        return [item for item in self._records.all() if item.name.startswith(f"{parent}/")]

    def get(self, _request: Request, at: Parameters) -> HttpResponse:
        return json_response(self.require(at.path).document)

    def list(self, request: Request, at: Parameters) -> HttpResponse:
        if self._parent:
            self._parent.require(at.path.rpartition("/")[0])
        found = self.below(at.path)
        query, style = request.query, self.style
        some, more = page(found, query.get(style.page_size), query.get(style.page_token))
        listed: Json = {self._listed: [item.document for item in some]} if some else {}
        # `page` uses the name in the older APIs.
        following: Json = {style.next_page: more["nextPageToken"]} if more else {}
        return json_response(listed | following)

    def patch(self, request: Request, at: Parameters) -> HttpResponse:
        """The fields of the body replace those of the resource."""
        old = self.require(at.path)
        given = {name: value for name, value in request.json().items() if not self.style.is_own(name)}
        changed = {**old.document, **given, self.style.updated: format_timestamp(self._clock())}
        return json_response(self.put(old.name, changed).document)

    def delete(self, _request: Request, at: Parameters) -> HttpResponse:
        self.drop(self.require(at.path).name)
        return json_response({})

    def drop(self, name: str) -> None:
        self._records.drop(name)
