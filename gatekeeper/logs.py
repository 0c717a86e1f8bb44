"""Logs: an event name and fields, for people on a terminal and as JSON lines elsewhere; always to stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from hypercorn.config import Config

log = structlog.get_logger()


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
