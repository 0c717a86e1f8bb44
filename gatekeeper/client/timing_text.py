"""Where a call's time went, as lines of styled text: in the gateway, waiting for Google, streaming.

Pure. Of each phase the gateway gives the times.
"""

from __future__ import annotations

from gatekeeper.client import formats
from gatekeeper.client.api_types import CallDetail
from gatekeeper.client.cost_text import INDENT
from gatekeeper.client.formats import Cell, TextRole

TextLine = list[Cell]

# Phases of a call's time, in order: texture, name, role.
PHASES = (
    ("▓", "gateway", TextRole.PENDING),
    ("░", "waiting for Google", TextRole.DIM),
    ("█", "streaming", TextRole.SUCCESS),
)


def phases(call: CallDetail) -> list[float | None]:
    """Milliseconds in the gateway, waiting for Google's first byte, and from there to the last."""
    first, own, total = call.first_byte_ms, call.gateway_ms, call.duration_ms
    waiting = max(first - own, 0) if first is not None and own is not None else None
    streaming = max(total - first, 0) if total is not None and first is not None else None
    return [own, waiting, streaming]


def timing(call: CallDetail, width: int) -> list[TextLine]:
    """A bar of the phases in proportion, and their durations."""
    if call.duration_ms is None:
        return running(call) if call.outcome is None else []
    room = width - 2 * len(INDENT)
    bar: TextLine = [(INDENT, TextRole.PLAIN)]
    parts: list[TextLine] = []
    for (texture, name, role), part in zip(PHASES, phases(call), strict=True):
        # A phase that there was not: Google was not asked, or had sent all at once.
        if part:
            # A texture for each, so that they differ without colour too.
            bar.append((texture * phase_width(part, call.duration_ms, room), role))
            spent = (formats.duration(part), TextRole.PLAIN)
            parts.append([(f"{texture} ", role), (f"{name} ", TextRole.DIM), spent])
    parts.append([("total ", TextRole.DIM), (formats.duration(call.duration_ms), TextRole.PLAIN)])
    legend = joined(parts, width)
    return [bar, legend] if len(bar) > 1 else [legend]


def joined(parts: list[TextLine], width: int) -> TextLine:
    """The parts in one line, as far apart as `width` permits."""
    used = len(INDENT) + sum(len(text) for part in parts for text, _ in part)
    gap = max(min(3, (width - used) // max(len(parts) - 1, 1)), 1)
    line: TextLine = [(INDENT, TextRole.PLAIN)]
    for number, part in enumerate(parts):
        line += [*([(" " * gap, TextRole.PLAIN)] if number else []), *part]
    return line


def running(call: CallDetail) -> list[TextLine]:
    """The known times of a call in flight."""
    if call.first_byte_ms is None:
        return [[(f"{INDENT}no byte of the response yet", TextRole.PENDING)]]
    own, waited, _ = phases(call)
    known = ((PHASES[0], own), (PHASES[1], waited))
    parts = [f"{name} {formats.duration(part)}" for (_, name, _), part in known if part is not None]
    first = f"first byte after {formats.duration(call.first_byte_ms)}"
    return [[(f"{INDENT}{'   '.join([first, *parts])}   still streaming", TextRole.PENDING)]]


def phase_width(part: float, whole: float, room: int) -> int:
    """Cells for a phase, at least one."""
    # One cell for each phase is reserved, as each may be rounded up.
    return max(round(part / whole * (room - len(PHASES))), 1) if part > 0 and whole > 0 else 0
