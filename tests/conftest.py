"""What makes the suite quick; none of it changes what is tested."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from rig.bytecode import compile_share, keep_bytecode
from rig.routes import compile_routes_once

MEMORY = Path("/dev/shm")
ENOUGH = 2 << 30  # bytes; the whole suite leaves a few hundred MiB

# A machine that is busy is no fault: without this a property fails where its examples take long to make.
settings.register_profile("gatekeeper", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatekeeper")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Temporary folders are in memory where there is enough: most of a test's time would be the disk's. What
    comes back after a `kill -9` is the same; no test can take the power away."""
    if MEMORY.is_dir():
        memory = os.statvfs(MEMORY)
        if memory.f_bavail * memory.f_frsize > ENOUGH:
            # pytest's own, and those of `tempfile`
            tempfile.tempdir = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    compile_share(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What has been imported and collected stays until the end, and is not looked through for garbage again:
    that would take half a second each time. What tests leave behind is looked through less often than in a
    program that runs for days."""
    gc.freeze()
    gc.set_threshold(2_000, 20, 100)
    gc.enable()


gc.disable()
keep_bytecode()
compile_routes_once()
