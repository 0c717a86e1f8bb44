"""The usage that a response reports: one `usageMetadata` object of the generateContent and embedding calls.

- A count that is missing, negative, fractional or beyond `MAX_TOKEN_COUNT` counts as not reported: None,
  never 0.
- Google omits zeros. A missing count is 0 only where the total proves it: if the reported ones of prompt,
  output, thoughts and tool add up to the total, the others are 0. Cached tokens are part of the prompt, so
  the total proves nothing about them.
- Nothing is corrected: where counts and total contradict each other, all of them stay as reported.

What the tokens cost, and which count takes precedence, is decided in `pricing`.
"""

from __future__ import annotations

import re
from typing import cast

import msgspec

# No call comes near a billion tokens (prompts end at 2 million); below it a cost fits DECIMAL(18,12).
MAX_TOKEN_COUNT = 1_000_000_000

# The names behind `enum-encoding=int`, by number (`Modality` in Google's content.proto).
MODALITY_NUMBERS = ("modality_unspecified", "text", "image", "video", "audio", "document")

_DIGITS = re.compile(r"\d{1,10}\Z", re.ASCII)

Details = tuple[tuple[str, int], ...]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts as the ledger's columns mean them, with the details by modality where they were given.

    `prompt` includes `cached`; `output` is the candidates, without thoughts. The details name modalities
    in lower case (`text image video audio document`, or whatever Google invents), in the order received;
    they may make up less than their count.
    """

    prompt: int | None = None
    cached: int | None = None
    output: int | None = None
    thoughts: int | None = None
    tool: int | None = None
    total: int | None = None
    service_tier: str | None = None
    prompt_details: Details = ()
    cached_details: Details = ()
    output_details: Details = ()
    tool_details: Details = ()


class _UsageMetadata(msgspec.Struct, rename="camel"):
    """Google's field names. `object`, so that one invalid field does not invalidate the others."""

    prompt_token_count: object = None
    cached_content_token_count: object = None
    candidates_token_count: object = None
    thoughts_token_count: object = None
    tool_use_prompt_token_count: object = None
    total_token_count: object = None
    service_tier: object = None
    prompt_tokens_details: object = None
    # The name that gemini-embedding-2 uses
    prompt_token_details: object = None
    cache_tokens_details: object = None
    candidates_tokens_details: object = None
    tool_use_prompt_tokens_details: object = None


_DECODER = msgspec.json.Decoder(_UsageMetadata)


def read_usage(raw: bytes) -> Usage | None:
    """The counts of one `usageMetadata` object; None for bytes that are not a JSON object. Never raises."""
    try:
        found = _DECODER.decode(raw)
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
    total = _count(found.total_token_count)
    prompt, output, thoughts, tool = _fill_zeros(
        total,
        _count(found.prompt_token_count),
        _count(found.candidates_token_count),
        _count(found.thoughts_token_count),
        _count(found.tool_use_prompt_token_count),
    )
    return Usage(
        prompt=prompt,
        cached=_count(found.cached_content_token_count),
        output=output,
        thoughts=thoughts,
        tool=tool,
        total=total,
        service_tier=_tier(found.service_tier),
        prompt_details=_details(found.prompt_tokens_details or found.prompt_token_details),
        cached_details=_details(found.cache_tokens_details),
        output_details=_details(found.candidates_tokens_details),
        tool_details=_details(found.tool_use_prompt_tokens_details),
    )


def _fill_zeros(total: int | None, *parts: int | None) -> tuple[int | None, ...]:
    if total is None or sum(part or 0 for part in parts) != total:
        return parts
    return tuple(part or 0 for part in parts)


def _count(value: object) -> int | None:
    """A count as JSON may write it: 12, "12" (64-bit numbers in proto3's JSON) or 12.0."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.match(value) else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    # `type`, because True is an int to isinstance.
    return value if type(value) is int and 0 <= value <= MAX_TOKEN_COUNT else None


def _tier(value: object) -> str | None:
    """The billed tier in lower case; None for "unspecified"; a number (`enum-encoding=int`) stays one."""
    name = str(value).lower() if isinstance(value, str | int) else ""
    return None if name in {"", "unspecified"} else name


def _details(value: object) -> Details:
    if not isinstance(value, list):
        return ()
    found: list[tuple[str, int]] = []
    for entry in cast("list[object]", value):
        if isinstance(entry, dict):
            named = cast("dict[str, object]", entry)
            if count := _count(named.get("tokenCount")):
                found.append((_modality(named.get("modality")), count))
    return tuple(found)


def _modality(value: object) -> str:
    if isinstance(value, str):
        return value.lower()
    if type(value) is int and 0 <= value < len(MODALITY_NUMBERS):
        return MODALITY_NUMBERS[value]
    return MODALITY_NUMBERS[0]
