"""The OpenAI-style paths except chat completions and videos: models, embeddings, images, batches.

An id may have Google's prefix: `models/gemini-2.5-flash`. Embeddings are numbers or, as OpenAI's SDKs request
them, base64 of little-endian float32. The input of a batch is a file of requests that was uploaded with
Google's Files API.
"""

from __future__ import annotations

import base64
import struct
from typing import cast

from gatekeeper.sandbox.batches import Batch, Batches, BatchRequest, BatchResult
from gatekeeper.sandbox.calls import Calls, apply_fault
from gatekeeper.sandbox.content import KeptBytes
from gatekeeper.sandbox.embeddings import EMBEDDING_SECONDS, vector
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.files import Files
from gatekeeper.sandbox.google_json import Json, decode, message, parse_int, repeated, sorted_json, text
from gatekeeper.sandbox.http import HttpResponse, Request, response
from gatekeeper.sandbox.model_output import png
from gatekeeper.sandbox.models import TABLE, Model, get_model, resolve_model
from gatekeeper.sandbox.openai_chat import COMPACT_TYPE, VERSION, ChatCompletions, openai_error
from gatekeeper.sandbox.routing import Parameters, Respond, Route
from gatekeeper.sandbox.store import Clock
from gatekeeper.sandbox.token_counts import text_tokens

MAX_IMAGES = 10
BATCH_STATUSES = {
    "PENDING": "validating",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "CANCELLED": "cancelled",
}
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


class OpenAi:
    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock = clock
        self.chat = ChatCompletions(clock, calls)

    def routes(self) -> tuple[Route, ...]:
        return (
            openai_route("POST", "chat/completions", self.chat.create),
            openai_route("POST", "embeddings", embed),
            openai_route("POST", "images/generations", self.images),
            openai_route("GET", "models", list_models),
            openai_route("GET", "models/{id}", read_model),
            openai_route("GET", "models/models/{id}", read_model),
        )

    def images(self, request: Request, _at: Parameters) -> HttpResponse:
        body = request.json()
        resolve_model(text(body.get("model")).removeprefix("models/"), VERSION, "predict")
        prompt, count = text(body.get("prompt")), parse_int(body.get("n") or 1)
        if count is None or not 1 <= count <= MAX_IMAGES:
            raise invalid(f"n must be between 1 and {MAX_IMAGES}.")
        raise_for_command(parse_command(prompt), text(body.get("model")), VERSION, "predict")
        made = [{"b64_json": base64.b64encode(png(f"{prompt} {at}")).decode()} for at in range(count)]
        return compact({"created": int(self._clock()), "data": made})


def openai_route(method: str, path: str, respond: Respond) -> Route:
    return Route(method, f"/{{v}}/openai/{path}", respond, render_error=openai_error)


def compact(document: Json, seconds: float = 0) -> HttpResponse:
    return response(200, COMPACT_TYPE, sorted_json(document), seconds=seconds)


def embed(request: Request, _at: Parameters) -> HttpResponse:
    body = request.json()
    # The last of several texts, like in the contents of a prompt.
    command = parse_command(text(([*repeated(body.get("input"))] or [""])[-1]))
    return apply_fault(command, compact(embeddings(body), EMBEDDING_SECONDS))


def list_models(_request: Request, _at: Parameters) -> HttpResponse:
    return compact({"object": "list", "data": [model_object(model) for model in TABLE]})


def read_model(_request: Request, at: Parameters) -> HttpResponse:
    return compact(model_object(get_model(at.name, VERSION)))


def model_object(model: Model) -> Json:
    names: Json = {"id": f"models/{model.id}", "display_name": model.display_name}
    return {**names, "object": "model", "owned_by": "google"}


def embeddings(body: Json) -> Json:
    """Raises GoogleError."""
    asked = text(body.get("model"))
    model = resolve_model(asked.removeprefix("models/"), VERSION, "embedContent")
    written = [text(item) for item in repeated(body.get("input"))]
    if not written or not all(written):
        raise invalid("input must be a text or a list of texts.")
    raise_for_command(parse_command(written[-1]), model.id, VERSION, "embedContent")
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": at, "embedding": encoded(item, body, model, as_base64=as_base64)}
        for at, item in enumerate(written)
    ]
    document: Json = {"object": "list", "data": data, "model": asked}
    if model.reports_usage:
        tokens = sum(map(text_tokens, written))
        document["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return document


def encoded(written: str, body: Json, model: Model, *, as_base64: bool) -> object:
    asked: Json = {"content": {"parts": [{"text": written}]}, "outputDimensionality": body.get("dimensions")}
    values = cast("list[float]", vector(asked, model)["values"])
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode() if as_base64 else values


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
        # The input file in place of a display name, which this format does not have.
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
        "status": BATCH_STATUSES[batch.state],
        "created_at": int(batch.created),
        "request_counts": {"total": batch.count, "completed": completed, "failed": batch.failed},
    }
    if batch.output:
        document["output_file_id"] = batch.output["responsesFile"]
    return document
