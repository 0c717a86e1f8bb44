"""Work behind the calls that may fail, and is tried again: told once, and less often the longer it fails."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import structlog
import trio

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 2.5, 60.0  # seconds


class Attempts:
    """At one piece of work. `failing`: whether the last one failed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pause = FIRST_PAUSE
        self._due = -math.inf  # on trio's clock
        self.failing = False

    async def make(self, work: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        """Another one, unless the last one failed a short while ago. Whatever it raises ends here."""
        if trio.current_time() < self._due and not at_once:
            return
        try:
            await work()
        except Exception as problem:  # noqa: BLE001  whatever the disk does, serving goes on
            if not self.failing:
                log.warning(
                    "ledger_trouble", what=self._name, problem=type(problem).__name__, detail=str(problem)
                )
            self._due = trio.current_time() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self.failing = True
        else:
            if self.failing:
                log.info("ledger_well_again", what=self._name)
            self.failing, self._due, self._pause = False, -math.inf, FIRST_PAUSE
