"""HTTP requests and responses without a connection; and their JSON as Google's front end reads it (protobuf's
JSON mapping, with some leniency of Google's own) and writes it.

Reading: a field's name may be in camelCase or snake_case, a single value may replace a list of one, a number
may be a string, `null` is absent, and arrays and objects may have a trailing comma. Writing: bodies are
indented by two; events are on one line; `<` and `>` are escaped; `enum-encoding=int` replaces the names of
enums by their numbers (https://protobuf.dev/programming-guides/json/).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import msgspec

from gatekeeper.sandbox.errors import GoogleError, invalid, invalid_payload

Json = dict[str, object]

# Strings are matched too, and kept, so that no comma in one is taken for a trailing one.
STRING_OR_TRAILING_COMMA = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")|,(?=\s*[\]}])', re.DOTALL)

# Values are google.ai.generativelanguage.v1beta's (content.proto, safety.proto, generative_service.proto).
FINISH_REASONS = ["UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"]
MODALITIES = ["UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"]
HARM_PROBABILITIES = ["UNSPECIFIED", "NEGLIGIBLE", "LOW", "MEDIUM", "HIGH"]
BLOCK_REASONS = ["UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"]
HARM_CATEGORIES = {
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": 7,
    "HARM_CATEGORY_HATE_SPEECH": 8,
    "HARM_CATEGORY_HARASSMENT": 9,
    "HARM_CATEGORY_DANGEROUS_CONTENT": 10,
}
ENUM_NUMBERS: dict[str, dict[str, int]] = {
    "finishReason": {name: number for number, name in enumerate(FINISH_REASONS)},
    "modality": {name: number for number, name in enumerate(MODALITIES)},
    "probability": {name: number for number, name in enumerate(HARM_PROBABILITIES)},
    "blockReason": {name: number for number, name in enumerate(BLOCK_REASONS)},
    "category": HARM_CATEGORIES,
}


def decode(body: bytes) -> object:
    """Raises ValueError (msgspec.DecodeError, UnicodeDecodeError) or RecursionError."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # Only now: hardly any body has a trailing comma, and removing it takes another pass.
        return msgspec.json.decode(STRING_OR_TRAILING_COMMA.sub(rb"\1", body))


def field(message: Json, name: str) -> object:
    """The field `name` (in camelCase); None if it is absent."""
    return message.get(name, message.get(snake(name)))


@lru_cache(maxsize=256)
def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


