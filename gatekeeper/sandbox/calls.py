"""Calls on a model: generate, stream, count. Each is a function from request to response.

Responses are unary, Server-Sent Events, or one JSON array that grows. Events are `data: {json}` and an empty
line, with CRLF; elements of the array are separated by LF, comma, CRLF; both as recorded. The delays are
realistic: a first chunk after 200 to 600 ms, then one every 30 to 120 ms.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from gatekeeper.sandbox.caches import CachedContents
from gatekeeper.sandbox.errors import (
    OVERLOADED,
    Command,
    GoogleError,
    invalid,
    parse_command,
    raise_for_command,
)
from gatekeeper.sandbox.generate import Call, GenerateResponse, respond
from gatekeeper.sandbox.generation_config import read_config
from gatekeeper.sandbox.google_json import (
    Json,
    enums_as_numbers,
    field,
    indented,
    message,
    messages,
    one_line,
    text,
)
from gatekeeper.sandbox.http import (
    GOOGLE_HEADERS,
    JSON_TYPE,
    Headers,
    HttpResponse,
    Piece,
    Request,
    json_response,
    timing_header,
)
from gatekeeper.sandbox.long_decode import read_hop
from gatekeeper.sandbox.model_output import last_user_text, seeded_random
from gatekeeper.sandbox.models import Model, resolve_model
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.token_counts import FileLookup, TokenCounts, count_tokens, token_details

ROLES = ("", "user", "model", "function")


@dataclass(frozen=True, slots=True)
class Calls:
    """The model calls. `caches` and `find_file` resolve the references of a request: cached contents, and
    files by URI."""

    caches: CachedContents
    find_file: FileLookup

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/{v}/models/{id}:generateContent", self.generate),
            Route("POST", "/{v}/models/{id}:streamGenerateContent", self.stream),
            Route("POST", "/{v}/models/{id}:countTokens", self.count),
        )

    def generate(self, request: Request, at: Parameters) -> HttpResponse:
        call = self.call(request.json(), at.version, at.name)
        generated = respond_whole(call)
        response = unary_response(generated.unary(), unary_seconds(generated), request, call.config.tier)
        return apply_fault(call.command, response)

    def stream(self, request: Request, at: Parameters) -> HttpResponse:
        call = self.call(request.json(), at.version, at.name)
        generated = respond(call)
        response = streaming_response(
            generated.chunks(), chunk_delays(generated), request, call.config.tier, call.command
        )
        return apply_fault(call.command, response)

    def call(self, body: Json, version: str, name: str, method: str = "generateContent") -> Call:
        """Parses and validates a generate request. Raises GoogleError."""
        model = resolve_model(name, version, method)
        contents = checked_contents(body)
        prompt_text = last_user_text(contents)
        command = parse_command(prompt_text)
        # Before other validation: a request with a command need not be valid.
        raise_for_command(command, name, version, method)
        cached = self.cached(body, model)
        hop = read_hop(body, prompt_text)
        prompt = count_tokens(body, self.find_file) + cached + TokenCounts(TEXT=hop.written)
        if prompt.total() > model.input_token_limit:
            raise invalid(
                "The input token count exceeds the maximum number of tokens allowed "
                f"({model.input_token_limit})."
            )
        config, response_id = read_config(body), secrets.token_urlsafe(17)
        return Call(model, body, config, prompt_text, prompt, cached, response_id, command, hop)

    def cached(self, body: Json, model: Model) -> TokenCounts:
        """The tokens of the cached content that `body` references. Raises GoogleError if it does not fit the
        request."""
        name = text(field(body, "cachedContent"))
        if not name:
            return TokenCounts()
        cache = self.caches.require(name)
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

    def count(self, request: Request, at: Parameters) -> HttpResponse:
        """countTokens: the body has contents, or a complete generate request, of which the prompt is
        counted."""
        known = resolve_model(at.name, at.version, "countTokens")
        body = request.json()
        body = message(field(body, "generateContentRequest")) or body
        command = parse_command(last_user_text(checked_contents(body)))
        raise_for_command(command, at.name, at.version, "countTokens")
        cached = self.cached(body, known)
        total = count_tokens(body, self.find_file) + cached
        counts: Json = {
            "totalTokens": total.total(),
            "promptTokensDetails": token_details(total),
            "cachedContentTokenCount": cached.total(),
        }
        response = json_response({name: value for name, value in counts.items() if value})
        return apply_fault(command, response)


def respond_whole(call: Call) -> GenerateResponse:
    """A unary response. Raises GoogleError for `!error`, which is then the whole response."""
    if call.command is Command.ERROR:
        raise GoogleError(*OVERLOADED)
    return respond(call)


def unary_seconds(generated: GenerateResponse) -> float:
    """Seconds before a unary response."""
    return sum(chunk_delays(generated)) * UNARY_TIME_SHARE


def chunk_delays(generated: GenerateResponse) -> list[float]:
    """Seconds before each chunk; the same for the same prompt."""
    call = generated.call
    return random_delays(generated.length, seeded_random(call.prompt_text, "pace"), call.command)


def checked_contents(body: Json) -> list[Json]:
    """The contents. Raises GoogleError (400) if there are none, or one has an unknown role or no parts."""
    contents = messages(field(body, "contents"))
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if text(field(content, "role")) not in ROLES:
            raise invalid("Please use a valid role: user, model.")
        if not messages(field(content, "parts")):
            path = f"GenerateContentRequest.contents[{at}].parts"
            raise invalid(f"* {path}: contents.parts must not be empty.\n")
    return contents


SLOW_SECONDS = 10.0
LONG_SECONDS = 60.0
CHUNKS_BEFORE_ERROR = 3

EVENT_HEADERS: Headers = ((b"content-type", b"text/event-stream"), (b"content-disposition", b"attachment"))
FIRST_SECONDS = (0.2, 0.6)
NEXT_SECONDS = (0.03, 0.12)
# The time of a unary response as a share of the time of the stream.
UNARY_TIME_SHARE = 1 / 3


def random_delays(chunks: int, rng: Random, command: Command | None) -> list[float]:
    """Seconds before each of `chunks` chunks."""
    seconds = [rng.uniform(*FIRST_SECONDS), *(rng.uniform(*NEXT_SECONDS) for _ in range(chunks - 1))]
    # The delays keep their proportions.
    stretch = LONG_SECONDS / sum(seconds) if command is Command.LONG else 1
    return [second * stretch for second in seconds]


def unary_response(generated: Json, seconds: float, request: Request, tier: str) -> HttpResponse:
    document = enums_as_numbers(generated) if request.wants_enum_numbers else generated
    return json_response(document, *tier_header(tier), seconds=seconds)


def streaming_response(
    chunks: Sequence[Json], seconds: Sequence[float], request: Request, tier: str, command: Command | None
) -> HttpResponse:
    documents = [enums_as_numbers(chunk) if request.wants_enum_numbers else chunk for chunk in chunks]
    if command is Command.ERROR:
        documents = [
            # At least the last chunk is missing: a complete stream would not have failed.
            *documents[: min(CHUNKS_BEFORE_ERROR, len(chunks) - 1)],
            GoogleError(*OVERLOADED).document(),
        ]
    events = request.response_format == "sse"
    pieces = sse_pieces(documents, seconds) if events else array_pieces(documents, seconds)
    headers = EVENT_HEADERS if events else ((b"content-type", JSON_TYPE),)
    return HttpResponse(
        200, (*headers, *tier_header(tier), *timing_header(seconds[0]), *GOOGLE_HEADERS), pieces
    )


def sse_pieces(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    lines = (b"data: " + one_line(document) + b"\r\n\r\n" for document in documents)
    # Not strict: a stream that fails has fewer documents than delays.
    return list(zip(seconds, lines, strict=False))


def array_pieces(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    elements = [b"\n,\r\n" + indented(document) for document in documents]
    # The first element follows the bracket without a comma.
    elements[0] = b"[" + elements[0].removeprefix(b"\n,\r\n")
    return [*zip(seconds, elements, strict=False), (0.0, b"\n]")]


def apply_fault(command: Command | None, response: HttpResponse) -> HttpResponse:
    """`response`, delayed by `!slow` or truncated by `!cut`."""
    if command is Command.SLOW:
        return response.delayed(SLOW_SECONDS)
    return response.truncated() if command is Command.CUT else response


def tier_header(tier: str) -> Headers:
    return ((b"x-gemini-service-tier", tier.encode()),)
