"""The signals that stop the gateway, and SIGHUP, which makes it read its files again."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def controlling_terminal() -> int | None:
    """A descriptor of the terminal that the gateway ends with when it is closed; None if there is none, or if
    SIGHUP is ignored (`nohup`)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return None
    try:
        # O_NOCTTY: a service without a terminal must not get one by looking for it.
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


class StopSignals:
    """The signals to stop, one by one, of all that are received. SIGHUP calls `reload`, unless the terminal
    has been closed: then it stops the gateway, too."""

    def __init__(
        self, received: AsyncIterator[int], terminal: int | None, reload: Iterable[Callable[[], None]]
    ) -> None:
        self._received = received
        self._terminal = terminal
        self._reload = tuple(reload)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        while (number := await anext(self._received)) == signal.SIGHUP:
            # A closed terminal is one no longer: its descriptors are dead before the signal is sent.
            if self._terminal is not None and not os.isatty(self._terminal):
                return number
            for reload in self._reload:
                reload()
        return number