def message(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def repeated(value: object) -> list[object]:
    if value is None:
        return []
    return cast("list[object]", value) if isinstance(value, list) else [value]


def messages(value: object) -> list[Json]:
    return [message(item) for item in repeated(value)]


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def parse_int(value: object) -> int | None:
    """The integer value of a number or a string of digits; None for anything else."""
    # True is an int in Python, but not a number in protobuf's JSON mapping.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def indented(document: object) -> bytes:
    return escaped(msgspec.json.format(msgspec.json.encode(document), indent=2))


def one_line(document: object) -> bytes:
    # A space after the colon and none after the comma, as recorded.
    return escaped(json.dumps(document, ensure_ascii=False, separators=(",", ": ")).encode())


def escaped(document: bytes) -> bytes:
    """In JSON `<` and `>` occur in strings only, so replacing bytes is safe."""
    return document.replace(b"<", rb"\u003c").replace(b">", rb"\u003e")


def enums_as_numbers(value: object) -> object:
    """`value` with numbers for enums. User data (the `args` of a function call) is not changed."""
    if isinstance(value, list):
        return [enums_as_numbers(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: enum_as_number(key, item) for key, item in cast("Json", value).items()}
    return value


def enum_as_number(key: str, value: object) -> object:
    if key in ENUM_NUMBERS and isinstance(value, str):
        return ENUM_NUMBERS[key].get(value, value)
    return value if key == "args" else enums_as_numbers(value)


# Google's limit for a request body; larger files have to be uploaded.
MAX_BODY_BYTES = 100 * 1024 * 1024

Headers = tuple[tuple[bytes, bytes], ...]
# Seconds to wait before sending, and the bytes.
Piece = tuple[float, bytes]

# As recorded, `vary` three times.
GOOGLE_HEADERS: Headers = (
    (b"vary", b"Origin"),
    (b"vary", b"X-Origin"),
    (b"vary", b"Referer"),
    (b"server", b"scaffolding on HTTPServer2"),
    (b"x-xss-protection", b"0"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
)
JSON_TYPE = b"application/json; charset=UTF-8"


class BodyBuffer:
    """Bytes as they arrive: all are counted and hashed, but kept only up to `limit`."""

    def __init__(self, limit: int = MAX_BODY_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._kept: list[bytes] = []
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)
        if self.size <= self._limit:
            self._kept.append(data)
        else:
            # Half of a body is useless.
            self._kept.clear()

    @property
    def data(self) -> bytes | None:
        """All bytes; None if they exceeded the limit."""
        return b"".join(self._kept) if self.size <= self._limit else None

    @property
    def kept_bytes(self) -> int:
        return self.size if self.size <= self._limit else 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, header names are in lower case, `origin` is scheme and host as sent by the client;
    `content` is complete once the body has arrived."""

    method: str
    path: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    origin: str = "http://localhost"
    content: BodyBuffer = dataclasses.field(default_factory=BodyBuffer)

    @property
    def key(self) -> str | None:
        """The API key, from any place where Google accepts it; an OAuth token counts as one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        bearer = token if scheme.lower() == "bearer" else ""
        return self.headers.get("x-goog-api-key") or self.query.get("key") or bearer or None

    @property
    def response_format(self) -> str:
        """The requested format of the response: `json`, `sse` or `media`."""
        return self._alt.partition(";")[0]

    @property
    def wants_enum_numbers(self) -> bool:
        """Whether enums are requested as numbers, as google-generativeai's REST client does."""
        return "enum-encoding=int" in self._alt

    @property
    def _alt(self) -> str:
        return self.query.get("alt") or self.query.get("$alt") or "json"

    def body(self) -> bytes:
        """Raises GoogleError (400) for a larger body than Google accepts."""
        data = self.content.data
        if data is None:
            raise invalid(f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes.")
        return data

    def json(self) -> Json:
        """The body as an object; an empty one counts as `{}`. Raises GoogleError (400)."""
        body = self.body()
        try:
            document = decode(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise invalid_payload(parse_problem(body, error)) from error
        if not isinstance(document, dict):
            raise invalid_payload('Unknown name "": Root element must be a message.')
        return cast("Json", document)


def parse_problem(body: bytes, error: Exception) -> str:
    """Google's error text: what is wrong, the line, and a caret under the position."""
    match = re.search(r"byte (\d+)", str(error)) if isinstance(error, msgspec.DecodeError) else None
    if match is None:
        return "Expected a value.\n\n^"
    at = int(match[1])
    # Thirty bytes on either side: the line may be a whole large body.
    start = max(body.rfind(b"\n", 0, at) + 1, at - 30)
    line = body[start : at + 30].partition(b"\n")[0].decode(errors="replace")
    return f"Unexpected token.\n{line}\n{' ' * (at - start)}^"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`complete` is False if the connection breaks after the last piece."""

    status: int
    headers: Headers
    pieces: Sequence[Piece]
    complete: bool = True

    def delayed(self, seconds: float) -> HttpResponse:
        (first, data), *rest = self.pieces
        return replace(self, pieces=[(first + seconds, data), *rest])

    def truncated(self) -> HttpResponse:
        """At most the first two pieces and half of the next: the end is within an event, never between
        two."""
        # Two, so that a client has begun to show the stream when it breaks.
        kept_pieces = min(2, len(self.pieces) - 1)
        seconds, data = self.pieces[kept_pieces]
        return replace(
            self, pieces=[*self.pieces[:kept_pieces], (seconds, data[: len(data) // 2])], complete=False
        )


def response(
    status: int, kind: bytes, body: bytes, *extra: tuple[bytes, bytes], seconds: float = 0
) -> HttpResponse:
    """A response with a complete body, after `seconds`."""
    headers = (b"content-type", kind), (b"content-length", b"%d" % len(body))
    return HttpResponse(
        status, (*headers, *extra, *timing_header(seconds), *GOOGLE_HEADERS), [(seconds, body)]
    )


def timing_header(seconds: float) -> Headers:
    return ((b"server-timing", b"gfet4t7; dur=%d" % (seconds * 1000)),)


def json_response(
    document: object, *extra: tuple[bytes, bytes], seconds: float = 0, status: int = 200
) -> HttpResponse:
    return response(status, JSON_TYPE, indented(document) + b"\n", *extra, seconds=seconds)


def error_response(error: GoogleError, request: Request) -> HttpResponse:
    """An error in the requested format: plain JSON, the only element of an array, or plain JSON with the
    media type of an event stream."""
    if not request.path.endswith(":streamGenerateContent"):
        return json_response(error.document(), status=error.code)
    if request.response_format == "sse":
        return response(error.code, b"text/event-stream", indented(error.document()) + b"\n")
    return response(error.code, JSON_TYPE, b"[" + indented(error.document()) + b"\n]")


def empty_404() -> HttpResponse:
    """Google's 404 for an unknown path: an empty body."""
    return response(404, b"text/html; charset=UTF-8", b"")
