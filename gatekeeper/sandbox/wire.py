"""One request as it came in and one answer as it goes out, without a connection; and their JSON as Google's
front end reads it (protobuf's JSON mapping, with some leniency of Google's own) and writes it.

Reading: a field may be spelt in camelCase or snake_case, a single value may stand for a list of one, a
number may be a string, `null` is absent, and a comma may trail in arrays and objects. Writing: bodies are
indented by two; events are on one line; `<` and `>` are escaped; `enum-encoding=int` turns the names of
enums into their numbers (https://protobuf.dev/programming-guides/json/).
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

from gatekeeper.sandbox.errors import ApiError, invalid, payload

Json = dict[str, object]

# Strings are matched too, and put back, so that no comma in one is taken for a trailing one.
STRING_OR_TRAILING_COMMA = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")|,(?=\s*[\]}])', re.DOTALL)

# Values are google.ai.generativelanguage.v1beta's (content.proto, safety.proto, generative_service.proto).
FINISH = ["UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"]
MODALITY = ["UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"]
PROBABILITY = ["UNSPECIFIED", "NEGLIGIBLE", "LOW", "MEDIUM", "HIGH"]
BLOCK = ["UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"]
CATEGORY = {
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": 7,
    "HARM_CATEGORY_HATE_SPEECH": 8,
    "HARM_CATEGORY_HARASSMENT": 9,
    "HARM_CATEGORY_DANGEROUS_CONTENT": 10,
}
NUMBERS: dict[str, dict[str, int]] = {
    "finishReason": {name: number for number, name in enumerate(FINISH)},
    "modality": {name: number for number, name in enumerate(MODALITY)},
    "probability": {name: number for number, name in enumerate(PROBABILITY)},
    "blockReason": {name: number for number, name in enumerate(BLOCK)},
    "category": CATEGORY,
}


def decode(body: bytes) -> object:
    """Raises ValueError (msgspec.DecodeError, UnicodeDecodeError) or RecursionError."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # Only now: hardly any body has a trailing comma, and mending goes over all of it once more.
        return msgspec.json.decode(STRING_OR_TRAILING_COMMA.sub(rb"\1", body))


def field(message: Json, name: str) -> object:
    """The field `name`, given in camelCase; None where it is absent."""
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


def whole(value: object) -> int | None:
    """The integer that a number or a string of digits stands for; None where it stands for none."""
    # True is an int to Python; to protobuf's JSON mapping it is no number.
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
    # A blank behind the colon and none behind the comma, as recorded.
    return escaped(json.dumps(document, ensure_ascii=False, separators=(",", ": ")).encode())


def escaped(document: bytes) -> bytes:
    """In JSON these two stand in strings only, so that replacing bytes is safe."""
    return document.replace(b"<", rb"\u003c").replace(b">", rb"\u003e")


