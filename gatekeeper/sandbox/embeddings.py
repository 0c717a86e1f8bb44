"""embedContent and batchEmbedContents.

Embeddings (https://ai.google.dev/api/embeddings) have realistic properties: unit length, the same for the
same text, and the closer to each other the more words two texts have in common (feature hashing,
https://en.wikipedia.org/wiki/Feature_hashing).
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass

from gatekeeper.sandbox.calls import apply_fault
from gatekeeper.sandbox.errors import invalid, parse_command, raise_for_command
from gatekeeper.sandbox.google_json import Json, field, message, messages, one_line, parse_int, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.model_output import last_user_text, seeded_random
from gatekeeper.sandbox.models import Model, resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.token_counts import FileLookup, TokenCounts, content_tokens, token_details

PLACES_PER_WORD = 16
NOISE = 0.05
# Words of a text that are embedded: further words change little and take time.
MAX_WORDS = 2_000
MAX_DIMENSIONS = 3_072
EMBEDDING_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Embeddings:
    find_file: FileLookup

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/models/{id}:embedContent", self.embed),
            Route("POST", "/{v}/models/{id}:batchEmbedContents", self.embed_batch),
        )

    def embed(self, request: Request, at: Parameters) -> HttpResponse:
        model = resolve_model(at.name, at.version, "embedContent")
        body = request.json()
        return self.response({"embedding": vector(body, model)}, [body], model, at.version)

    def embed_batch(self, request: Request, at: Parameters) -> HttpResponse:
        model = resolve_model(at.name, at.version, "embedContent")
        bodies = messages(field(request.json(), "requests"))
        if not bodies:
            raise invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n")
        found: Json = {"embeddings": [vector(body, model) for body in bodies]}
        return self.response(found, bodies, model, at.version)

    def response(self, result: Json, bodies: list[Json], model: Model, version: str) -> HttpResponse:
        """With usage if the model reports it; its field names differ from a generate call's
        (promptTokenDetails)."""
        contents = [content(body) for body in bodies]
        command = parse_command(last_user_text(contents))
        raise_for_command(command, model.id, version, "embedContent")
        total = TokenCounts()
        for item in contents:
            total += content_tokens(item, self.find_file)
        usage: Json = {"promptTokenCount": total.total(), "promptTokenDetails": token_details(total)}
        reported: Json = {"usageMetadata": usage} if model.reports_usage and total else {}
        return apply_fault(command, json_response(result | reported, seconds=EMBEDDING_SECONDS))


def embed_content(body: Json, *, model: Model, find_file: FileLookup) -> Json:
    """One request of a batch. Raises GoogleError."""
    asked = content(body)
    command = parse_command(last_user_text([asked]))
    raise_for_command(command, model.id, "v1beta", "embedContent")
    tokens = content_tokens(asked, find_file).total()
    return {"embedding": vector(body, model), "tokenCount": str(tokens)}


def content(body: Json) -> Json:
    return message(field(body, "content"))


def vector(body: Json, model: Model) -> Json:
    """Raises GoogleError (400) for an empty content and for an unsupported length."""
    length = parse_int(field(body, "outputDimensionality") or model.dimensions)
    if length is None or not 1 <= length <= MAX_DIMENSIONS:
        raise invalid(f"output_dimensionality must be between 1 and {MAX_DIMENSIONS}.")
    parts = messages(field(content(body), "parts"))
    if not parts:
        raise invalid("* EmbedContentRequest.content: contents is not specified\n")
    written = " ".join(text(part.get("text")) or one_line(part).decode() for part in parts)
    return {"values": embedding(written, length)}


def embedding(written: str, dimensions: int) -> list[float]:
    rng = seeded_random(written)
    numbers = [rng.uniform(-NOISE, NOISE) for _ in range(dimensions)]
    for word in re.findall(r"\w+", written.lower())[:MAX_WORDS]:
        for place in range(PLACES_PER_WORD):
            mixed = zlib.crc32(f"{place} {word}".encode())
            # The sign comes from another bit than the position, so that collisions may cancel out.
            numbers[mixed % dimensions] += 1 if mixed & 0x8000_0000 else -1
    # A zero vector cannot be normalized.
    length = math.hypot(*numbers) or 1.0
    return [round(number / length, 9) for number in numbers]
