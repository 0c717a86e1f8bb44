"""How responses travel: at once, as Server-Sent Events, or as one JSON array that grows.

Events are `data: {json}` and an empty line, with CRLF; elements of the array are parted by LF, comma, CRLF;
both as recorded. The pace is a person's: a first chunk after 200 to 600 ms, then one every 30 to 120 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from gatekeeper.sandbox import wire
from gatekeeper.sandbox.errors import ApiError
from gatekeeper.sandbox.exchange import (
    GOOGLE_HEADERS,
    JSON_TYPE,
    Answer,
    Headers,
    Piece,
    Request,
    json_answer,
    timing,
)
from gatekeeper.sandbox.faults import CHUNKS_BEFORE_ERROR, LONG_SECONDS, OVERLOADED, Command
from gatekeeper.sandbox.wire import Json

EVENT_HEADERS: Headers = ((b"content-type", b"text/event-stream"), (b"content-disposition", b"attachment"))
FIRST_SECONDS = (0.2, 0.6)
NEXT_SECONDS = (0.03, 0.12)
SHARE_AT_ONCE = 1 / 3  # an answer at once comes after this part of the time that its stream takes


def waits(chunks: int, chance: Random, order: Command | None) -> list[float]:
    """Seconds before each of so many chunks."""
    seconds = [chance.uniform(*FIRST_SECONDS), *(chance.uniform(*NEXT_SECONDS) for _ in range(chunks - 1))]
    stretch = LONG_SECONDS / sum(seconds) if order is Command.LONG else 1
    return [second * stretch for second in seconds]


def at_once(response: Json, seconds: Sequence[float], request: Request, tier: str) -> Answer:
    document = wire.numbered(response) if request.integers else response
    return json_answer(document, *tier_header(tier), seconds=sum(seconds) * SHARE_AT_ONCE)


def streamed(
    chunks: Sequence[Json], seconds: Sequence[float], request: Request, tier: str, order: Command | None
) -> Answer:
    documents = [wire.numbered(chunk) if request.integers else chunk for chunk in chunks]
    if order is Command.ERROR:
        documents = [
            *documents[: min(CHUNKS_BEFORE_ERROR, len(chunks) - 1)],
            ApiError(*OVERLOADED).document(),
        ]
    events = request.form == "sse"
    pieces = sse(documents, seconds) if events else array(documents, seconds)
    about = EVENT_HEADERS if events else ((b"content-type", JSON_TYPE),)
    return Answer(200, (*about, *tier_header(tier), *timing(seconds[0]), *GOOGLE_HEADERS), pieces)


def sse(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    lines = (b"data: " + wire.one_line(document) + b"\r\n\r\n" for document in documents)
    return list(zip(seconds, lines, strict=False))


def array(documents: Sequence[object], seconds: Sequence[float]) -> list[Piece]:
    elements = [b"\n,\r\n" + wire.indented(document) for document in documents]
    elements[0] = b"[" + elements[0].removeprefix(b"\n,\r\n")
    return [*zip(seconds, elements, strict=False), (0.0, b"\n]")]


def tier_header(tier: str) -> Headers:
    return ((b"x-gemini-service-tier", tier.encode()),)
