"""Work with a deadline: a slow network must not block a command."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar, cast

T = TypeVar("T")


class ProbeError(Exception):
    """Why something cannot be reached, in a few words."""


def run_with_timeout(seconds: float, work: Callable[[], T]) -> T:
    """Runs `work` in a thread that is abandoned at the timeout: a DNS lookup has no time limit.

    Raises ProbeError, and whatever else `work` raises.
    """
    done: SimpleQueue[tuple[T, None] | tuple[None, Exception]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        # All of them: what nobody catches in a thread is printed, and waited for until the timeout.
        except Exception as error:  # noqa: BLE001  raised where somebody waits for it
            done.put((None, error))

    # A daemon thread, so that the process can exit while it still waits.
    Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except Empty:
        raise ProbeError(f"no response within {seconds:g} s") from None
    if isinstance(error, OSError):
        raise ProbeError(error_text(error))
    if error is not None:
        raise error
    return cast("T", result)


def error_text(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "no TLS connection can be made"
        case socket.gaierror():
            return "its name is not known here"
        case TimeoutError():
            return "it does not respond"
        case _:
            return error.strerror or type(error).__name__
