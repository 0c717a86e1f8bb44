"""JSON as Google's front end reads it (protobuf's JSON mapping, with some leniency of Google's own) and
writes it.

Reading: a field may be spelt in camelCase or snake_case, a single value may stand for a list of one, a
number may be a string, `null` is absent, and a comma may trail in arrays and objects. Writing: bodies are
indented by two; events are on one line; `<` and `>` are escaped; `enum-encoding=int` turns the names of
enums into their numbers (https://protobuf.dev/programming-guides/json/).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import cast

import msgspec

Json = dict[str, object]

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
