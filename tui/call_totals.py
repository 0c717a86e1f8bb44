"""The totals of a filter's calls, as the gateway sums them up: how many there are and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable

from gatekeeper.client import formats
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import MEDIUM
from gatekeeper.client.spend import SpendRow

# Seconds between two requests. One that took long is repeated later: at most a twentieth of the time a
# gateway works for it.
MIN_SECONDS, SHARE = 5.0, 20


class CallTotals:
    """Requests the totals, at a limited rate."""

    def __init__(self, client: Client, now: Callable[[], float] = time.monotonic) -> None:
        self.row: SpendRow | None = None
        self._client = client
        self._now = now
        self._q = ""
        self._due = 0.0

    async def refresh(self, q: str) -> bool:
        """Requests them if the filter has changed or it is time; returns whether they were received."""
        if q != self._q:
            self._q, self._due, self.row = q, 0.0, None
        began = self._now()
        if began < self._due:
            return False
        # At once, so that nobody asks a second time meanwhile.
        self._due = began + MIN_SECONDS
        try:
            row = (await self._client.spend("none", q=q or None)).value.total
        except ApiError:
            # The list shows why nothing can be loaded.
            return False
        took = self._now() - began
        self._due = began + max(MIN_SECONDS, SHARE * took)
        if q != self._q:
            return False
        self.row = row
        return True


def totals_text(row: SpendRow | None, held: int, newest: bool, width: int) -> str:
    """How many calls there are and what they cost; `held` are in the log: only the `newest`, or all."""
    if row is None or row.calls < held:
        count = f"newest {formats.pluralized(held, 'call')}" if newest else formats.pluralized(held, "call")
    else:
        count = formats.pluralized(row.calls if newest else held, "call")
    return f"{count}{cost_text(row, width)}" if row and row.calls else count


def cost_text(row: SpendRow, width: int) -> str:
    """The known part of the cost, and how many calls it lacks."""
    cost = row.known_cost
    known = "" if cost is None else f" · {formats.money(cost)}"
    if not row.unpriced_calls:
        return known
    calls = f"{row.unpriced_calls:,}"
    lacking = f"{calls} of unknown cost" if width >= MEDIUM else f"{calls} × ?"
    return f"{known or ' ·'}{' +' if known else ''} {lacking}"
