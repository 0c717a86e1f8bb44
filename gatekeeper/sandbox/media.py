"""Images like Imagen's and videos like Veo's.

`predict` returns small PNG files whose colour depends on the prompt, without usage
(https://ai.google.dev/gemini-api/docs/imagen). `predictLongRunning` starts an operation that ends with the
URL of a file; also in OpenAI's format. The file is not a video, but has as many bytes as a video of that
length.
"""

from __future__ import annotations

import base64
import re

from gatekeeper.sandbox.calls import apply_fault
from gatekeeper.sandbox.content import GeneratedBytes
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.files import API_BASE, Files
from gatekeeper.sandbox.google_json import Json, field, message, messages, parse_int, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.model_output import png
from gatekeeper.sandbox.models import resolve_model
from gatekeeper.sandbox.openai import compact, openai_route
from gatekeeper.sandbox.openai_chat import VERSION
from gatekeeper.sandbox.operations import TTL, Operations
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import random_id

MAX_SAMPLES = 4  # images or videos per request
IMAGE_SECONDS = 2.0
BYTES_PER_SECOND = 250_000
DEFAULT_SECONDS, MAX_SECONDS = 8, 60
RESPONSE_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"


def predict_images(request: Request, at: Parameters) -> HttpResponse:
    resolve_model(at.name, at.version, "predict")
    body = request.json()
    instances = messages(field(body, "instances"))
    prompt = text(field(instances[0], "prompt")) if instances else ""
    # proto3 reads an omitted number as 0.
    count = parse_int(field(message(field(body, "parameters")), "sampleCount") or 1)
    if not prompt:
        raise invalid("* PredictRequest.instances: prompt is not specified\n")
    if count is None or not 1 <= count <= MAX_SAMPLES:
        raise invalid(f"sampleCount must be between 1 and {MAX_SAMPLES}.")
    command = parse_command(prompt)
    raise_for_command(command, at.name, at.version, "predict")
    predictions: list[Json] = [
        {"mimeType": "image/png", "bytesBase64Encoded": base64.b64encode(png(f"{prompt} {number}")).decode()}
        for number in range(count)
    ]
    return apply_fault(command, json_response({"predictions": predictions}, seconds=IMAGE_SECONDS))


IMAGE_ROUTES = (Route("POST", "/{v}/models/{id}:predict", predict_images),)


class Videos:
    def __init__(self, files: Files, operations: Operations) -> None:
        self._files = files
        self._operations = operations

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/models/{id}:predictLongRunning", self.predict),
            openai_route("POST", "videos", self.create),
            openai_route("GET", "videos/{id}", self.read),
        )

    def predict(self, request: Request, at: Parameters) -> HttpResponse:
        resolve_model(at.name, at.version, "predictLongRunning")
        body = request.json()
        instances, parameters = messages(field(body, "instances")), message(field(body, "parameters"))
        prompt = text(field(instances[0], "prompt")) if instances else ""
        seconds = parse_int(field(parameters, "durationSeconds") or DEFAULT_SECONDS)
        count = parse_int(field(parameters, "sampleCount") or 1)
        name = self.start(at, prompt, seconds, count)
        return json_response({"name": name})

    def start(self, at: Parameters, prompt: str, seconds: int | None, count: int | None = 1) -> str:
        """Starts an operation; returns its name. Raises GoogleError."""
        if not prompt:
            raise invalid("* PredictLongRunningRequest.instances: prompt is not specified\n")
        if seconds is None or not 1 <= seconds <= MAX_SECONDS:
            raise invalid(f"durationSeconds must be between 1 and {MAX_SECONDS}.")
        if count is None or not 1 <= count <= MAX_SAMPLES:
            raise invalid(f"sampleCount must be between 1 and {MAX_SAMPLES}.")
        raise_for_command(parse_command(prompt), at.name, at.version, "predictLongRunning")
        content = GeneratedBytes(seconds * BYTES_PER_SECOND)
        files = [self._files.generate("video/mp4", content) for _ in range(count)]
        samples = [{"video": {"uri": f"{API_BASE}{file.name}:download?alt=media"}} for file in files]
        response: Json = {"@type": RESPONSE_TYPE, "generateVideoResponse": {"generatedSamples": samples}}
        return self._operations.start(f"models/{at.name}/operations/{random_id(12)}", response).name

    def create(self, request: Request, _at: Parameters) -> HttpResponse:
        """OpenAI's SDKs send a form."""
        is_form = request.headers.get("content-type", "").startswith("multipart/form-data; boundary=")
        body = form_fields(request) if is_form else request.json()
        model = text(body.get("model")).removeprefix("models/")
        resolve_model(model, VERSION, "predictLongRunning")
        seconds = parse_int(body.get("seconds") or DEFAULT_SECONDS)
        name = self.start(Parameters(VERSION, (model,), f"models/{model}"), text(body.get("prompt")), seconds)
        return compact(self.video(name))

    def read(self, _request: Request, at: Parameters) -> HttpResponse:
        # The operation's id has no underscore (`random_id`): the last one separates them.
        model, _, identity = at.name.rpartition("_")
        operation = self._operations.require(f"models/{model}/operations/{identity}")
        # The state at this GET; the next one gets the next state.
        document = self.video(operation.name)
        operation.polls_until_done = max(0, operation.polls_until_done - 1)
        return compact(document)

    def video(self, name: str) -> Json:
        """The operation as OpenAI's video object."""
        operation = self._operations.require(name)
        _, model, _, identity = name.split("/")
        document: Json = {
            "id": f"{model}_{identity}",
            "object": "video",
            "created_at": int(operation.expires - TTL),
            "model": model,
            "status": "processing" if operation.polls_until_done else "completed",
        }
        if operation.polls_until_done:
            return document
        samples = messages(message(operation.response["generateVideoResponse"])["generatedSamples"])
        return document | {"url": message(samples[0]["video"])["uri"]}


def form_fields(request: Request) -> Json:
    """The fields of a multipart/form-data body (RFC 7578)."""
    boundary = request.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    fields: Json = {}
    for part in request.body().split(b"--" + boundary):
        head, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'name="([^"]+)"', head):
            fields[name[1].decode(errors="replace")] = value.removesuffix(b"\r\n").decode(errors="replace")
    return fields
