"""How many examples the dearest properties are tried with; `GATEKEEPER_EXAMPLES=20` has twenty times as many."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("GATEKEEPER_EXAMPLES", "1"))


def examples(count: int) -> int:
    return count * TIMES
