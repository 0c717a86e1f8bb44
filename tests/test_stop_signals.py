"""Which signals stop the gateway, and which have its files read again."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from gatekeeper.stop_signals import StopSignals, controlling_terminal

HUP, TERM, INT = signal.SIGHUP, signal.SIGTERM, signal.SIGINT


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal's two ends; the first is closed by closing the second."""
    master, terminal = os.openpty()
    ends = {master, terminal}
    yield terminal, master
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # closed by the test


def received(*numbers: int) -> AsyncIterator[int]:
    send, receive = trio.open_memory_channel[int](len(numbers))
    for number in numbers:
        send.send_nowait(number)
    return receive


@pytest.mark.parametrize(
    ("numbers", "stops", "reloads"),
    [((TERM, INT), [TERM, INT], 0), ((HUP, HUP, TERM, HUP, INT), [TERM, INT], 3)],
)
@pytest.mark.parametrize("open_terminal", [True, False])
async def test_hang_up_reloads_and_the_others_stop(
    terminal: tuple[int, int], numbers: tuple[int, ...], stops: list[int], reloads: int, open_terminal: bool
) -> None:
    reloaded: list[str] = []
    reload = [lambda: reloaded.append("prices"), lambda: reloaded.append("certificate")]
    signals = StopSignals(received(*numbers), terminal[0] if open_terminal else None, reload)
    assert [await anext(signals) for _ in stops] == stops
    assert reloaded == ["prices", "certificate"] * reloads


async def test_the_hang_up_of_a_terminal_that_was_closed_stops(terminal: tuple[int, int]) -> None:
    reloaded: list[str] = []
    signals = StopSignals(received(HUP, HUP), terminal[0], [lambda: reloaded.append("prices")])
    first = StopSignals(received(HUP, TERM), terminal[0], [lambda: reloaded.append("prices")])
    assert await anext(first) == TERM
    os.close(terminal[1])
    assert await anext(signals) == HUP
    assert reloaded == ["prices"]


def test_there_is_no_terminal_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert controlling_terminal() is None
    finally:
        signal.signal(signal.SIGHUP, before)
