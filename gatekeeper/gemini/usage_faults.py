"""Validates a usage object as Google sent it, and explains what is wrong with it. Pure; nothing raises.

There are two kinds of faults. An invalid value (a count that is negative, fractional, too large or not a
number; details that are not a list of counts) is removed, so that the count is unknown. Its name is kept,
because an invalid count differs from a missing one. Counts that contradict each other are kept: which of them
is charged is decided in `pricing`, and the messages here state those rules.

Known deviations are not faults: responses of v1 include thoughts in the total only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple, Protocol

from gatekeeper.gemini.json_values import Details, as_list, as_object, read_count, read_details

MAX_SHOWN = 40
"""Characters of a value that a message shows."""

UNREADABLE_NOTE = "the reported usage cannot be read as JSON"
THOUGHTS_OUTSIDE_TOTAL = "the reported total leaves the thoughts out"
THOUGHTS_IN_OUTPUT = "the reported output already contains the thoughts: the total counts"

# From the names in responses to those in `Usage`: generateContent, embeddings and Live; Interactions;
# OpenAI-style
COUNTS = {
    "promptTokenCount": "prompt",
    "cachedContentTokenCount": "cached",
    "candidatesTokenCount": "output",
    "responseTokenCount": "output",
    "thoughtsTokenCount": "thoughts",
    "toolUsePromptTokenCount": "tool",
    "totalTokenCount": "total",
    "total_input_tokens": "prompt",
    "total_cached_tokens": "cached",
    "total_output_tokens": "output",
    "total_thought_tokens": "thoughts",
    "total_tool_use_tokens": "tool",
    "total_tokens": "total",
    # Not charged, so an invalid one makes no count unknown
    "raw_prompt_token": "",
    "prompt_tokens": "prompt",
    "completion_tokens": "output",
}
DETAILS = {
    "promptTokensDetails": "prompt_details",
    "promptTokenDetails": "prompt_details",
    "cacheTokensDetails": "cached_details",
    "candidatesTokensDetails": "output_details",
    "responseTokensDetails": "output_details",
    "toolUsePromptTokensDetails": "tool_details",
}
BY_MODALITY = {
    "input_tokens_by_modality": "prompt_details",
    "cached_tokens_by_modality": "cached_details",
    "output_tokens_by_modality": "output_details",
    "tool_use_tokens_by_modality": "tool_details",
}
# OpenAI-style: objects of which one count is read
NESTED = {
    "prompt_tokens_details": ("cached_tokens", "cached"),
    "completion_tokens_details": ("reasoning_tokens", "thoughts"),
}


GOOGLE = {name for name in COUNTS if name.endswith("TokenCount")} | DETAILS.keys() | {"serviceTier"}
OTHERS = (COUNTS.keys() | BY_MODALITY.keys() | NESTED.keys() | {"grounding_tool_count"}) - GOOGLE

# Live's names, which are used to write a sum of usages
LIVE_NAMES = {
    "promptTokenCount": "prompt",
    "cachedContentTokenCount": "cached",
    "responseTokenCount": "output",
    "toolUsePromptTokenCount": "tool",
    "thoughtsTokenCount": "thoughts",
    "totalTokenCount": "total",
    "serviceTier": "service_tier",
    "promptTokensDetails": "prompt_details",
    "cacheTokensDetails": "cached_details",
    "responseTokensDetails": "output_details",
    "toolUsePromptTokensDetails": "tool_details",
}


class Cleaned(NamedTuple):
    """A usage object without its invalid values; the fields of `Usage` that are unknown for that reason; the
    faults in words."""

    members: dict[str, object]
    invalid: tuple[str, ...]
    faults: tuple[str, ...]


def clean(members: dict[str, object]) -> Cleaned:
    """Removes invalid values; a count that is written in another JSON form ("12", 12.0) becomes an integer.
    Only members of one API's format are kept; `usageMetadata` takes precedence."""
    kept: dict[str, object] = {}
    spelling = GOOGLE if not GOOGLE.isdisjoint(members) else OTHERS
    invalid: dict[str, None] = {}
    faults: list[str] = []
    for name, value in members.items():
        if name not in spelling or value is None:
            continue
        found = _READERS[name](name, value)
        if found.value is not None:
            kept[name] = found.value
        if found.invalid:
            invalid[found.invalid] = None
            faults.append(f"{name} is {_shown(value)}, {found.instead_of}")
    return Cleaned(kept, tuple(invalid), tuple(faults))


def no_object_note(raw: bytes) -> str:
    """The note on a value that was sent in place of a usage object."""
    text = raw[: 8 * MAX_SHOWN].decode(errors="replace")
    return f"the reported usage is {_shortened(text)}, which is no object"


