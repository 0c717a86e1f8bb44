"""Parses the usage in a response, in the format of any of Google's APIs, into one typed `Usage`.

- generateContent, embeddings and caches: `usageMetadata`. Live has `responseTokenCount` in it, and reports it
  for each turn, so the usage of a session is a list of them.
- Interactions: `usage` with `total_input_tokens` etc., details by modality in lower case.
- OpenAI-style: `prompt_tokens`, `completion_tokens`, `total_tokens`. Google does not count thoughts as
  completion, so they are the total minus prompt and completion.

A missing count is None, not 0, although Google omits zeros. It is 0 only if the total proves it: if the
reported ones of prompt, output, thoughts and tool add up to the total, the others are 0. Cached tokens are
part of the prompt, so the total proves nothing about them.

Nothing is corrected: if counts and total contradict each other, all of them stay as reported, with a note. An
invalid count is None, too, and listed in `Usage.invalid`: if it matters, the cost of the call is unknown.
What the tokens cost, and which count takes precedence, is decided in `pricing`.

`read_stream_usage` is a fast path for the events of a stream, in which only the output count changes.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from gatekeeper.gemini.json_values import MODALITY_NUMBERS, Details, modality_name, read_tier
from gatekeeper.gemini.token_usage import COUNTS, Usage, add_usages
from gatekeeper.gemini.usage_document import (
    Detail,
    ModalityTokens,
    OtherUsage,
    UsageMetadata,
    decode_members,
    decode_other_usage,
    decode_turns,
    decode_usage_metadata,
    split_turns,
)
from gatekeeper.gemini.usage_faults import (
    THOUGHTS_OUTSIDE_TOTAL,
    UNREADABLE_NOTE,
    clean,
    contradictions,
    no_object_note,
)

MAX_USAGE_BYTES = 16 * 1024
"""Limit in bytes of a usage or a list of usages, also in the ledger; Google's have at most 2,000."""

# Tokens that Google adds around a prompt and does not charge: 19 to 34 in the recordings.
USUAL_OVERHEAD = 100
NO_TOKENS = "the reported usage has no tokens at all, which no call can have: what it used is unknown"
PROMPT_UNDER_REPORTED = "the reported prompt is smaller than the one that was read (raw_prompt_token)"


_NOTHING = Usage()
_NAMES: dict[object, str] = {name.upper(): name for name in MODALITY_NUMBERS}


def read_usage(raw: bytes) -> Usage | None:
    """Parses one usage object of any of the APIs, or a list of them, which is summed; None if it is neither.
    Never raises."""
    if len(raw) > MAX_USAGE_BYTES:
        return _unreadable(f"the usage has {len(raw):,} bytes, more than any call's")
    try:
        return _read_list(raw) if raw.lstrip()[:1] == b"[" else _read_object(raw)
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None


def _read_list(raw: bytes) -> Usage | None:
    try:
        usages = [_google_usage(turn) for turn in decode_turns(raw)]
    except msgspec.ValidationError:
        usages = [_NOTHING]
    if _NOTHING in usages:
        # One of them is invalid, or in another API's format.
        usages = [_read_turn(bytes(turn)) for turn in split_turns(raw)]
    return add_usages(usages)


def _read_turn(raw: bytes) -> Usage:
    if not raw.startswith(b"{"):
        return _unreadable(no_object_note(raw))
    try:
        return _read_object(raw)
    except (ValueError, RecursionError):
        return _unreadable(UNREADABLE_NOTE)


def _unreadable(why: str) -> Usage:
    return Usage(invalid=("usage",), note=why)


def _read_object(raw: bytes) -> Usage:
    """Raises ValueError or RecursionError if the bytes are not a JSON object."""
    try:
        return _read_valid(raw)
    except msgspec.ValidationError:
        cleaned = clean(decode_members(raw))
    usage = _read_valid(msgspec.json.encode(cleaned.members))
    if not cleaned.invalid:
        return usage
    # A zero or a contradiction that follows from the total may be due to the values that were left out.
    unknown = {name: None for name in cleaned.invalid if name in COUNTS}
    note = "; ".join(cleaned.faults)
    return replace(usage, **unknown, invalid=cleaned.invalid, note=note)


def _read_valid(raw: bytes) -> Usage:
    usage = _google_usage(decode_usage_metadata(raw))
    # The first test is the faster one.
    unknown = usage.total is None and usage == _NOTHING
    return _other_usage(decode_other_usage(raw)) if unknown else usage


