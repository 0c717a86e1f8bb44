"""File search stores (https://ai.google.dev/api/file-search): documents are uploaded or imported from the
Files API, each by an operation. Searches are not simulated: a generate call with the tool ignores the
documents."""

from __future__ import annotations

import re
from functools import partial

from gatekeeper.sandbox.collection import Collection
from gatekeeper.sandbox.corpora import delete
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.google_json import Json, field, text
from gatekeeper.sandbox.http import BodyBuffer, HttpResponse, Request, json_response
from gatekeeper.sandbox.operations import Operations
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import Clock, random_id
from gatekeeper.sandbox.uploads import Uploads

STORE = "/{v}/fileSearchStores/{id}"
NAMESPACE = "type.googleapis.com/google.ai.generativelanguage.v1main."
EMBEDDING_MODEL = "models/gemini-embedding-001"


def store_defaults(body: Json, _name: str) -> Json:
    return {"embeddingModel": field(body, "embeddingModel") or EMBEDDING_MODEL}


class FileSearchStores:
    def __init__(self, clock: Clock, files: Files, operations: Operations) -> None:
        self._files = files
        self._operations = operations
        self.stores = Collection(clock, "fileSearchStores", defaults=store_defaults)
        self.documents = Collection(clock, "fileSearchStores/{id}/documents", parent=self.stores)

    def routes(self, uploads: Uploads) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/fileSearchStores", self.create),
            # Before the routes of the collection, because the first match is used.
            Route("DELETE", STORE, partial(delete, self.stores, self.documents)),
            *self.stores.routes(),
            *self.documents.routes(),
            Route("POST", f"{STORE}:importFile", self.import_file),
            Route("POST", f"{STORE}:uploadToFileSearchStore", self.upload_nothing),
            *uploads.routes(f"{STORE}:uploadToFileSearchStore", self),
        )

    def create(self, request: Request, at: Parameters) -> HttpResponse:
        """Creates a store. As recorded, its id has the display name and a random suffix."""
        body = request.json()
        shown = re.sub(r"[^a-z0-9]", "", text(field(body, "displayName")).lower())[:40]
        # With an empty one `make` chooses an id.
        identity = f"{shown}-{random_id(12)}" if shown else ""
        return json_response(self.stores.make(at.path, body, identity).document)

    def check(self, at: Parameters, _metadata: Json) -> None:
        self.stores.require(at.path)

    def finish(self, at: Parameters, metadata: Json, mime: str, content: BodyBuffer) -> Json:
        kind = text(field(metadata, "mimeType")) or mime
        name = self.add(at.path, text(field(metadata, "displayName")), kind, content.size, metadata)
        response: Json = {
            "@type": f"{NAMESPACE}UploadToFileSearchStoreResponse",
            "documentName": name,
            "mimeType": kind,
            "parent": at.path,
            "sizeBytes": str(content.size),
        }
        operation = self._operations.start(f"{at.path}/upload/operations/{name.rpartition('/')[2]}", response)
        return {"name": operation.name, "response": response}

    def upload_nothing(self, request: Request, at: Parameters) -> HttpResponse:
        """An upload request without the upload prefix, which has only metadata."""
        self.stores.require(at.path)
        return json_response(self.finish(at, request.json(), "", BodyBuffer()))

    def import_file(self, request: Request, at: Parameters) -> HttpResponse:
        self.stores.require(at.path)
        body = request.json()
        file = self._files.require(text(field(body, "fileName")))
        name = self.add(at.path, file.display_name or file.name, file.mime, file.byte_count, body)
        response: Json = {
            "@type": f"{NAMESPACE}ImportFileResponse",
            "parent": at.path,
            "documentName": name,
        }
        operation = self._operations.start(f"{at.path}/operations/{name.rpartition('/')[2]}", response)
        return json_response({"name": operation.name})

    def add(self, store: str, display_name: str, mime: str, size: int, metadata: Json) -> str:
        """Adds a document; returns its name."""
        given: Json = {
            "displayName": display_name,
            "mimeType": mime,
            "sizeBytes": str(size),
            "state": "STATE_ACTIVE",
            "customMetadata": field(metadata, "customMetadata"),
        }
        known = {name: value for name, value in given.items() if value}
        return self.documents.make(f"{store}/documents", known, f"{random_id(12)}-{random_id(12)}").name
