"""A gateway's budgets follow the calendar of its setting `timezone`, also after a restart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from time import time_ns
from zoneinfo import ZoneInfo

import pytest
from rig.gateway import Running, running

from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.spend import current_spend
from gatekeeper.times import to_micros

KOLKATA = ZoneInfo("Asia/Kolkata")
UPSTREAM = "http://127.0.0.1:9"  # nobody asks it


async def ends(gateway: Running, **fields: object) -> list[int]:
    """When the periods of a new key and of a new group end."""
    now = time_ns() // 1000
    changes = parse_fields(fields, now=now)
    registry = gateway.gateway.registry
    _, state = await registry.create(changes, now=now, by="test")
    group = await registry.account_changes.create("group", "shop", changes, now=now, by="test")
    return [account.budget_reset_at or 0 for account in (state, group)]


@pytest.mark.parametrize(("duration", "months"), [("1mo", 1), ("12mo", 12)])
async def test_months_end_with_the_last_day_where_the_setting_says(
    tmp_path: Path, duration: str, months: int
) -> None:
    today = datetime.now(KOLKATA)
    month = today.year * 12 + today.month - 1 + months
    last, following = (
        to_micros(datetime(number // 12, number % 12 + 1, 1, tzinfo=KOLKATA))
        for number in (month, month + months)
    )
    async with running(tmp_path / "data", UPSTREAM, timezone="Asia/Kolkata") as gateway:
        assert await ends(gateway, max_budget=1, budget_duration=duration) == [last, last]
    async with running(tmp_path / "data", UPSTREAM, timezone="Asia/Kolkata") as gateway:
        registry = gateway.gateway.registry
        accounts = [*registry.states(last - 1), *registry.accounts]
        assert [current_spend(account, last - 1)[1] for account in accounts] == [last, last]
        assert [current_spend(account, last)[1] for account in accounts] == [following, following]
