"""Logs: an event name and fields, readable on a terminal and JSON lines elsewhere; always to stderr."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, cast

from gatekeeper.runtime import NonBlockingWriter

if TYPE_CHECKING:
    from hypercorn.config import Config

MINUTE = 60.0  # seconds
MAX_TRACE_FRAMES = 5  # of an exception's trace that are logged
EVENT_WIDTH = 30  # characters of an event's name on a terminal, after which its fields are aligned
RESET, BOLD, CYAN = "\x1b[0m", "\x1b[1m", "\x1b[36m"
LEVEL_COLOURS = {logging.INFO: "\x1b[32m", logging.WARNING: "\x1b[33m"}
RED = "\x1b[31m"  # for all other levels

Fields = Mapping[str, object]


def json_line(level: int, event: str, fields: Fields) -> str:
    """The line for a program. What JSON has no form for is written as Python shows it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    known = {"event": event, "level": _name(level), "timestamp": now}
    return json.dumps({**fields, **known}, default=repr) + "\n"


def terminal_line(level: int, event: str, fields: Fields) -> str:
    """The line for a person at a terminal."""
    shown = "".join(f" {CYAN}{name}{RESET}={_word(value)}" for name, value in fields.items())
    colour = LEVEL_COLOURS.get(level, RED)
    # Local time, as that of the terminal's own clock.
    now = datetime.now().strftime("%H:%M:%S")  # noqa: DTZ005
    return f"{now} [{colour}{_name(level):<8}{RESET}] {BOLD}{event:<{EVENT_WIDTH}}{RESET}{shown}\n"


def _name(level: int) -> str:
    return logging.getLevelName(level).lower()


def _word(value: object) -> str:
    """A value that reads as one word stands as it is; of any other, control characters are escaped."""
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(value)


def write_to_stderr(level: int, event: str, fields: Fields) -> None:
    """Until `configure_logs`: commands other than `serve` log only what is wrong."""
    sys.stderr.write(json_line(level, event, fields))


class Log:
    """Logs events of level INFO and above. `sink` is given the level (of `logging`), the event and its
    fields."""

    def __init__(self) -> None:
        self.sink: Callable[[int, str, Fields], None] = write_to_stderr

    def log(self, level: int, event: str, /, **fields: object) -> None:
        if level >= logging.INFO:
            self.sink(level, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self.sink(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self.sink(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self.sink(logging.ERROR, event, fields)


log = Log()


def configure_logs() -> None:
    """From now on no log call, the gateway's or a library's, can raise or wait."""
    writer = NonBlockingWriter(sys.stderr.fileno())
    line = terminal_line if sys.stderr.isatty() else json_line

    def write(level: int, event: str, fields: Fields) -> None:
        lost = {"lines_lost": writer.lost} if writer.lost else {}
        writer.write(line(level, event, {**fields, **lost}))

    log.sink = write
    # `force` removes what a library has set up before.
    logging.basicConfig(handlers=[StdlibLogBridge()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


class StdlibLogBridge(logging.Handler):
    """Forwards the libraries' log records; of an exception its type and stack frames, not its text."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "detail": _detail(record.msg, record.args)}
        if record.exc_info and (error := record.exc_info[1]):
            fields |= {"kind": type(error).__name__, "trace": _stack_frames(error)}
        log.log(record.levelno, "library", **fields)


def _detail(message: object, args: object) -> str:
    """A message of the standard library's form. One that its arguments do not fit stays as it is: it is the
    fault of whoever logs, who must not fail by it."""
    try:
        return str(message) % args if args else str(message)
    except (TypeError, ValueError, KeyError):
        return str(message)


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
            # Not by the time of day, which may be set back: nothing would be logged until then.
            self._due[kind] = monotonic() + MINUTE

    def record_exception(self, error: Exception) -> None:
        """Logs an exception's type and stack frames; its text may contain a secret."""
        self.record(type(error).__name__, trace=_stack_frames(error))

    @contextmanager
    def recorded(self) -> Generator[None]:
        """Records an exception that the block raises, and suppresses it."""
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
        log.warning("server", detail=_detail(message, args))

    async def error(self, message: str, *args: object, **_: object) -> None:
        log.error("server", detail=_detail(message, args))

    critical = error

    async def exception(self, *_: object, **__: object) -> None:
        """An exception of the application. Its text is not logged: it may contain a secret."""
        if error := sys.exception():
            self._failed.record_exception_group(BaseExceptionGroup("", [error]))
