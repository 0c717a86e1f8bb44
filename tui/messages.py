"""What the stream's worker tells the screen. Workers post these and touch no widget."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui.documents import StreamEvent
from tui.errors import ApiError


@dataclass
class Connected(Message):
    """The stream is open: what ends from here on will arrive."""


@dataclass
class Arrived(Message):
    """What the stream brought since the last of these, in its order."""

    events: list[StreamEvent]


@dataclass
class Lost(Message):
    """The stream ended; the next try is `wait` seconds away."""

    error: ApiError
    wait: float


@dataclass
class ShowCalls(Message):
    """The calls that this filter finds are to be shown; esc leads back to where it was asked."""

    filter: str
