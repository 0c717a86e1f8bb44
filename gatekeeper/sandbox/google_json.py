"""JSON as Google's front end parses it (protobuf's JSON mapping, with some leniency) and writes it.

Parsing: a field's name may be in camelCase or snake_case, a single value may stand for a list of one, a
number may be a string, `null` counts as absent, and arrays and objects may have a trailing comma. Writing:
bodies are indented by two; events are on one line; `<` and `>` are escaped; `enum-encoding=int` replaces the
names of enums by their numbers (https://protobuf.dev/programming-guides/json/).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import cast

import msgspec

Json = dict[str, object]

# Matches and keeps strings, so that a comma within one does not count as a trailing one.
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
        # Only on an error: hardly any body has a trailing comma, and removing it takes another pass.
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
        # int() raises OverflowError for infinity and ValueError for what is no number.
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def indented(document: object) -> bytes:
    return escaped(msgspec.json.format(msgspec.json.encode(document), indent=2))


def one_line(document: object) -> bytes:
    # A space after the colon and none after the comma, as recorded.
    return escaped(json.dumps(document, ensure_ascii=False, separators=(",", ": ")).encode())


SORTED = msgspec.json.Encoder(order="sorted")


def sorted_json(document: object) -> bytes:
    """Compact JSON with sorted keys, as the Interactions API and the paths in OpenAI's form write it."""
    return SORTED.encode(document)


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
    # It may have fields of these names, whose values are the user's.
    return value if key == "args" else enums_as_numbers(value)


def parse_problem(body: bytes, error: Exception) -> str:
    """Google's error text: what is wrong, the line, and a caret under the position."""
    match = re.search(r"byte (\d+)", str(error)) if isinstance(error, msgspec.DecodeError) else None
    if match is None:
        return "Expected a value.\n\n^"
    at = int(match[1])
    # Thirty bytes on either side, because the line may be very long.
    start = max(body.rfind(b"\n", 0, at) + 1, at - 30)
    line = body[start : at + 30].partition(b"\n")[0].decode(errors="replace")
    return f"Unexpected token.\n{line}\n{' ' * (at - start)}^"
