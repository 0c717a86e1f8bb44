"""Logs: an event name and fields, for people on a terminal and as JSON lines elsewhere; always to stderr."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from time import monotonic
from typing import Any

import structlog
from hypercorn.config import Config

log = structlog.get_logger()

MINUTE = 60.0  # seconds


def configure_logs() -> None:
    human = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=True) if human else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class Seldom:
    """An event that may come in floods: a line for each kind of it at most once a minute, with how many there
    have been since the line before."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._counts: Counter[str] = Counter()
        self._due: dict[str, float] = {}  # on the monotonic clock, by kind

    def note(self, kind: str, **fields: str) -> None:
        """`kind` is one of few, and no text of a client's."""
        self._counts[kind] += 1
        if monotonic() >= self._due.get(kind, 0.0):
            log.error(self._event, kind=kind, count=self._counts.pop(kind), **fields)
            self._due[kind] = monotonic() + MINUTE

    def note_each(self, faults: BaseExceptionGroup[Exception]) -> None:
        """The exceptions of a group by type and place; what they say may be secret."""
        for fault in faults.exceptions:
            if isinstance(fault, BaseExceptionGroup):
                self.note_each(fault)
            else:
                self.note(type(fault).__name__, raised_at=_place(fault))


def _place(fault: Exception) -> str:
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


class ServerLog:
    """What Hypercorn has to say. Its requests are not logged: the ledger has them, without their queries."""

    def __init__(self, config: Config) -> None: ...

    async def access(self, *_: Any) -> None: ...

    async def info(self, message: str, *args: Any, **_: Any) -> None: ...

    async def debug(self, message: str, *args: Any, **_: Any) -> None: ...

    async def warning(self, message: str, *args: Any, **_: Any) -> None:
        log.warning("server", detail=message % args if args else message)

    async def error(self, message: str, *args: Any, **_: Any) -> None:
        log.error("server", detail=message % args if args else message)

    critical = error

    async def exception(self, message: str, *args: Any, **_: Any) -> None:
        log.exception("server", detail=message % args if args else message)
