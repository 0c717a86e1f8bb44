"""What a key has done of late: its last calls, and its spend of each day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from decimal import Decimal

from gatekeeper.client.admin_api import Client
from gatekeeper.client.call_types import Call
from gatekeeper.client.spend import Spend

DAYS = 30
LAST_CALLS = 5
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class KeyActivity:
    """The last calls, newest first; the sums of the last days with the spend of each, 0 where it made no
    calls. `partial`: older calls are missing."""

    calls: Sequence[Call]
    sums: Spend
    days: Sequence[str]
    partial: bool

    @property
    def spent(self) -> list[Decimal]:
        by_day = {row.day: row.spent for row in self.sums.rows}
        return [by_day.get(day, ZERO) for day in self.days]


def last_days(now: datetime, zone: tzinfo) -> list[datetime]:
    """The start of each of the last days in a zone, today last."""
    today = now.astimezone(zone).date()
    return [
        datetime.combine(today - timedelta(days=back), time_of_day(), zone) for back in reversed(range(DAYS))
    ]


async def load_activity(client: Client, token_id: str, now: datetime, zone: tzinfo) -> KeyActivity:
    """Of the key with this id, by any alias; `zone` is that of the gateway's days. Raises ApiError."""
    q, starts = f"key:{token_id}", last_days(now, zone)
    since = starts[0].astimezone(UTC).isoformat().replace("+00:00", "Z")
    # Until now by the gateway's clock.
    calls, sums = await asyncio.gather(
        client.calls(q, limit=LAST_CALLS), client.spend("day", since=since, until="0s", q=q)
    )
    days = [f"{start:%Y-%m-%d}" for start in starts]
    return KeyActivity(calls.value.calls, sums.value, days, calls.value.partial or sums.value.partial)
