"""Long work on the event loop that yields to calls between its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

PART_SIZE = 100
"""Items between two checkpoints; a key takes up to 60 µs."""

T = TypeVar("T")
R = TypeVar("R")


async def map_in_parts(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Applies the function to all items. It cannot be cancelled in between, because memory must have
    everything that is on disk."""
    results: list[R] = []
    for start in range(0, len(items), PART_SIZE):
        if start:
            await trio.lowlevel.cancel_shielded_checkpoint()
        results += map(function, items[start : start + PART_SIZE])
    return results
