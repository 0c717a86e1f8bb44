"""`Usage`, the token counts of a call by kind and modality, and sums of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import cast

import msgspec
from msgspec.structs import replace

from gatekeeper.gemini.json_values import Details
from gatekeeper.gemini.usage_faults import LIVE_NAMES

COUNTS = ("prompt", "cached", "output", "thoughts", "tool", "total")


class Usage(msgspec.Struct, frozen=True):
    """Token counts as in the ledger's columns, with the details by modality if reported.

    `prompt` includes `cached`; `output` is the candidates, without thoughts. The details name modalities
    in lower case (`text image video audio document`, or any that Google adds), in the order received; they
    may add up to less than their count. `outside_total` are tokens that the total does not include: the
    thoughts of a Live turn; all, if the total is 0 but the counts are not; in a sum, also the tokens of turns
    whose own total is missing or too small. `note` says what is known to be wrong with the counts. `invalid`
    has the names of fields whose reported values were invalid; `usage` stands for all of them.
    """

    prompt: int | None = None
    cached: int | None = None
    output: int | None = None
    thoughts: int | None = None
    tool: int | None = None
    total: int | None = None
    outside_total: int = 0
    service_tier: str | None = None
    prompt_details: Details = ()
    cached_details: Details = ()
    output_details: Details = ()
    tool_details: Details = ()
    note: str | None = None
    invalid: tuple[str, ...] = ()
    is_sum: bool = False


def add_usages(usages: Iterable[Usage]) -> Usage | None:
    """The sum of each count and of each modality; None for no usages. A count that only some report is the
    sum of those; one that is invalid in any of them is unknown. The tier is the last one's. Sums can be
    added, too."""
    return reduce(_plus, usages, None)


def _plus(total: Usage | None, usage: Usage) -> Usage:
    if total is None:
        return usage
    found = Usage(
        _sum(total.prompt, usage.prompt),
        _sum(total.cached, usage.cached),
        _sum(total.output, usage.output),
        _sum(total.thoughts, usage.thoughts),
        _sum(total.tool, usage.tool),
        _sum(total.total, usage.total),
        _outside_total(total) + _outside_total(usage),
        usage.service_tier or total.service_tier,
        _sum_details(total.prompt_details, usage.prompt_details),
        _sum_details(total.cached_details, usage.cached_details),
        _sum_details(total.output_details, usage.output_details),
        _sum_details(total.tool_details, usage.tool_details),
        _join(total.note, usage.note),
        is_sum=True,
    )
    invalid = (*total.invalid, *usage.invalid)
    return _without(found, tuple(dict.fromkeys(invalid))) if invalid else found


def _without(usage: Usage, invalid: tuple[str, ...]) -> Usage:
    """The usage with these fields unknown."""
    unknown = COUNTS if "usage" in invalid else [name for name in COUNTS if name in invalid]
    return replace(usage, **dict.fromkeys(unknown), invalid=invalid)


def _outside_total(usage: Usage) -> int:
    counted = (usage.prompt or 0) + (usage.tool or 0)
    # A sum already includes what the totals of its turns leave out.
    if usage.is_sum or (usage.total is not None and usage.total >= counted):
        return usage.outside_total
    return counted + (usage.output or 0) + (usage.thoughts or 0) - (usage.total or 0)


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _sum_details(one: Details, other: Details) -> Details:
    if not other:
        return one
    found = dict(one)
    for modality, count in other:
        found[modality] = found.get(modality, 0) + count
    return tuple(found.items())


def _join(notes: str | None, more: str | None) -> str | None:
    """Joins notes, each once."""
    if not notes or not more:
        return notes or more
    return "; ".join(dict.fromkeys([*notes.split("; "), *more.split("; ")]))


def encode_usage(usage: Usage) -> bytes:
    """The usage as one object in Live's format, for a sum that replaces what was received. Invalid counts are
    written as strings, so that they are invalid when it is read again."""
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
    """The total with which `read_usage` restores the same usage. It includes what the totals of single turns
    leave out, unless that follows from the counts."""
    if usage.total is None:
        return None
    # With output, thoughts outside the total are recognized when it is read.
    if usage.output and usage.total == (usage.prompt or 0) + usage.output + (usage.tool or 0):
        return usage.total
    return usage.total + usage.outside_total
