"""The usage that a response reports, in the words of each of Google's APIs, as one typed `Usage`.

- generateContent, embeddings and caches: `usageMetadata`. Live writes `responseTokenCount` in it, and reports
  one for each turn of a session, so that a session's is a list of them.
- Interactions: `usage` with `total_input_tokens` and its kin, details by modality in lower case.
- OpenAI-style: `prompt_tokens`, `completion_tokens`, `total_tokens`. Google leaves thoughts out of the
  completion, so they are what the total has beside prompt and completion.

A count that is missing is not reported: None, never 0. Google omits zeros. A missing count is 0 only where
the total proves it: if the reported ones of prompt, output, thoughts and tool add up to the total, the others
are 0. Cached tokens are part of the prompt, so the total proves nothing about them.

Nothing is corrected: where counts and total contradict each other, all of them stay as reported, with a note.
What is no count is None too, and named in `Usage.invalid`: what such a call costs is unknown where that count
matters. What the tokens cost, and which count takes precedence, is decided in `pricing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from gatekeeper.gemini.token_counts import Details, modality_name, read_tier
from gatekeeper.gemini.usage_document import (
    Detail,
    ModalityTokens,
    OtherUsage,
    UsageMetadata,
    decode_members,
    decode_other_usage,
    decode_turns,
    decode_usage_metadata,
)
from gatekeeper.gemini.usage_faults import (
    LIVE_NAMES,
    THOUGHTS_BESIDE_TOTAL,
    UNREADABLE_NOTE,
    clean,
    contradictions,
    no_object_note,
)

MAX_USAGE_BYTES = 16 * 1024
"""Bytes of a usage, or of a list of them, that are read. The ledger stores as many; Google's have 2,000."""

# Tokens that Google wraps a prompt in, and does not charge: recorded were 19 to 34.
USUAL_OVERHEAD = 100
NO_TOKENS = "the reported usage has no tokens at all, which no call can have: what it used is unknown"
PROMPT_UNDER_REPORTED = "the reported prompt is smaller than the one that was read (raw_prompt_token)"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts as the ledger's columns mean them, with the details by modality where they were given.

    `prompt` includes `cached`; `output` is the candidates, without thoughts. The details name modalities
    in lower case (`text image video audio document`, or whatever Google invents), in the order received;
    they may make up less than their count. `beside_total` are tokens that the total leaves out:
    thoughts of a Live turn; all, if it is 0 beside other counts; in a sum, also what turns have used whose
    own total is missing or too small.
    `note` says what is known to be wrong with the counts. `invalid` names the fields here that were sent and
    are no counts; `usage`: all of them.
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
    invalid: tuple[str, ...] = ()


_NOTHING = Usage()
_COUNTS = ("prompt", "cached", "output", "thoughts", "tool", "total")


def read_usage(raw: bytes) -> Usage | None:
    """The counts of one usage object in any of the spellings, or the sum of a list of them; None for bytes
    that are neither. Never raises."""
    if len(raw) > MAX_USAGE_BYTES:
        return _unreadable(f"the usage has {len(raw):,} bytes, more than any call's")
    try:
        if raw.lstrip()[:1] != b"[":
            return _read_object(raw)
        return add_usages([_read_turn(bytes(turn)) for turn in decode_turns(raw)])
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None


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
    """Raises ValueError or RecursionError for bytes that are no JSON object."""
    try:
        return _read_valid(raw)
    except msgspec.ValidationError:
        cleaned = clean(decode_members(raw))
    usage = _read_valid(msgspec.json.encode(cleaned.members))
    if not cleaned.invalid:
        return usage
    # What the total seems to prove, or to contradict, may be the work of what was left out.
    unknown = {name: None for name in cleaned.invalid if name in _COUNTS}
    note = "; ".join(cleaned.faults)
    return msgspec.structs.replace(usage, **unknown, invalid=cleaned.invalid, note=note)


def _read_valid(raw: bytes) -> Usage:
    usage = _google_usage(decode_usage_metadata(raw))
    # The first test is the quick one.
    unknown = usage.total is None and usage == _NOTHING
    return _other_usage(decode_other_usage(raw)) if unknown else usage


