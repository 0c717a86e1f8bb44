"""What is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gatekeeper.logs import Fields, log


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """The events that the block logs, instead of their lines: their fields, `event` and `log_level`."""
    logged: list[dict[str, Any]] = []

    def note(level: int, event: str, fields: Fields) -> None:
        name = logging.getLevelName(level).lower()
        logged.append({**fields, "event": event, "log_level": name})

    before, log.sink = log.sink, note
    try:
        yield logged
    finally:
        log.sink = before
