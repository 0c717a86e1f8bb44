"""What makes the suite quick; none of it changes what is tested."""

from __future__ import annotations

import faulthandler
import gc
import math
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from rig.bytecode import compile_share, keep_bytecode
from rig.disk import preallocate_little
from rig.examples import examples
from rig.routes import compile_routes_once

END_TO_END = Path(__file__).parent / "e2e"
MEMORY = Path("/dev/shm")
HUNG = 120.0  # seconds after which a test is shown, or up to a sixth less
ENOUGH = 2 << 30  # bytes; the whole suite leaves a few hundred MiB

# A machine that is busy is no fault: without this a property fails where its examples take long to make.
settings.register_profile(
    "gatekeeper",
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gatekeeper")


class HangWatch:
    """Shows where a test hangs. pytest's `faulthandler_timeout` would start and join a thread for each test,
    which takes a millisecond or more on a busy machine."""

    def __init__(self) -> None:
        # pytest puts a file in its place while a test runs.
        self._stderr = os.dup(2)
        self._since = -math.inf

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        if time.monotonic() > self._since + HUNG / 6:
            self._since = time.monotonic()
            faulthandler.dump_traceback_later(HUNG, file=self._stderr)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._stderr)


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
    config.pluginmanager.register(HangWatch())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of whole processes come first, in whatever order: for the most part they wait. They are the
    first worker's, and the others have the cores to themselves; at the end nobody waits for them."""
    items.sort(key=lambda item: END_TO_END not in item.path.parents)


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
preallocate_little()