def _shown(value: object) -> str:
    return _shortened(json.dumps(value, ensure_ascii=False))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


class _Read(NamedTuple):
    """The value to keep; the field of `Usage` that is unknown if a part was removed."""

    value: object
    invalid: str | None = None
    instead_of: str = ""


def _count(name: str, value: object) -> _Read:
    count = read_count(value)
    return _Read(count, COUNTS[name] if count is None else None, "which is no count of tokens")


def _nested(name: str, value: object) -> _Read:
    inner, field = NESTED[name]
    members = as_object(value)
    sent = members.get(inner) if members is not None else value
    count = None if members is None else read_count(sent)
    wrong = field if sent is not None and count is None else None
    return _Read({inner: count}, wrong, f"where {inner} is no count of tokens")


def _details(name: str, value: object) -> _Read:
    count_name = "tokens" if name in BY_MODALITY else "tokenCount"
    details = read_details(value, count_name)
    kept = [{"modality": modality, count_name: count} for modality, count in details]
    # A modality without a count has 0 tokens: Google omits zeros.
    whole = _is_list(value) and all(_is_detail(each, count_name) for each in as_list(value))
    field = DETAILS.get(name) or BY_MODALITY[name]
    return _Read(kept, None if whole else field, "which is no list of counts by modality")


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_detail(value: object, count_name: str) -> bool:
    members = as_object(value)
    if members is None:
        return False
    count = members.get(count_name)
    return count is None or read_count(count) is not None


def _tier(_name: str, value: object) -> _Read:
    # `type`, because True is an int to isinstance.
    known = type(value) in (str, int)
    return _Read(value if known else None, None if known else "service_tier", "which is no tier")


_READERS: dict[str, Callable[[str, object], _Read]] = {
    **dict.fromkeys(COUNTS, _count),
    **dict.fromkeys([*DETAILS, *BY_MODALITY], _details),
    **dict.fromkeys(NESTED, _nested),
    "serviceTier": _tier,
    "grounding_tool_count": lambda _, value: _Read(value),
}


class Reported(Protocol):
    """The counts of one usage; see `Usage`."""

    @property
    def prompt(self) -> int | None: ...
    @property
    def cached(self) -> int | None: ...
    @property
    def output(self) -> int | None: ...
    @property
    def thoughts(self) -> int | None: ...
    @property
    def tool(self) -> int | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def outside_total(self) -> int: ...
    @property
    def prompt_details(self) -> Details: ...
    @property
    def cached_details(self) -> Details: ...
    @property
    def output_details(self) -> Details: ...
    @property
    def tool_details(self) -> Details: ...


def contradictions(usage: Reported) -> list[str]:
    """Explains each contradiction between the counts of one usage, and which of them is charged."""
    found: list[str] = []
    prompt, output, total = usage.prompt, usage.output, usage.total
    read = (prompt or 0) + (usage.tool or 0)
    if total is not None and not usage.outside_total:
        counted = read + (output or 0) + (usage.thoughts or 0)
        if total != counted and (total < counted or usage.thoughts is not None):
            found.append(_of_the_total(total, read, output or 0, usage.thoughts or 0))
    if usage.cached and prompt is not None and usage.cached > prompt:
        found.append(f"{usage.cached:,} cached tokens are more than the {prompt:,} of the prompt")
    if usage.prompt_details and prompt is not None:
        found += _of_details("prompt", prompt, usage.prompt_details)
    if usage.cached_details:
        # A missing count may be an omitted 0, and the total proves nothing about this one.
        found += _of_details("cached part", usage.cached or 0, usage.cached_details)
    if usage.output_details and output is not None:
        # The details may include thoughts that only the total includes.
        found += _of_details("output", max(output, (total or 0) - read), usage.output_details)
    if usage.tool_details and usage.tool is not None:
        found += _of_details("tool use", usage.tool, usage.tool_details)
    return found


def _of_details(what: str, count: int, details: Details) -> tuple[str, ...]:
    tokens = sum([tokens for _, tokens in details])
    if tokens <= count:
        return ()
    return (f"the details of the {what} add up to {tokens:,} tokens, more than its {count:,}",)


def _of_the_total(total: int, read: int, output: int, thoughts: int) -> str:
    counted = read + output + thoughts
    if total == 0:
        return f"the total is 0 beside {counted:,} tokens: the single counts count"
    if total < read:
        return f"the total of {total:,} is below prompt and tool use ({read:,}): the single counts count"
    if total > counted:
        more = total - counted
        return f"the total has {more:,} tokens more than the counts together: they are charged as output"
    if total == read + output and output >= thoughts:
        return THOUGHTS_IN_OUTPUT
    return f"the counts add up to {counted:,}, more than the total of {total:,}: the total counts"
