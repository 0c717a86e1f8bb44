"""A small gateway for the client, and the same surroundings for each test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from rig.admin_gateway import gateway, sample_answers


@pytest.fixture(name="sample")
def sample_fixture() -> Callable[[], dict[str, Any]]:
    return sample_answers


@pytest.fixture(name="gateway")
def gateway_fixture() -> Callable[..., Any]:
    """`async with gateway(answers) as served:` in the loop of the test."""
    return gateway


@pytest.fixture(autouse=True)
def _stable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local zone is Amsterdam's; no proxy of the machine that tests."""
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
