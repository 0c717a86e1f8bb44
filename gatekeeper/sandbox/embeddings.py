"""embedContent and batchEmbedContents (https://ai.google.dev/api/embeddings).

The vectors behave: of length one, the same for the same text, and nearer to each other the more words two
texts share (feature hashing, https://en.wikipedia.org/wiki/Feature_hashing).
"""

from __future__ import annotations

import math
import re
import zlib

from gatekeeper.sandbox import faults
from gatekeeper.sandbox.calls import last_ask
from gatekeeper.sandbox.dice import dice
from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.exchange import Answer, Request, json_answer
from gatekeeper.sandbox.models import Model, answering
from gatekeeper.sandbox.tokens import Find, Tally, details, of_content
from gatekeeper.sandbox.wire import Json, field, message, messages, one_line, text, whole

PLACES_PER_WORD = 16
NOISE = 0.05
MOST_WORDS = 2_000  # more change little and cost time
MOST_DIMENSIONS = 3_072
SECONDS = 0.15


def embed(request: Request, version: str, name: str, find: Find) -> Answer:
    model = answering(name, version, "embedContent")
    wish = request.json()
    return answered({"embedding": vector(wish, model)}, [wish], model, version, find)


def embed_batch(request: Request, version: str, name: str, find: Find) -> Answer:
    model = answering(name, version, "embedContent")
    wishes = messages(field(request.json(), "requests"))
    if not wishes:
        raise invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n")
    return answered({"embeddings": [vector(wish, model) for wish in wishes]}, wishes, model, version, find)


def answered(result: Json, wishes: list[Json], model: Model, version: str, find: Find) -> Answer:
    """With usage where the model reports it, which is spelt unlike a generate call's (promptTokenDetails)."""
    contents = [content(wish) for wish in wishes]
    order = faults.command(last_ask(contents))
    faults.refuse(order, model.id, version, "embedContent")
    total = Tally()
    for item in contents:
        total += of_content(item, find)
    usage: Json = {"promptTokenCount": total.total(), "promptTokenDetails": details(total)}
    reported: Json = {"usageMetadata": usage} if model.reports_embedding and total else {}
    return faults.disturbed(order, json_answer(result | reported, seconds=SECONDS))


def content(wish: Json) -> Json:
    return message(field(wish, "content"))


def vector(wish: Json, model: Model) -> Json:
    """Raises ApiError (400) for nothing to embed and for a length that there is not."""
    length = whole(field(wish, "outputDimensionality") or model.dimensions)
    if length is None or not 1 <= length <= MOST_DIMENSIONS:
        raise invalid(f"output_dimensionality must be between 1 and {MOST_DIMENSIONS}.")
    parts = messages(field(content(wish), "parts"))
    if not parts:
        raise invalid("* EmbedContentRequest.content: contents is not specified\n")
    written = " ".join(text(part.get("text")) or one_line(part).decode() for part in parts)
    return {"values": embedding(written, length)}


def embedding(written: str, dimensions: int) -> list[float]:
    chance = dice(written)
    numbers = [chance.uniform(-NOISE, NOISE) for _ in range(dimensions)]
    for word in re.findall(r"\w+", written.lower())[:MOST_WORDS]:
        for place in range(PLACES_PER_WORD):
            mixed = zlib.crc32(f"{place} {word}".encode())
            numbers[mixed % dimensions] += 1 if mixed & 0x8000_0000 else -1
    length = math.hypot(*numbers) or 1.0
    return [round(number / length, 9) for number in numbers]
