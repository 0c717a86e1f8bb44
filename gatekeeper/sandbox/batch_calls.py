"""`batchGenerateContent` and `asyncBatchEmbedContent`: batches in Google's own format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gatekeeper.sandbox.batches import Batch, Batches, BatchRequest, BatchResult, batch_resource
from gatekeeper.sandbox.calls import Calls, respond_whole
from gatekeeper.sandbox.content import KeptBytes
from gatekeeper.sandbox.embeddings import embed_content
from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.google_json import Json, decode, field, message, messages, one_line, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.models import resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import page

BATCH = "/{v}/batches/{id}"
JSON_LINES = "application/jsonl"


class BatchCalls:
    def __init__(self, batches: Batches, calls: Calls, files: Files) -> None:
        self._batches = batches
        self._calls = calls
        self._files = files

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/models/{id}:batchGenerateContent", self.generate),
            Route("POST", "/{v}/models/{id}:asyncBatchEmbedContent", self.embed),
            Route("GET", "/{v}/batches", self.list),
            Route("GET", BATCH, self.get),
            Route("DELETE", BATCH, self.delete),
            Route("POST", f"{BATCH}:cancel", self.cancel),
            Route("PATCH", f"{BATCH}:updateGenerateContentBatch", self.update),
            Route("PATCH", f"{BATCH}:updateEmbedContentBatch", self.update),
        )

    def generate(self, request: Request, at: Parameters) -> HttpResponse:
        resolve_model(at.name, at.version, "batchGenerateContent")

        def run(body: Json) -> Json:
            return respond_whole(self._calls.call(body, at.version, at.name)).unary()

        return self.start("GenerateContent", request, at, run)

    def embed(self, request: Request, at: Parameters) -> HttpResponse:
        model = resolve_model(at.name, at.version, "asyncBatchEmbedContent")
        # Like embedContent, but with other field names: results of a batch have counts instead of a usage.
        run = partial(embed_content, model=model, find_file=self._files.find)
        return self.start("EmbedContent", request, at, run)

    def start(self, kind: str, request: Request, at: Parameters, run: Callable[[Json], Json]) -> HttpResponse:
        body = request.json()
        described = message(field(body, "batch")) or body
        given = message(field(described, "inputConfig"))
        file = text(field(given, "fileName"))
        if file:
            data = self._files.read(file)
            # An empty line at the end is common, and not a request.
            requests = [file_request(line) for line in data.splitlines() if line.strip()]
            size, write = len(data), self.write_file
        else:
            inline = messages(field(message(field(given, "requests")), "requests"))
            requests = [inline_request(item) for item in inline]
            size, write = request.content.size, write_inline
        shown = text(field(described, "displayName"))
        batch = self._batches.start(kind, at.name, shown, requests, run, write, size)
        return json_response(batch_resource(batch))

    def write_file(self, results: list[BatchResult]) -> Json:
        lines = [
            result.label | {"error" if result.failed else "response": result.answer} for result in results
        ]
        data = b"".join(one_line(line) + b"\n" for line in lines)
        return {"responsesFile": self._files.generate(JSON_LINES, KeptBytes(data)).name}

    def get(self, _request: Request, at: Parameters) -> HttpResponse:
        return json_response(batch_resource(self._batches.poll(at.path)))

    def list(self, request: Request, _at: Parameters) -> HttpResponse:
        found: list[Batch] = self._batches.all()
        some, more = page(found, request.query.get("pageSize"), request.query.get("pageToken"))
        listed: Json = {"operations": [batch_resource(batch) for batch in some]} if some else {}
        return json_response(listed | more)

    def cancel(self, _request: Request, at: Parameters) -> HttpResponse:
        self._batches.cancel(at.path)
        return json_response({})

    def delete(self, _request: Request, at: Parameters) -> HttpResponse:
        self._batches.drop(at.path)
        return json_response({})

    def update(self, request: Request, at: Parameters) -> HttpResponse:
        batch = self._batches.require(at.path)
        batch.display_name = text(field(request.json(), "displayName")) or batch.display_name
        return json_response(batch_resource(batch))


def inline_request(item: Json) -> BatchRequest:
    metadata = field(item, "metadata")
    return BatchRequest(message(field(item, "request")), {"metadata": metadata} if metadata else {})


def file_request(line: bytes) -> BatchRequest:
    """A line of an input file. Raises GoogleError (400)."""
    try:
        item = message(decode(line))
    except (ValueError, RecursionError) as error:
        raise invalid("The input file must have one JSON object a line.") from error
    return BatchRequest(message(field(item, "request")), {"key": item.get("key")})


def write_inline(results: list[BatchResult]) -> Json:
    responses: list[Json] = [
        {"error" if result.failed else "response": result.answer, **result.label} for result in results
    ]
    return {"inlinedResponses": {"inlinedResponses": responses}}
