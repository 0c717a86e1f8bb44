"""Images as Imagen makes them (`predict`, https://ai.google.dev/gemini-api/docs/imagen): small PNG files
whose colour is that of the prompt. A `predict` response has no usage."""

from __future__ import annotations

import base64
import struct
import zlib

from gatekeeper.sandbox.calls import apply_fault
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.google_json import Json, field, message, messages, parse_int, text
from gatekeeper.sandbox.models import resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.wire import HttpResponse, Request, json_response

SIDE = 16  # pixels
MAX_SAMPLES = 4
IMAGE_SECONDS = 2.0


def png(prompt: str) -> bytes:
    """An image in one colour."""
    colour = zlib.crc32(prompt.encode()).to_bytes(4, "big")[:3]
    # Eight bits a channel, red, green and blue; each row begins with its filter, 0 for none.
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * SIDE) * SIDE
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def predict(request: Request, at: Parameters) -> HttpResponse:
    resolve_model(at.name, at.version, "predict")
    body = request.json()
    instances = messages(field(body, "instances"))
    prompt = text(field(instances[0], "prompt")) if instances else ""
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
