"""Images as Imagen makes them (`predict`, https://ai.google.dev/gemini-api/docs/imagen): small PNG files
whose colour is that of the prompt. A `predict` response has no usage."""

from __future__ import annotations

import base64

from gatekeeper.sandbox.calls import apply_fault
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.google_json import Json, field, message, messages, parse_int, text
from gatekeeper.sandbox.media_output import png
from gatekeeper.sandbox.models import resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.wire import HttpResponse, Request, json_response

MAX_SAMPLES = 4
IMAGE_SECONDS = 2.0


def predict(request: Request, at: Parameters) -> HttpResponse:
    resolve_model(at.name, at.version, "predict")
    body = request.json()
    instances = messages(field(body, "instances"))
    prompt = text(field(instances[0], "prompt")) if instances else ""
    # 0 is how proto3 reads a number that is left out.
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


IMAGE_ROUTES = (Route("POST", "/{v}/models/{id}:predict", predict),)
