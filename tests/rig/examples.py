"""How many examples a property has, others in each run: with `GATEKEEPER_EXAMPLES=4` four times as many."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("GATEKEEPER_EXAMPLES", "1"))


def examples(count: int) -> int:
    return count * TIMES
