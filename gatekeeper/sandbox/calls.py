"""Calls on a model: generate, stream, count, embed. Each takes what came and gives what goes.

Responses travel at once, as Server-Sent Events, or as one JSON array that grows. Events are `data: {json}`
and an empty line, with CRLF; elements of the array are parted by LF, comma, CRLF; both as recorded. The pace
is a person's: a first chunk after 200 to 600 ms, then one every 30 to 120 ms.

Embeddings (https://ai.google.dev/api/embeddings) behave: of length one, the same for the same text, and
nearer to each other the more words two texts share (feature hashing,
https://en.wikipedia.org/wiki/Feature_hashing).
"""

from __future__ import annotations

import math
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from gatekeeper.sandbox.errors import OVERLOADED, ApiError, Command, command, invalid, refuse
from gatekeeper.sandbox.generate import Call, Response, read_config, respond
from gatekeeper.sandbox.models import Find, Model, Tally, answering, details, of_content, tally
from gatekeeper.sandbox.resources import Caches
from gatekeeper.sandbox.texts import dice
from gatekeeper.sandbox.wire import (
    GOOGLE_HEADERS,
    JSON_TYPE,
    Answer,
    Headers,
    Json,
    Piece,
    Request,
    field,
    indented,
    json_answer,
    message,
    messages,
    numbered,
    one_line,
    text,
    timing,
    whole,
)

ROLES = ("", "user", "model", "function")
# Characters of the user's text: enough to choose an answer by, however long the prompt is.
MOST_CHARACTERS_READ = 2_000


@dataclass(frozen=True, slots=True)
class Calls:
    """`caches` and `find` are what a request may refer to: cached contents, and files by their URI."""

    caches: Caches
    find: Find

    def generate(self, request: Request, version: str, model: str) -> Answer:
        call = self.call(request, version, model)
        # No stream has begun, so the error is the whole answer.
        if call.order is Command.ERROR:
            raise ApiError(*OVERLOADED)
        response = respond(call)
        answer = at_once(response.at_once(), pace(response), request, call.config.tier)
        return disturbed(call.order, answer)

    def stream(self, request: Request, version: str, model: str) -> Answer:
        call = self.call(request, version, model)
        response = respond(call)
        answer = streamed(response.chunks(), pace(response), request, call.config.tier, call.order)
        return disturbed(call.order, answer)

    def call(self, request: Request, version: str, name: str) -> Call:
        """The generate request, read and checked. Raises ApiError."""
        model = answering(name, version, "generateContent")
        body = request.json()
        contents = checked(body)
        ask = last_ask(contents)
        order = command(ask)
        refuse(order, name, version, "generateContent")
        cached = self.cached(body, model)
        prompt = tally(body, self.find) + cached
        if prompt.total() > model.inputs:
            raise invalid(
                f"The input token count exceeds the maximum number of tokens allowed ({model.inputs})."
            )
        return Call(model, body, read_config(body), ask, prompt, cached, secrets.token_urlsafe(17), order)

    def cached(self, body: Json, model: Model) -> Tally:
        """Tokens of the cached content that `body` builds on. Raises ApiError if the two do not fit."""
        name = text(field(body, "cachedContent"))
        if not name:
            return Tally()
        cache = self.caches.held(name)
        if cache.model != model.id:
            raise invalid(
                f"Model used by GenerateContent request (models/{model.id}) and CachedContent "
                f"(models/{cache.model}) has to be the same."
            )
        if any(field(body, part) for part in ("systemInstruction", "tools", "toolConfig")):
            raise invalid(
                "CachedContent can not be used with GenerateContent request setting "
                "system_instruction, tools or tool_config."
            )
        return cache.tokens

    def count(self, request: Request, version: str, model: str) -> Answer:
        """countTokens takes contents, or a whole generate request, whose prompt it then counts."""
        known = answering(model, version, "countTokens")
        body = request.json()
        body = message(field(body, "generateContentRequest")) or body
        order = command(last_ask(checked(body)))
        refuse(order, model, version, "countTokens")
        cached = self.cached(body, known)
        total = tally(body, self.find) + cached
        counts: Json = {
            "totalTokens": total.total(),
            "promptTokensDetails": details(total),
            "cachedContentTokenCount": cached.total(),
        }
        answer = json_answer({name: value for name, value in counts.items() if value})
        return disturbed(order, answer)


def pace(response: Response) -> list[float]:
    """Seconds before each chunk, the same for the same prompt."""
    call = response.call
    return waits(response.length, dice(call.ask, "pace"), call.order)


