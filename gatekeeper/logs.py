"""Logs: an event name and fields, for people on a terminal and as JSON lines elsewhere; always to stderr."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from time import monotonic
from typing import TextIO, cast

import structlog
from hypercorn.config import Config
from structlog.typing import EventDict

from gatekeeper.runtime import Outlet

log = structlog.get_logger()

MINUTE = 60.0  # seconds
FRAMES = 5  # of an exception's trace that are logged


def configure_logs() -> None:
    """From now on nothing that is logged, by us or by a library, can raise or wait."""
    human = sys.stderr.isatty()
    outlet = Outlet(sys.stderr.fileno())

    def tell_lost(_: object, __: str, event: EventDict) -> EventDict:
        return {**event, "lines_lost": outlet.lost} if outlet.lost else event

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
            structlog.processors.format_exc_info,
            tell_lost,
            structlog.dev.ConsoleRenderer(colors=True) if human else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", outlet)),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[FromLibraries()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


class FromLibraries(logging.Handler):
    """What libraries log by Python's own means; the place of an exception, and no text of it."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "detail": record.getMessage()}
        if record.exc_info and (fault := record.exc_info[1]):
            fields |= {"kind": type(fault).__name__, "trace": _trace(fault)}
        log.log(record.levelno, "library", **fields)


class Seldom:
    """An event that may come in floods: a line for each kind of it at most once a minute, with how many there
    have been since the line before."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._counts: Counter[str] = Counter()
        self._due: dict[str, float] = {}  # on the monotonic clock, by kind

    def note(self, kind: str, **fields: object) -> None:
        """`kind` is one of few, and no text of a client's."""
        self._counts[kind] += 1
        if monotonic() >= self._due.get(kind, 0.0):
            log.error(self._event, kind=kind, count=self._counts.pop(kind), **fields)
            self._due[kind] = monotonic() + MINUTE

    def note_fault(self, fault: Exception) -> None:
        """An exception by type and place; what it says may be secret."""
        self.note(type(fault).__name__, trace=_trace(fault))

    def note_each(self, faults: BaseExceptionGroup[BaseException]) -> None:
        """The exceptions of a group by type and place; what they say may be secret."""
        for fault in faults.exceptions:
            if isinstance(fault, BaseExceptionGroup):
                self.note_each(cast("BaseExceptionGroup[BaseException]", fault))
            else:
                self.note(type(fault).__name__, trace=_trace(fault))


def _trace(fault: BaseException) -> list[str]:
    """The last places in the code that an exception came through."""
    frames = traceback.extract_tb(fault.__traceback__)[-FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class ServerLog:
    """What Hypercorn has to say. Its requests are not logged: the ledger has them, without their queries."""

    def __init__(self, config: Config) -> None:  # noqa: ARG002  as Hypercorn makes it
        self._failed = Seldom("request_failed")

    async def access(self, *_: object) -> None: ...

    async def info(self, message: str, *args: object, **_: object) -> None: ...

    async def debug(self, message: str, *args: object, **_: object) -> None: ...

    async def warning(self, message: str, *args: object, **_: object) -> None:
        log.warning("server", detail=message % args if args else message)

    async def error(self, message: str, *args: object, **_: object) -> None:
        log.error("server", detail=message % args if args else message)

    critical = error

    async def exception(self, *_: object, **__: object) -> None:
        """The application has raised. Its text is not logged, which may hold a secret."""
        if fault := sys.exception():
            self._failed.note_each(BaseExceptionGroup("", [fault]))
