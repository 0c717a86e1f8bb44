"""Limits of a key that the gateway keeps and does nothing about yet, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tui import format  # noqa: A004 - the room's word for it
from tui.documents import Key

STORED = "stored, not enforced yet"
WORDS = {
    "rpm_limit": "calls a minute",
    "tpm_limit": "tokens a minute",
    "max_parallel_requests": "calls at once",
    "on_disconnect": "on disconnect",
}


def stored_only(keys: Iterable[Key]) -> str:
    """Which limits of these keys nobody can rely on, and how many keys have them; empty if none."""
    names = Counter(name for key in keys for name in key.not_enforced)
    listed = (f"{WORDS.get(name, name)} ({format.counted(count, 'key')})" for name, count in names.items())
    return f"{STORED}: {', '.join(listed)}" if names else ""


def of_one(key: Key) -> str:
    """The same of one key."""
    names = ", ".join(WORDS.get(name, name) for name in key.not_enforced)
    return f"{names}: {STORED}" if names else ""