def checked(body: Json) -> list[Json]:
    """The contents. Raises ApiError (400) for none, for an unknown role and for one without parts."""
    contents = messages(field(body, "contents"))
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if text(field(content, "role")) not in ROLES:
            raise invalid("Please use a valid role: user, model.")
        if not messages(field(content, "parts")):
            place = f"GenerateContentRequest.contents[{at}].parts"
            raise invalid(f"* {place}: contents.parts must not be empty.\n")
    return contents


def last_ask(contents: list[Json]) -> str:
    """The last text that the user said, less what is too long to read."""
    for content in reversed(contents):
        # Google takes a content without a role for the user's.
        if field(content, "role") in (None, "", "user"):
            said = [text(part["text"]) for part in messages(field(content, "parts")) if "text" in part]
            if said:
                return said[-1][:MOST_CHARACTERS_READ]
    return ""


SLOW_SECONDS = 10.0
LONG_SECONDS = 60.0
CHUNKS_BEFORE_ERROR = 3

EVENT_HEADERS: Headers = ((b"content-type", b"text/event-stream"), (b"content-disposition", b"attachment"))
FIRST_SECONDS = (0.2, 0.6)
NEXT_SECONDS = (0.03, 0.12)
# An answer at once comes after this part of the time that its stream takes
SHARE_AT_ONCE = 1 / 3


def waits(chunks: int, chance: Random, order: Command | None) -> list[float]:
    """Seconds before each of so many chunks."""
    seconds = [chance.uniform(*FIRST_SECONDS), *(chance.uniform(*NEXT_SECONDS) for _ in range(chunks - 1))]
    stretch = LONG_SECONDS / sum(seconds) if order is Command.LONG else 1
    return [second * stretch for second in seconds]


def at_once(response: Json, seconds: Sequence[float], request: Request, tier: str) -> Answer:
    document = numbered(response) if request.integers else response
    return json_answer(document, *tier_header(tier), seconds=sum(seconds) * SHARE_AT_ONCE)


def streamed(
    chunks: Sequence[Json], seconds: Sequence[float], request: Request, tier: str, order: Command | None
) -> Answer:
    documents = [numbered(chunk) if request.integers else chunk for chunk in chunks]
    if order is Command.ERROR:
        documents = [
            # At least the last chunk is missing: a stream that had come to its end would not have failed.
            *documents[: min(CHUNKS_BEFORE_ERROR, len(chunks) - 1)],
            ApiError(*OVERLOADED).document(),
        ]
    events = request.form == "sse"
    pieces = sse(documents, seconds) if events else array(documents, seconds)
    about = EVENT_HEADERS if events else ((b"content-type", JSON_TYPE),)
    return Answer(200, (*about, *tier_header(tier), *timing(seconds[0]), *GOOGLE_HEADERS), pieces)


def sse(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    lines = (b"data: " + one_line(document) + b"\r\n\r\n" for document in documents)
    # Not strict: a stream that fails has fewer documents than it would have had.
    return list(zip(seconds, lines, strict=False))


def array(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    elements = [b"\n,\r\n" + indented(document) for document in documents]
    # The first one follows the bracket, and no comma.
    elements[0] = b"[" + elements[0].removeprefix(b"\n,\r\n")
    return [*zip(seconds, elements, strict=False), (0.0, b"\n]")]


def disturbed(order: Command | None, answer: Answer) -> Answer:
    """`answer` as `!slow` or `!cut` leave it."""
    if order is Command.SLOW:
        return answer.delayed(SLOW_SECONDS)
    return answer.broken() if order is Command.CUT else answer


def tier_header(tier: str) -> Headers:
    return ((b"x-gemini-service-tier", tier.encode()),)


PLACES_PER_WORD = 16
NOISE = 0.05
# Of a text to embed: more change little and cost time.
MOST_WORDS = 2_000
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
    order = command(last_ask(contents))
    refuse(order, model.id, version, "embedContent")
    total = Tally()
    for item in contents:
        total += of_content(item, find)
    usage: Json = {"promptTokenCount": total.total(), "promptTokenDetails": details(total)}
    reported: Json = {"usageMetadata": usage} if model.reports_embedding and total else {}
    return disturbed(order, json_answer(result | reported, seconds=SECONDS))


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
            # The sign comes from another bit than the place, so that words at one place do not add up.
            numbers[mixed % dimensions] += 1 if mixed & 0x8000_0000 else -1
    # A vector of nothing stays one: it has no direction.
    length = math.hypot(*numbers) or 1.0
    return [round(number / length, 9) for number in numbers]
