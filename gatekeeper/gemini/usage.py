"""The usage that a response reports, in the words of each of Google's APIs, as one typed `Usage`.

- generateContent, embeddings and caches: `usageMetadata`. Live writes `responseTokenCount` in it, and reports
  one for each turn of a session, so that a session's is a list of them.
- Interactions: `usage` with `total_input_tokens` and its kin, details by modality in lower case.
- OpenAI-style: `prompt_tokens`, `completion_tokens`, `total_tokens`. Google leaves thoughts out of the
  completion, so they are what the total has beside prompt and completion.

A count that is missing or no count (`token_counts`) is not reported: None, never 0. Google omits zeros. A
missing count is 0 only where the total proves it: if the reported ones of prompt, output, thoughts and tool
add up to the total, the others are 0. Cached tokens are part of the prompt, so the total proves nothing about
them.

Nothing is corrected: where counts and total contradict each other, all of them stay as reported. What the
tokens cost, and which count takes precedence, is decided in `pricing`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gatekeeper.gemini.json_values import as_object
from gatekeeper.gemini.token_counts import Details, read_count, read_details, read_tier

THOUGHTS_BESIDE_TOTAL = "the reported total leaves the thoughts out"
PROMPT_UNDER_REPORTED = "the reported prompt is smaller than the one that was read (raw_prompt_token)"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts as the ledger's columns mean them, with the details by modality where they were given.

    `prompt` includes `cached`; `output` is the candidates, without thoughts. The details name modalities
    in lower case (`text image video audio document`, or whatever Google invents), in the order received;
    they may make up less than their count. `beside_total` are tokens that the total leaves out:
    thoughts of a Live turn; in a sum, also what turns have used whose own total is missing or too small.
    `note` says what is known to be wrong with the counts.
    """

    prompt: int | None = None
    cached: int | None = None
    output: int | None = None
    thoughts: int | None = None
    tool: int | None = None
    total: int | None = None
    beside_total: int = 0
    service_tier: str | None = None
    prompt_details: Details = ()
    cached_details: Details = ()
    output_details: Details = ()
    tool_details: Details = ()
    note: str | None = None


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
    # Live's names for the candidates
    response_token_count: object = None
    response_tokens_details: object = None


class _OtherUsage(msgspec.Struct):
    """The field names of Interactions, and OpenAI's. `total_tokens` is a name of both."""

    total_input_tokens: object = None
    total_cached_tokens: object = None
    total_output_tokens: object = None
    total_thought_tokens: object = None
    total_tool_use_tokens: object = None
    total_tokens: object = None
    input_tokens_by_modality: object = None
    cached_tokens_by_modality: object = None
    output_tokens_by_modality: object = None
    tool_use_tokens_by_modality: object = None
    # Undocumented; seen beside a far smaller `total_input_tokens` where `previous_interaction_id` was given
    raw_prompt_token: object = None
    prompt_tokens: object = None
    completion_tokens: object = None
    prompt_tokens_details: object = None
    completion_tokens_details: object = None


_decode_google = msgspec.json.Decoder(_UsageMetadata).decode
_decode_other = msgspec.json.Decoder(_OtherUsage).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_usage(raw: bytes) -> Usage | None:
    """The counts of one usage object in any of the spellings, or the sum of a list of them; None for other
    bytes. Never raises."""
    if raw.lstrip()[:1] != b"[":
        return _read_object(raw)
    try:
        turns = _decode_list(raw)
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
    return add_usages(usage for turn in turns if (usage := _read_object(bytes(turn))))


def _read_object(raw: bytes) -> Usage | None:
    try:
        found = _google_usage(_decode_google(raw))
        # The first test is the quick one.
        unknown = found.total is None and found == _NOTHING
        return _other_usage(_decode_other(raw)) if unknown else found
    except (ValueError, RecursionError):
        return None


def add_usages(usages: Iterable[Usage]) -> Usage | None:
    """The sum of each count and of each modality; None if there is nothing to add. A count that only some of
    them report is the sum of these. The tier is the last one's."""
    several = list(usages)
    if len(several) < 2:
        return several[0] if several else None
    notes = dict.fromkeys(note for usage in several if usage.note for note in usage.note.split("; "))
    return Usage(
        prompt=_sum(usage.prompt for usage in several),
        cached=_sum(usage.cached for usage in several),
        output=_sum(usage.output for usage in several),
        thoughts=_sum(usage.thoughts for usage in several),
        tool=_sum(usage.tool for usage in several),
        total=_sum(usage.total for usage in several),
        beside_total=sum(_beside_total(usage) for usage in several),
        service_tier=next((usage.service_tier for usage in reversed(several) if usage.service_tier), None),
        prompt_details=_sum_details(usage.prompt_details for usage in several),
        cached_details=_sum_details(usage.cached_details for usage in several),
        output_details=_sum_details(usage.output_details for usage in several),
        tool_details=_sum_details(usage.tool_details for usage in several),
        note="; ".join(notes) or None,
    )


def _beside_total(usage: Usage) -> int:
    counted = (usage.prompt or 0) + (usage.tool or 0)
    if usage.total is not None and usage.total >= counted:
        return usage.beside_total
    return counted + (usage.output or 0) + (usage.thoughts or 0) - (usage.total or 0)


