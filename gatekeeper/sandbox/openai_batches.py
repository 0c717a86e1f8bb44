"""Batches in OpenAI's form: the input is a file of requests, uploaded by Google's Files API."""

from __future__ import annotations

from gatekeeper.sandbox.batches import Batch, Batches, BatchRequest, BatchResult
from gatekeeper.sandbox.content import KeptBytes
from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.google_json import Json, decode, message, sorted_json, text
from gatekeeper.sandbox.openai import OpenAi, compact, embeddings, openai_route
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.wire import HttpResponse, Request

STATUSES = {
    "PENDING": "validating",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "CANCELLED": "cancelled",
}
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


class OpenAiBatches:
    def __init__(self, batches: Batches, openai: OpenAi, files: Files) -> None:
        self._batches = batches
        self._openai = openai
        self._files = files

    def routes(self) -> tuple[Route, ...]:
        return (
            openai_route("POST", "batches", self.create),
            openai_route("GET", "batches/{id}", self.read),
            openai_route("GET", "batches/batches/{id}", self.read),
        )

    def create(self, request: Request, _at: Parameters) -> HttpResponse:
        body = request.json()
        file, endpoint = text(body.get("input_file_id")), text(body.get("endpoint"))
        if endpoint not in (CHAT, EMBEDDINGS):
            raise invalid(f"endpoint must be {CHAT} or {EMBEDDINGS}.")
        data = self._files.read(file)
        requests = [parse_line(line) for line in data.splitlines() if line.strip()]
        run = self._openai.chat.answer if endpoint == CHAT else embeddings
        # The input file in place of a display name, which this form does not have.
        batch = self._batches.start(endpoint, "", file, requests, run, self.write, len(data))
        return compact(batch_object(batch))

    def write(self, results: list[BatchResult]) -> Json:
        lines = [
            {
                "id": f"batch_req_{at}",
                **result.label,
                "response": {"status_code": 200, "body": result.answer} if not result.failed else None,
                "error": result.answer if result.failed else None,
            }
            for at, result in enumerate(results)
        ]
        data = b"".join(sorted_json(line) + b"\n" for line in lines)
        return {"responsesFile": self._files.generate("application/jsonl", KeptBytes(data)).name}

    def read(self, _request: Request, at: Parameters) -> HttpResponse:
        return compact(batch_object(self._batches.poll(f"batches/{at.name}")))


def parse_line(line: bytes) -> BatchRequest:
    """Raises GoogleError (400)."""
    try:
        item = message(decode(line))
    except (ValueError, RecursionError) as error:
        raise invalid("The input file must have one JSON object a line.") from error
    return BatchRequest(message(item.get("body")), {"custom_id": item.get("custom_id")})


def batch_object(batch: Batch) -> Json:
    completed = batch.count - batch.failed if batch.output else 0
    document: Json = {
        "id": batch.name,
        "object": "batch",
        "endpoint": batch.kind,
        "input_file_id": batch.display_name,
        "completion_window": "24h",
        "status": STATUSES[batch.state],
        "created_at": int(batch.created),
        "request_counts": {"total": batch.count, "completed": completed, "failed": batch.failed},
    }
    if batch.output:
        document["output_file_id"] = batch.output["responsesFile"]
    return document
