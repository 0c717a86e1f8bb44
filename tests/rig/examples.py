"""How many examples the dearest properties have: with `GATEKEEPER_EXAMPLES=20` twenty times as many."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("GATEKEEPER_EXAMPLES", "1"))


def examples(count: int) -> int:
    return count * TIMES
