"""Fast path for the usage in stream events where only the output token count changes from one event to the
next. Pure; nothing raises."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.gemini.usage import MAX_USAGE_BYTES
from gatekeeper.gemini.usage_document import UsageMetadata, decode_usage_metadata


class GrowingUsage(NamedTuple):
    """`output`: its tokens, thoughts included, at least one. `rest`: all else that it reports."""

    output: int
    rest: UsageMetadata


def growing_usage(raw: bytes) -> GrowingUsage | None:
    """The usage, if it is one of Google's whose counts make up its total, without details of its output."""
    if len(raw) > MAX_USAGE_BYTES:
        return None
    try:
        found = decode_usage_metadata(raw)
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
    said, thoughts = found.candidates_token_count, found.thoughts_token_count or 0
    if not said or found.prompt_token_count is None or found.candidates_tokens_details:
        return None
    output = said + thoughts
    if (
        found.total_token_count
        != found.prompt_token_count + (found.tool_use_prompt_token_count or 0) + output
    ):
        return None
    found.candidates_token_count = found.total_token_count = None
    # Output may have one price with thoughts, and another without.
    found.thoughts_token_count = 1 if thoughts else None
    return GrowingUsage(output, found)