def _google_usage(found: UsageMetadata) -> Usage:
    total, prompt = found.total_token_count, found.prompt_token_count
    thoughts, tool = found.thoughts_token_count, found.tool_use_prompt_token_count
    output, output_details = found.candidates_token_count, found.candidates_tokens_details
    is_live = output is None and found.response_token_count is not None
    if is_live:
        output, output_details = found.response_token_count, found.response_tokens_details
    known = (prompt or 0) + (output or 0) + (tool or 0)
    beside = thoughts if is_live and thoughts and output and known == total else 0
    proved = None if known + (thoughts or 0) != total else 0
    return _noted(
        Usage(
            prompt=proved if prompt is None else prompt,
            cached=found.cached_content_token_count,
            output=proved if output is None else output,
            thoughts=proved if thoughts is None else thoughts,
            tool=proved if tool is None else tool,
            total=total,
            beside_total=beside or 0,
            service_tier=read_tier(found.service_tier),
            prompt_details=_details(found.prompt_tokens_details or found.prompt_token_details),
            cached_details=_details(found.cache_tokens_details),
            output_details=_details(output_details),
            tool_details=_details(found.tool_use_prompt_tokens_details),
            note=THOUGHTS_BESIDE_TOTAL if beside else None,
        )
    )


def _noted(usage: Usage) -> Usage:
    notes = contradictions(usage)
    if not notes:
        return usage
    beside = usage.beside_total
    if usage.total == 0:
        # Recorded of Interactions: it leaves out all that the counts have.
        beside = sum(each or 0 for each in (usage.prompt, usage.output, usage.thoughts, usage.tool))
    note = "; ".join(filter(None, (usage.note, *notes)))
    return msgspec.structs.replace(usage, beside_total=beside, note=note)


def _details(found: list[Detail] | list[ModalityTokens] | None) -> Details:
    if not found:
        return ()
    return tuple([(modality_name(each.modality), each.tokens) for each in found if each.tokens])


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
            # What a search has found is in it too.
            note=PROMPT_UNDER_REPORTED if under_reported and not found.grounding_tool_count else None,
        )
    )


def _openai_usage(found: OtherUsage) -> Usage:
    total, prompt, output = found.total_tokens, found.prompt_tokens, found.completion_tokens
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


def add_usages(usages: Iterable[Usage]) -> Usage | None:
    """The sum of each count and of each modality; None if there is nothing to add. A count that only some of
    them report is the sum of these; one that is invalid in one of them is unknown. The tier is the last
    one's."""
    several = list(usages)
    if len(several) < 2:
        return several[0] if several else None
    notes = dict.fromkeys(note for usage in several if usage.note for note in usage.note.split("; "))
    invalid = dict.fromkeys(name for usage in several for name in usage.invalid)
    known = () if "usage" in invalid else [name for name in _COUNTS if name not in invalid]
    counts = {name: _sum(getattr(usage, name) for usage in several) for name in known}
    return Usage(
        **counts,
        beside_total=sum(_beside_total(usage) for usage in several),
        service_tier=next((usage.service_tier for usage in reversed(several) if usage.service_tier), None),
        prompt_details=_sum_details(usage.prompt_details for usage in several),
        cached_details=_sum_details(usage.cached_details for usage in several),
        output_details=_sum_details(usage.output_details for usage in several),
        tool_details=_sum_details(usage.tool_details for usage in several),
        note="; ".join(notes) or None,
        invalid=tuple(invalid),
    )


def _beside_total(usage: Usage) -> int:
    counted = (usage.prompt or 0) + (usage.tool or 0)
    if usage.total is not None and usage.total >= counted:
        return usage.beside_total
    return counted + (usage.output or 0) + (usage.thoughts or 0) - (usage.total or 0)


def encode_usage(usage: Usage) -> bytes:
    """The usage as one object in Live's spelling, for a sum that replaces what was received. Of what is
    invalid it says that it is unknown, which is no count either."""
    written: dict[str, object] = {}
    for name, field in LIVE_NAMES.items():
        value = _written_total(usage) if field == "total" else getattr(usage, field)
        if field in usage.invalid or ("usage" in usage.invalid and name.endswith("Count")):
            written[name] = "unknown"
        elif isinstance(value, tuple):
            details = [
                {"modality": modality.upper(), "tokenCount": count}
                for modality, count in cast("Details", value)
            ]
            written |= {name: details} if details else {}
        elif value is not None:
            written[name] = value
    return msgspec.json.encode(written)


def _written_total(usage: Usage) -> int | None:
    """The total by which the usage is read as it is. What the totals of single turns left out is in it,
    unless that shows in the counts beside it."""
    if usage.total is None:
        return None
    # Thoughts beside a total are read as such where there was output.
    if usage.output and usage.total == (usage.prompt or 0) + usage.output + (usage.tool or 0):
        return usage.total
    return usage.total + usage.beside_total


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _sum_details(several: Iterable[Details]) -> Details:
    found: dict[str, int] = {}
    for details in several:
        for modality, count in details:
            found[modality] = found.get(modality, 0) + count
    return tuple(found.items())
