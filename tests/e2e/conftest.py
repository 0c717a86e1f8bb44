from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.genai import _api_client
from rig.standin import StandIn, standing_in

# With aiohttp, which the extra `web` needs, the SDK would go by that, and warn of it at each client.
_api_client.has_aiohttp = False


@pytest.fixture
async def google() -> AsyncIterator[StandIn]:
    """The scripted upstream."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a gateway is started; its data folder is `data` in it."""
    return tmp_path / "gateway"
