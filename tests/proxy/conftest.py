from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.certificate import make_certificate
from rig.gateway import Running, running
from rig.standin import StandIn, standing_in


@pytest.fixture
async def google() -> AsyncIterator[StandIn]:
    """The scripted upstream."""
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def gateway(google: StandIn, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """An open gateway in front of it; for a test marked `rig.wire.PLAIN_AND_TLS` one with TLS, too."""
    flags: dict[str, Path] = {}
    if getattr(request, "param", "http") == "https":
        file = make_certificate(tmp_path / "certificate.pem")
        flags = {"tls_cert": file, "tls_key": file}
    async with running(tmp_path / "data", google.url, **flags) as gateway:
        yield gateway


@pytest.fixture
async def guarded(google: StandIn, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """A gateway with a master key in front of it, and the settings of the test's mark `settings`."""
    marked = request.node.get_closest_marker("settings")
    flags = {"master_key": "master-of-the-tests"} | (marked.kwargs if marked else {})
    async with running(tmp_path / "guarded", google.url, **flags) as gateway:
        yield gateway
