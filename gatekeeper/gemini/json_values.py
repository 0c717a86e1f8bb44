"""Converts untyped JSON values of Google's into typed ones: objects, lists, strings; counts, service tiers
and details by modality. A value of the wrong type counts as missing."""

from __future__ import annotations

import re
from typing import cast

# Far beyond any call (prompts have at most 2 million tokens); below it a cost fits DECIMAL(18,12).
MAX_TOKEN_COUNT = 1_000_000_000

# The names behind `enum-encoding=int`, by number (`Modality` in Google's content.proto).
MODALITY_NUMBERS = ("modality_unspecified", "text", "image", "video", "audio", "document")

_DIGITS = re.compile(r"\d{1,10}\Z", re.ASCII)

Details = tuple[tuple[str, int], ...]


def as_object(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def read_count(value: object) -> int | None:
    """A count as JSON may write it: 12, "12" (64-bit numbers in proto3's JSON) or 12.0."""
    if value is None:
        return None
    # `type`, because True is an int to isinstance. The usual form comes first.
    if type(value) is not int:
        value = _whole_number(value)
        if value is None:
            return None
    return value if 0 <= value <= MAX_TOKEN_COUNT else None


def _whole_number(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if _DIGITS.match(value) else None
    return int(value) if type(value) is float and value.is_integer() else None


def read_tier(value: object) -> str | None:
    """The service tier in lower case; None for "unspecified" and OpenAI's names for the default; an enum
    number (`enum-encoding=int`) is kept."""
    if value is None:
        return None
    name = str(value).lower() if isinstance(value, str | int) else ""
    return None if name in {"", "unspecified", "default", "auto"} else name


def read_details(value: object, count_name: str = "tokenCount") -> Details:
    return tuple(
        (modality_name(named.get("modality")), count)
        for named in map(as_object, as_list(value))
        if named and (count := read_count(named.get(count_name)))
    )


def modality_name(value: object) -> str:
    """The modality in lower case, also for an enum number (`enum-encoding=int`)."""
    if isinstance(value, str):
        return value.lower()
    if type(value) is int and 0 <= value < len(MODALITY_NUMBERS):
        return MODALITY_NUMBERS[value]
    return MODALITY_NUMBERS[0]
