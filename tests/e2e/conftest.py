from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.standin import StandIn, standing_in


@pytest.fixture
async def google() -> AsyncIterator[StandIn]:
    """The scripted upstream."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a gateway is started; its data folder is `data` in it."""
    return tmp_path / "gateway"
