"""The signals that end a command which has something to return or to remove first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


def status_of(number: int) -> int:
    """The exit status, as shells report it for the end by a signal."""
    return 128 + number


def end(number: int, _frame: FrameType | None = None) -> None:
    """The handler of a signal that ends the command. Raises SystemExit, but where an event loop runs in its
    next turn: a handler runs between any two lines, and between two of asyncio's what it raises may lose the
    wake-up of a task, whose cancellation is then waited for without end."""
    import asyncio

    def ended() -> None:
        raise SystemExit(status_of(number))

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        ended()
    else:
        loop.call_soon_threadsafe(ended)


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Has the handler get these signals. Unlike SIG_IGN, it is not inherited by a program that is run."""
    # Loaded late, as help has no need of it, and before the handler, which must not find half of it.
    import_module("asyncio")
    # Under nohup a signal that is ignored stays so.
    taken = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    if current_thread() is not main_thread():  # where Python permits no handlers
        taken = []
    previous = [(each, signal.signal(each, handler)) for each in taken]
    try:
        yield
    finally:
        for each, before in previous:
            signal.signal(each, before)
