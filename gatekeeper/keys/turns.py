"""Long work on the event loop, between whose parts calls have their turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

AT_ONCE = 100
"""Keys, of which each takes up to 60 µs."""

T = TypeVar("T")
R = TypeVar("R")


async def mapped(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results for all items, in their order. It is not cancelled in between: memory must have all that is
    on disk."""
    results: list[R] = []
    for start in range(0, len(items), AT_ONCE):
        if start:
            await trio.lowlevel.cancel_shielded_checkpoint()
        results += map(function, items[start : start + AT_ONCE])
    return results
