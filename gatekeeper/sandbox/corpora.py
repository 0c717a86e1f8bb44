"""Corpora of the semantic retriever (https://ai.google.dev/api/semantic-retrieval/corpora): documents, chunks
and permissions. A query finds the chunks that have words in common with it."""

from __future__ import annotations

import re
from functools import partial

from gatekeeper.sandbox.collection import Collection, Record
from gatekeeper.sandbox.errors import GoogleError, invalid
from gatekeeper.sandbox.google_json import Json, field, message, messages, parse_int, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import Clock

DEFAULT_RESULTS, MAX_RESULTS = 10, 100


def chunk_state(_body: Json, _name: str) -> Json:
    return {"state": "STATE_ACTIVE"}


class Corpora:
    def __init__(self, clock: Clock) -> None:
        self.corpora = Collection(clock, "corpora")
        self.documents = Collection(clock, "corpora/{id}/documents", parent=self.corpora)
        self.chunks = Collection(
            clock, "corpora/{id}/documents/{id}/chunks", defaults=chunk_state, parent=self.documents
        )
        self.permissions = Collection(clock, "corpora/{id}/permissions", parent=self.corpora)

    def routes(self) -> tuple[Route, ...]:
        chunks = self.chunks.path
        return (
            # Before the routes of the collection, because the first match is used.
            Route("DELETE", "/{v}/corpora/{id}", partial(delete, self.corpora, self.documents)),
            *self.corpora.routes(),
            *self.documents.routes(),
            *self.chunks.routes(),
            *self.permissions.routes(),
            Route("POST", "/{v}/corpora/{id}:query", partial(self.query, self.corpora)),
            Route("POST", f"{self.documents.path}/{{id}}:query", partial(self.query, self.documents)),
            Route("POST", f"{chunks}:batchCreate", self.batch_create),
            Route("POST", f"{chunks}:batchUpdate", self.batch_update),
            Route("POST", f"{chunks}:batchDelete", self.batch_delete),
        )

    def query(self, parents: Collection, request: Request, at: Parameters) -> HttpResponse:
        parents.require(at.path)
        body = request.json()
        wanted = words(text(field(body, "query")))
        if not wanted:
            raise invalid("* QueryCorpusRequest.query: query is not specified\n")
        count = parse_int(field(body, "resultsCount") or DEFAULT_RESULTS)
        if count is None or not 1 <= count <= MAX_RESULTS:
            raise invalid(f"results_count must be between 1 and {MAX_RESULTS}.")
        scored = [(relevance(item.document, wanted), item.document) for item in self.chunks.below(at.path)]
        # Chunks without a common word are not found at all.
        best = sorted((item for item in scored if item[0]), key=lambda item: -item[0])[:count]
        relevant: list[Json] = [{"chunkRelevanceScore": score, "chunk": chunk} for score, chunk in best]
        return json_response({"relevantChunks": relevant} if relevant else {})

    def batch_create(self, request: Request, at: Parameters) -> HttpResponse:
        made = [self.chunks.make(at.path, chunk) for chunk in batched(request, "chunk")]
        return json_response({"chunks": [item.document for item in made]})

    def batch_update(self, request: Request, _at: Parameters) -> HttpResponse:
        updated: list[Record] = []
        for chunk in batched(request, "chunk"):
            old = self.chunks.require(text(field(chunk, "name")))
            updated.append(self.chunks.put(old.name, old.document | chunk))
        return json_response({"chunks": [item.document for item in updated]})

    def batch_delete(self, request: Request, _at: Parameters) -> HttpResponse:
        names = [text(field(item, "name")) for item in messages(field(request.json(), "requests"))]
        for name in names:
            self.chunks.drop(self.chunks.require(name).name)
        return json_response({})


def batched(request: Request, name: str) -> list[Json]:
    """The member `name` of each request of a batch. Raises GoogleError (400) if there are none."""
    found = messages(field(request.json(), "requests"))
    if not found:
        raise invalid("requests is not specified")
    return [message(field(item, name)) for item in found]


def delete(of: Collection, inside: Collection, request: Request, at: Parameters) -> HttpResponse:
    """Deletes a resource; with children only if `force` is set. Raises GoogleError (400)."""
    name = of.require(at.path).name
    held = inside.below(name)
    if held and request.query.get("force", "").lower() != "true":
        raise GoogleError(400, f"Cannot delete non-empty {name}: use force.")
    for item in held:
        inside.drop(item.name)
    of.drop(name)
    return json_response({})


def words(written: str) -> set[str]:
    return set(re.findall(r"\w+", written.lower()))


def relevance(chunk: Json, wanted: set[str]) -> float:
    """The share of the wanted words that are in the chunk."""
    held = words(text(field(message(field(chunk, "data")), "stringValue")))
    return round(len(wanted & held) / len(wanted), 3)
