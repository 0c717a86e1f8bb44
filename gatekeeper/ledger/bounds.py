"""How much of a call a row keeps. Whatever a client, a key or Google sends, a row takes some 70 KB at most,
so that no request fills memory and none makes a row that the analytics file cannot store.

What was cut says so: a text ends with `…`, and of too many tags the last is `…`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter

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
_texts: Callable[[Call], tuple[str | None, ...]] = attrgetter(*(name for name, _ in _TEXTS))
_REST = 2000  # bytes of memory for a call without its long texts
_CHARACTER = 2  # bytes that one takes: mostly 1, at most 4


def cut(text: str, limit: int = TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + MARK


def cut_tags(tags: Iterable[str]) -> list[str]:
    kept = list(dict.fromkeys(cut(tag, TAG) for tag in tags))
    return kept if len(kept) <= TAGS else [*kept[: TAGS - 1], MARK]


def bound(call: Call) -> None:
    """Cuts what is too long. Done twice it changes nothing more."""
    if max(map(len, filter(None, _texts(call))), default=0) > TEXT:  # cheaper than a look at each of them
        for name, limit in _TEXTS:
            if text := getattr(call, name):
                setattr(call, name, cut(text, limit))
    if call.tags and (len(call.tags) > TAGS or max(map(len, call.tags)) > TAG):
        call.tags = cut_tags(call.tags)
    if call.usage is not None and (size := memoryview(call.usage).nbytes) > USAGE:
        call.usage = None
        notes = (f"usage of {size:,} bytes was not kept", call.usage_note)
        call.usage_note = cut("; ".join(filter(None, notes)), LONGER["usage_note"])


def weight(call: Call) -> int:
    """About how many bytes of memory a call takes."""
    usage = 0 if call.usage is None else memoryview(call.usage).nbytes
    characters = len(call.path) + len(call.user_id or "") + len(call.user_agent or "")
    characters += len(call.error_message or "") + (sum(map(len, call.tags)) if call.tags else 0)
    return _REST + usage + _CHARACTER * characters