def encode_usage(usage: Usage) -> bytes:
    """The usage as one object in Live's spelling, for a sum that replaces what was received."""
    counts = {
        "promptTokenCount": usage.prompt,
        "cachedContentTokenCount": usage.cached,
        "responseTokenCount": usage.output,
        "toolUsePromptTokenCount": usage.tool,
        "thoughtsTokenCount": usage.thoughts,
        "totalTokenCount": _written_total(usage),
        "serviceTier": usage.service_tier,
    }
    details = {
        "promptTokensDetails": usage.prompt_details,
        "cacheTokensDetails": usage.cached_details,
        "responseTokensDetails": usage.output_details,
        "toolUsePromptTokensDetails": usage.tool_details,
    }
    known: dict[str, object] = {name: value for name, value in counts.items() if value is not None}
    for name, by_modality in details.items():
        if by_modality:
            known[name] = [
                {"modality": modality.upper(), "tokenCount": count} for modality, count in by_modality
            ]
    return msgspec.json.encode(known)


def _written_total(usage: Usage) -> int | None:
    """The total by which the usage is read as it is. What the totals of single turns left out is in it,
    unless that shows in the counts beside it."""
    if usage.total is None or _leaves_out_thoughts(usage.total, usage.prompt, usage.output, usage.tool):
        return usage.total
    return usage.total + usage.beside_total


def _leaves_out_thoughts(total: int | None, prompt: int | None, output: int | None, tool: int | None) -> bool:
    return total == (prompt or 0) + (output or 0) + (tool or 0)


def _google_usage(found: _UsageMetadata) -> Usage:
    total = read_count(found.total_token_count)
    candidates = read_count(found.candidates_token_count)
    live = read_count(found.response_token_count) if candidates is None else None
    prompt, output, thoughts, tool = _fill_zeros(
        total,
        read_count(found.prompt_token_count),
        candidates if live is None else live,
        read_count(found.thoughts_token_count),
        read_count(found.tool_use_prompt_token_count),
    )
    beside = thoughts if live and thoughts and _leaves_out_thoughts(total, prompt, live, tool) else 0
    return Usage(
        prompt=prompt,
        cached=read_count(found.cached_content_token_count),
        output=output,
        thoughts=thoughts,
        tool=tool,
        total=total,
        beside_total=beside,
        service_tier=read_tier(found.service_tier),
        prompt_details=read_details(found.prompt_tokens_details or found.prompt_token_details),
        cached_details=read_details(found.cache_tokens_details),
        output_details=read_details(found.candidates_tokens_details or found.response_tokens_details),
        tool_details=read_details(found.tool_use_prompt_tokens_details),
        note=THOUGHTS_BESIDE_TOTAL if beside else None,
    )


_NOTHING = Usage()


def _other_usage(found: _OtherUsage) -> Usage:
    if found.prompt_tokens is not None or found.completion_tokens is not None:
        return _openai_usage(found)
    total = read_count(found.total_tokens)
    prompt, output, thoughts, tool = _fill_zeros(
        total,
        read_count(found.total_input_tokens),
        read_count(found.total_output_tokens),
        read_count(found.total_thought_tokens),
        read_count(found.total_tool_use_tokens),
    )
    under_reported = prompt is not None and (read_count(found.raw_prompt_token) or 0) > prompt
    return Usage(
        prompt=prompt,
        cached=read_count(found.total_cached_tokens),
        output=output,
        thoughts=thoughts,
        tool=tool,
        total=total,
        prompt_details=read_details(found.input_tokens_by_modality, "tokens"),
        cached_details=read_details(found.cached_tokens_by_modality, "tokens"),
        output_details=read_details(found.output_tokens_by_modality, "tokens"),
        tool_details=read_details(found.tool_use_tokens_by_modality, "tokens"),
        note=PROMPT_UNDER_REPORTED if under_reported else None,
    )


def _openai_usage(found: _OtherUsage) -> Usage:
    total, prompt = read_count(found.total_tokens), read_count(found.prompt_tokens)
    output = read_count(found.completion_tokens)
    thoughts = read_count((as_object(found.completion_tokens_details) or {}).get("reasoning_tokens"))
    if total is not None and prompt is not None and output is not None:
        rest = total - prompt - output
        thoughts = rest if rest >= 0 else thoughts
    prompt, output, thoughts, tool = _fill_zeros(total, prompt, output, thoughts, None)
    return Usage(
        prompt=prompt,
        cached=read_count((as_object(found.prompt_tokens_details) or {}).get("cached_tokens")),
        output=output,
        thoughts=thoughts,
        tool=tool,
        total=total,
    )


def _fill_zeros(total: int | None, *parts: int | None) -> tuple[int | None, ...]:
    if total is None:
        return parts
    known = tuple([part or 0 for part in parts])
    return known if sum(known) == total else parts


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _sum_details(several: Iterable[Details]) -> Details:
    found: dict[str, int] = {}
    for details in several:
        for modality, count in details:
            found[modality] = found.get(modality, 0) + count
    return tuple(found.items())
