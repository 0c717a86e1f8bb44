"""Follows the gateway's stream through lost connections and restarts, and prints what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import datetime
from itertools import chain, repeat

import msgspec

from gatekeeper.cli.output import emit, moment, note, print_cells
from tui.call_columns import call_columns
from tui.client import Client
from tui.columns import Column, cells, fit, heads
from tui.documents import Call, CallFinished, StreamEvent, StreamGap
from tui.errors import Faulty, Unreachable
from tui.states import Tone

Print = Callable[[CallFinished], None]


STARTED: Column[Call] = Column("started", 25, lambda call: (moment(call.started_at, "seconds"), Tone.FAINT))
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds; a gateway that restarts is back within the first few


def waits() -> Iterator[float]:
    """Before each new try."""
    return chain(WAITS, repeat(2 * WAITS[-1]))


async def follow(client: Client, q: str | None, show: Print) -> None:
    """Prints each call as it ends, for ever. What was missed in between is told on stderr.

    Raises ApiError where no new try would help, and where the very first connection cannot be made.
    """
    pause, last_id, connected = waits(), None, False

    def opened() -> None:
        nonlocal pause, connected
        if connected:
            note("Connected again.")
        pause, connected = waits(), True

    while True:
        trouble = f"The gateway at {client.url} has ended the connection."
        try:
            async with aclosing(client.stream(q, last_id, opened)) as events:
                async for event in events:
                    last_id = event.id or last_id
                    take(event, show)
        except (Unreachable, Faulty) as error:
            if not connected:
                raise
            trouble = str(error)
        wait = next(pause)
        note(f"{trouble} Next try in {wait:g} s.")
        await asyncio.sleep(wait)


def take(event: StreamEvent, show: Print) -> None:
    match event:
        case CallFinished():
            show(event)
        case StreamGap():
            note(f"{gap_text(event.value.missed)}: `gatekeeper calls list` has their calls.")
        case _:
            pass


def gap_text(missed: int | None) -> str:
    if missed is None:
        return "The gateway was started anew, and what ended in between is missing here"
    return f"{missed:,} events were missed here"


def printed_as_json(event: CallFinished) -> None:
    """One line: what Google sent may have line ends between its members."""
    emit(msgspec.json.format(event.raw.encode(), indent=-1))


def printed_as_line(width: int) -> Print:
    """Prints the columns that fit into `width` cells, with their titles above the first."""
    _, *others = call_columns(width - STARTED.width, lambda: datetime.now().astimezone())
    columns = [STARTED, *others]
    widths = fit(columns, width)
    print_cells([(heads(columns, widths), Tone.FAINT)])

    def show(event: CallFinished) -> None:
        call: Call = event.value
        print_cells(cells(columns, widths, call))

    return show