def _google_usage(found: UsageMetadata) -> Usage:
    total, prompt = found.total_token_count, found.prompt_token_count
    thoughts, tool = found.thoughts_token_count, found.tool_use_prompt_token_count
    output, output_details = found.candidates_token_count, found.candidates_tokens_details
    cached_details, tool_details = found.cache_tokens_details, found.tool_use_prompt_tokens_details
    is_live = output is None and found.response_token_count is not None
    if is_live:
        output, output_details = found.response_token_count, found.response_tokens_details
    known = (prompt or 0) + (output or 0) + (tool or 0)
    # Reported of gemini-3.8-live: prompt 522, response 42, thoughts 136, total 564 (Google's forum, 188765).
    beside = thoughts if is_live and thoughts and output and known == total else 0
    proved = None if known + (thoughts or 0) != total else 0
    return _noted(
        Usage(
            proved if prompt is None else prompt,
            found.cached_content_token_count,
            proved if output is None else output,
            proved if thoughts is None else thoughts,
            proved if tool is None else tool,
            total,
            beside,
            read_tier(found.service_tier),
            _details(found.prompt_tokens_details or found.prompt_token_details),
            _details(cached_details) if cached_details else (),
            _details(output_details) if output_details else (),
            _details(tool_details) if tool_details else (),
            THOUGHTS_OUTSIDE_TOTAL if beside else None,
        )
    )


def _noted(usage: Usage) -> Usage:
    notes = contradictions(usage)
    if not notes:
        return usage
    beside = usage.outside_total
    if usage.total == 0:
        # A recorded response of Interactions: the total is 0 although the counts are not.
        beside = sum(each or 0 for each in (usage.prompt, usage.output, usage.thoughts, usage.tool))
    note = "; ".join(filter(None, (usage.note, *notes)))
    return replace(usage, outside_total=beside, note=note)


def _details(found: list[Detail] | list[ModalityTokens] | None) -> Details:
    if not found:
        return ()
    return tuple(
        [
            (_NAMES.get(each.modality) or modality_name(each.modality), each.tokens)
            for each in found
            if each.tokens
        ]
    )


def _other_usage(found: OtherUsage) -> Usage:
    if found.prompt_tokens is not None or found.completion_tokens is not None:
        return _openai_usage(found)
    total, prompt = found.total_tokens, found.total_input_tokens
    prompt, output, thoughts, tool = _fill_zeros(
        total, prompt, found.total_output_tokens, found.total_thought_tokens, found.total_tool_use_tokens
    )
    hidden = (found.raw_prompt_token or 0) - (prompt or 0)
    under_reported = prompt is not None and hidden > max(prompt, USUAL_OVERHEAD)
    return _noted(
        Usage(
            prompt=prompt,
            cached=found.total_cached_tokens,
            output=output,
            thoughts=thoughts,
            tool=tool,
            total=total,
            prompt_details=_details(found.input_tokens_by_modality),
            cached_details=_details(found.cached_tokens_by_modality),
            output_details=_details(found.output_tokens_by_modality),
            tool_details=_details(found.tool_use_tokens_by_modality),
            # It also contains search results.
            note=PROMPT_UNDER_REPORTED if under_reported and not found.grounding_tool_count else None,
        )
    )


def _openai_usage(found: OtherUsage) -> Usage:
    total, prompt, output = found.total_tokens, found.prompt_tokens, found.completion_tokens
    # Some embeddings report 0 tokens with their vectors: at a cost of 0 no budget would limit them.
    if prompt == 0 and not (total or output):
        return Usage(note=NO_TOKENS)
    thoughts = found.completion_tokens_details and found.completion_tokens_details.reasoning_tokens
    if total is not None and prompt is not None and output is not None:
        rest = total - prompt - output
        thoughts = rest if rest >= 0 else thoughts
    prompt, output, thoughts, tool = _fill_zeros(total, prompt, output, thoughts, None)
    cached = found.prompt_tokens_details and found.prompt_tokens_details.cached_tokens
    return _noted(
        Usage(prompt=prompt, cached=cached, output=output, thoughts=thoughts, tool=tool, total=total)
    )


def _fill_zeros(total: int | None, *parts: int | None) -> tuple[int | None, ...]:
    known = tuple([part or 0 for part in parts])
    return known if total is not None and sum(known) == total else parts


class StreamUsage(NamedTuple):
    """A usage split into its output tokens (thoughts included, at least one) and the rest."""

    output: int
    rest: UsageMetadata


def read_stream_usage(raw: bytes) -> StreamUsage | None:
    """Parses a `usageMetadata` whose counts add up to its total and that has no details of its output; None
    for any other."""
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
    # The price of output may depend on whether there are thoughts.
    found.thoughts_token_count = 1 if thoughts else None
    return StreamUsage(output, found)
