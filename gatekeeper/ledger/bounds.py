"""How much of a call a row keeps. Whatever a client, a key or Google sends, a row takes some 70 KB at most,
so that no request fills memory and none makes a row that the analytics file cannot store.

What was cut says so: a text ends with `…`, and of too many tags the last is `…`.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof

from gatekeeper.ledger.entry import COLUMNS, Call

MARK = "…"
TEXT = 256
"""Characters of a text that is not named below."""
LONGER = {"path": 2048, "user_id": 512, "user_agent": 512, "error_message": 500, "usage_note": 500}
TAGS = 64
TAG = 128
"""Characters."""
USAGE = 16 * 1024
"""Bytes of `usage`, which is kept whole or not at all; Google's have less than 2,000."""

_TEXTS = tuple(
    (name, LONGER.get(name, TEXT))
    for name, kind in COLUMNS.items()
    if kind == "VARCHAR" and name != "outcome"  # which is one of our own words
)
_REST = 2000  # bytes of memory for a call without its long texts


def cut(text: str, limit: int = TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + MARK


def cut_tags(tags: Iterable[str]) -> list[str]:
    kept = list(dict.fromkeys(cut(tag, TAG) for tag in tags))
    return kept if len(kept) <= TAGS else [*kept[: TAGS - 1], MARK]


def bound(call: Call) -> None:
    """Cuts what is too long. Done twice it changes nothing more."""
    for name, limit in _TEXTS:
        text = getattr(call, name)
        if text is not None and len(text) > limit:
            setattr(call, name, cut(text, limit))
    if call.tags:
        call.tags = cut_tags(call.tags)
    if call.usage is not None and (size := memoryview(call.usage).nbytes) > USAGE:
        call.usage = None
        notes = (f"usage of {size:,} bytes was not kept", call.usage_note)
        call.usage_note = cut("; ".join(filter(None, notes)), LONGER["usage_note"])


def weight(call: Call) -> int:
    """About how many bytes of memory a call takes."""
    texts = (call.path, call.user_id, call.user_agent, call.error_message, *call.tags)
    usage = 0 if call.usage is None else memoryview(call.usage).nbytes
    return _REST + usage + sum(map(getsizeof, texts))
