"""The paths in OpenAI's form but for chat completions: models, embeddings, images.

An id may have Google's prefix: `models/gemini-2.5-flash`. Embeddings come as numbers or, as OpenAI's SDKs ask
for them, as base64 of little-endian float32.
"""

from __future__ import annotations

import base64
import struct
from typing import cast

from gatekeeper.sandbox.calls import Calls, apply_fault
from gatekeeper.sandbox.embeddings import EMBEDDING_SECONDS, vector
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.google_json import Json, parse_int, repeated, sorted_json, text
from gatekeeper.sandbox.media_output import png
from gatekeeper.sandbox.models import TABLE, Model, get_model, resolve_model
from gatekeeper.sandbox.openai_chat import COMPACT_TYPE, VERSION, ChatCompletions, openai_error
from gatekeeper.sandbox.routing import Parameters, Respond, Route
from gatekeeper.sandbox.store import Clock
from gatekeeper.sandbox.token_counts import text_tokens
from gatekeeper.sandbox.wire import HttpResponse, Request, response

MAX_IMAGES = 10


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
    # Of several texts the last one, as of the contents of a prompt.
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
