"""Does something when a coroutine first has to wait, and nothing if it never does.

So a call is in the ledger while it waits for its body or for its budget. Most wait for neither, and are
written once, with their reservation.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any


@coroutine
def before_waiting(
    awaited: Coroutine[Any, Any, None], act: Callable[[], object]
) -> Generator[Any, Any, None]:
    """Awaits the coroutine, and calls `act` right before the task first gives way to another."""
    try:
        request = awaited.send(None)
        try:
            act()
        except Exception as error:  # noqa: BLE001  the coroutine must end, as if it had raised this
            request = awaited.throw(error)
        while True:
            try:
                answer = yield request
            except BaseException as error:  # noqa: BLE001  whatever it is, it is the coroutine's
                request = awaited.throw(error)
            else:
                request = awaited.send(answer)
    except StopIteration:
        return
