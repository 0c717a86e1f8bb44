"""Finds calls: filters in the gateway's grammar, written from what is on the screen, and the wish to see what
one finds. To read them is the gateway's part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual.message import Message

from gatekeeper.client.api_types import Call

# What needs no quotes. A minus in front would negate the term.
BARE = re.compile(r"[\w./@+][\w./@+-]*")


def term(field: str, value: str | None) -> str:
    """What finds the calls with this value; with None, those that have none.

    A negated term also holds where the field is empty, and `*` stands for anything: `-tag:*` is "no tags".
    """
    if value is None:
        # A negated term also holds where the field is empty, and `*` stands for anything.
        return f"-{field}:*"
    return f"{field}:{quoted(value)}"


def group(by: str, value: str | None) -> str:
    """What finds exactly the calls that a sum by this group counts under the value. The group `key` is the
    alias, else the id; the field of that name finds calls with either."""
    # By `key` one finds calls with either, alias or id: more than the group counts.
    return term("label" if by == "key" else by, value)


def quoted(value: str) -> str:
    """As it is, or in quotes where the grammar could read something else in it: blanks, `*`, `:`…"""
    if BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def alike(call: Call) -> str:
    """Finds calls of the same key for the same model, and of the same end if that was not a good one."""
    fields = {"key": call.key_alias or call.key_id, "model": call.model}
    if call.outcome not in (None, "ok"):
        fields["outcome"] = call.outcome
    return " ".join(term(field, value) for field, value in fields.items() if value)


@dataclass
class ShowCalls(Message):
    """The calls that this filter finds are to be shown; esc leads back to where it was asked."""

    filter: str
