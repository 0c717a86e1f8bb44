from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.gateway import Running, running
from rig.standin import StandIn, standing_in


@pytest.fixture
async def google() -> AsyncIterator[StandIn]:
    """The scripted upstream."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def gateway(google: StandIn, tmp_path: Path) -> AsyncIterator[Running]:
    """An open gateway in front of it."""
    async with running(tmp_path / "data", google.url) as gateway:
        yield gateway


@pytest.fixture
async def guarded(google: StandIn, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway with a master key in front of it."""
    async with running(tmp_path / "guarded", google.url, master_key="master-of-the-tests") as gateway:
        yield gateway