def numbered(value: object) -> object:
    """`value` with numbers for enums. What users wrote (the `args` of a function call) stays."""
    if isinstance(value, list):
        return [numbered(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: number(key, item) for key, item in cast("Json", value).items()}
    return value


def number(key: str, value: object) -> object:
    if key in NUMBERS and isinstance(value, str):
        return NUMBERS[key].get(value, value)
    return value if key == "args" else numbered(value)


# Google's limit for a request body; larger files are uploaded
KEPT_BYTES = 100 * 1024 * 1024

Headers = tuple[tuple[bytes, bytes], ...]
# Seconds to wait, then bytes to send.
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


class Content:
    """Bytes as they arrive: all counted and hashed, kept only while they are few."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
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
            # Half of a body is of no use.
            self._kept.clear()

    @property
    def data(self) -> bytes | None:
        """All of it; None if it was too much to keep."""
        return b"".join(self._kept) if self.size <= self._limit else None

    @property
    def kept(self) -> int:
        return self.size if self.size <= self._limit else 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, header names are in lower case, `origin` is scheme and host as the client wrote
    them; `content` is filled once the body has arrived."""

    method: str
    path: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    origin: str = "http://localhost"
    content: Content = dataclasses.field(default_factory=Content)

    @property
    def key(self) -> str | None:
        """The API key, wherever Google takes it from; an OAuth token passes for one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        bearer = token if scheme.lower() == "bearer" else ""
        return self.headers.get("x-goog-api-key") or self.query.get("key") or bearer or None

    @property
    def form(self) -> str:
        """`json`, `sse` or `media`: how the answer is to be written."""
        return self._alt.partition(";")[0]

    @property
    def integers(self) -> bool:
        """Whether enums are asked for as numbers, as google-generativeai's REST client does."""
        return "enum-encoding=int" in self._alt

    @property
    def _alt(self) -> str:
        return self.query.get("alt") or self.query.get("$alt") or "json"

    def body(self) -> bytes:
        """Raises ApiError (400) for more than Google takes."""
        data = self.content.data
        if data is None:
            raise invalid(f"Request payload size exceeds the limit: {KEPT_BYTES} bytes.")
        return data

    def json(self) -> Json:
        """The body as an object; an empty one counts as `{}`. Raises ApiError (400)."""
        body = self.body()
        try:
            document = decode(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise payload(problem(body, error)) from error
        if not isinstance(document, dict):
            raise payload('Unknown name "": Root element must be a message.')
        return cast("Json", document)


def problem(body: bytes, error: Exception) -> str:
    """What is wrong, the line where it is and a caret under it, as Google prints it."""
    place = re.search(r"byte (\d+)", str(error)) if isinstance(error, msgspec.DecodeError) else None
    if place is None:
        return "Expected a value.\n\n^"
    at = int(place[1])
    # Thirty bytes on either side: the line may be all of a large body.
    start = max(body.rfind(b"\n", 0, at) + 1, at - 30)
    line = body[start : at + 30].partition(b"\n")[0].decode(errors="replace")
    return f"Unexpected token.\n{line}\n{' ' * (at - start)}^"


@dataclass(frozen=True, slots=True)
class Answer:
    """`whole` is False where the connection breaks after the last piece."""

    status: int
    headers: Headers
    pieces: Sequence[Piece]
    whole: bool = True

    def delayed(self, seconds: float) -> Answer:
        (first, data), *rest = self.pieces
        return replace(self, pieces=[(first + seconds, data), *rest])

    def broken(self) -> Answer:
        """The first two pieces at most and half of the next: it ends within an event, never at its edge."""
        # Two, so that a client has begun to show a stream when it breaks.
        kept = min(2, len(self.pieces) - 1)
        seconds, data = self.pieces[kept]
        return replace(self, pieces=[*self.pieces[:kept], (seconds, data[: len(data) // 2])], whole=False)


def answer(status: int, kind: bytes, body: bytes, *extra: tuple[bytes, bytes], seconds: float = 0) -> Answer:
    """A body that is known whole, after `seconds`."""
    about = (b"content-type", kind), (b"content-length", b"%d" % len(body))
    return Answer(status, (*about, *extra, *timing(seconds), *GOOGLE_HEADERS), [(seconds, body)])


def timing(seconds: float) -> Headers:
    return ((b"server-timing", b"gfet4t7; dur=%d" % (seconds * 1000)),)


def json_answer(
    document: object, *extra: tuple[bytes, bytes], seconds: float = 0, status: int = 200
) -> Answer:
    return answer(status, JSON_TYPE, indented(document) + b"\n", *extra, seconds=seconds)


def error_answer(error: ApiError, request: Request) -> Answer:
    """An error in the form that the call asked its answer in: plain, as the only element of an array, or
    (also plain, only called so) as an event stream."""
    if not request.path.endswith(":streamGenerateContent"):
        return json_answer(error.document(), status=error.code)
    if request.form == "sse":
        return answer(error.code, b"text/event-stream", indented(error.document()) + b"\n")
    return answer(error.code, JSON_TYPE, b"[" + indented(error.document()) + b"\n]")


def nothing() -> Answer:
    """Google's 404 for a path that it does not know: no JSON, nothing at all."""
    return answer(404, b"text/html; charset=UTF-8", b"")
