"""What `gatekeeper calls tail` prints of the gateway's stream."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gatekeeper.cli.output import emit, moment, note, print_cells
from gatekeeper.client.api_errors import ApiError, Faulty, Unreachable
from gatekeeper.client.api_types import Call, CallFinished, StreamEvent, StreamGap
from gatekeeper.client.formats import Column, Tone, cells, fit, heads, local_now
from gatekeeper.client.list_columns import call_columns

Print = Callable[[CallFinished], None]

STARTED: Column[Call] = Column("started", 25, lambda call: (moment(call.started_at, "seconds"), Tone.FAINT))


class Tail:
    """Shows each call as it ends. What was missed in between, and what the link does, is told on stderr."""

    def __init__(self, show: Print) -> None:
        self._show = show
        self._was_connected = False

    def connected(self) -> None:
        if self._was_connected:
            note("Connected again.")
        self._was_connected = True

    def arrived(self, event: StreamEvent) -> None:
        match event:
            case CallFinished():
                self._show(event)
            case StreamGap():
                note(f"{gap_text(event.value.missed)}: `gatekeeper calls list` has their calls.")
            case _:
                pass

    def lost(self, error: ApiError, wait: float) -> None:
        """Raises the error where no new try would help, and where the very first connection failed."""
        if not self._was_connected or not isinstance(error, Unreachable | Faulty):
            raise error
        note(f"{error} Next try in {wait:g} s.")


def gap_text(missed: int | None) -> str:
    if missed is None:
        return "The gateway was started anew, and what ended in between is missing here"
    return f"{missed:,} events were missed here"


def printed_as_json(event: CallFinished) -> None:
    """One line: what Google sent may have line ends between its members."""
    emit(msgspec.json.format(event.raw.encode(), indent=-1))


def printed_as_line(width: int) -> Print:
    """Prints the columns that fit into `width` cells, with their titles above the first."""
    _, *others = call_columns(width - STARTED.width, local_now)
    columns = [STARTED, *others]
    widths = fit(columns, width)
    print_cells([(heads(columns, widths), Tone.FAINT)])

    def show(event: CallFinished) -> None:
        call: Call = event.value
        print_cells(cells(columns, widths, call))

    return show
