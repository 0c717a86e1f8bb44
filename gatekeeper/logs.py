"""Logs: an event name and fields, readable on a terminal and JSON lines elsewhere; always to stderr."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO, cast

import structlog
from hypercorn.config import Config
from structlog.typing import EventDict

from gatekeeper.runtime import NonBlockingWriter

log = structlog.get_logger()

MINUTE = 60.0  # seconds
MAX_TRACE_FRAMES = 5  # of an exception's trace that are logged


def configure_logs() -> None:
    """From now on no log call, the gateway's or a library's, can raise or wait."""
    human = sys.stderr.isatty()
    writer = NonBlockingWriter(sys.stderr.fileno())

    def add_lost_count(_: object, __: str, event: EventDict) -> EventDict:
        return {**event, "lines_lost": writer.lost} if writer.lost else event

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
            structlog.processors.format_exc_info,
            add_lost_count,
            structlog.dev.ConsoleRenderer(colors=True) if human else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[StdlibLogBridge()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


class StdlibLogBridge(logging.Handler):
    """Forwards the libraries' log records; of an exception its type and stack frames, not its text."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "detail": record.getMessage()}
        if record.exc_info and (error := record.exc_info[1]):
            fields |= {"kind": type(error).__name__, "trace": _stack_frames(error)}
        log.log(record.levelno, "library", **fields)


class RateLimitedLog:
    """Logs an event at most once a minute per kind, with the count since the last line."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._counts: Counter[str] = Counter()
        self._due: dict[str, float] = {}  # on the monotonic clock, by kind

    def record(self, kind: str, **fields: object) -> None:
        """`kind` is one of few, and never a client's text."""
        self._counts[kind] += 1
        if monotonic() >= self._due.get(kind, 0.0):
            log.error(self._event, kind=kind, count=self._counts.pop(kind), **fields)
            self._due[kind] = monotonic() + MINUTE

    def record_exception(self, error: Exception) -> None:
        """Logs an exception's type and stack frames; its text may contain a secret."""
        self.record(type(error).__name__, trace=_stack_frames(error))

    @contextmanager
    def recorded(self) -> Generator[None]:
        """Records an exception that the block raises, and goes on after it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  a fault must not end what the block is only a part of
            self.record_exception(error)

    def record_exception_group(self, errors: BaseExceptionGroup[BaseException]) -> None:
        """The same for each exception of a group."""
        for error in errors.exceptions:
            if isinstance(error, BaseExceptionGroup):
                self.record_exception_group(cast("BaseExceptionGroup[BaseException]", error))
            else:
                self.record(type(error).__name__, trace=_stack_frames(error))


def _stack_frames(error: BaseException) -> list[str]:
    """The innermost stack frames of an exception."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_TRACE_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class HypercornLogger:
    """Hypercorn's logger. Requests are not logged: the ledger has them, without their queries."""

    def __init__(self, config: Config) -> None:  # noqa: ARG002  Hypercorn's signature
        self._failed = RateLimitedLog("request_failed")

    async def access(self, *_: object) -> None: ...

    async def info(self, message: str, *args: object, **_: object) -> None: ...

    async def debug(self, message: str, *args: object, **_: object) -> None: ...

    async def warning(self, message: str, *args: object, **_: object) -> None:
        log.warning("server", detail=message % args if args else message)

    async def error(self, message: str, *args: object, **_: object) -> None:
        log.error("server", detail=message % args if args else message)

    critical = error

    async def exception(self, *_: object, **__: object) -> None:
        """An exception of the application. Its text is not logged: it may contain a secret."""
        if error := sys.exception():
            self._failed.record_exception_group(BaseExceptionGroup("", [error]))
