"""A call as styled text: its state, and all details (times, tokens, cost) as lines.

Colour is never the only sign of a state. Signs: `✓` succeeded, `◌` in flight, `⊘` refused or at a limit, `↯`
client disconnected, `✗` error. Each is one cell wide in every font that has it.

Pure. It computes no sums: those and every line of the arithmetic come from the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gatekeeper.client import formats
from gatekeeper.client.call_types import Call, CallDetail
from gatekeeper.client.columns import State, TextLine, TextRole, padded
from gatekeeper.client.cost_text import INDENT, chain_lines, tokens_and_cost
from gatekeeper.client.reasons import cause

Moment = Callable[[datetime | None], str]
"""Shows a time."""

# By outcome. Words have 5 cells at most, as the status column has 7 with the sign.
OUTCOMES = {
    "ok": State("✓", "ok", TextRole.SUCCESS, "ok"),
    "refused": State("⊘", "deny", TextRole.WARNING, "refused by the gateway"),
    "upstream_error": State("✗", "error", TextRole.ERROR, "refused or failed by Google"),
    "upstream_unreachable": State("✗", "down", TextRole.ERROR, "Google could not be reached"),
    "upstream_broken": State("✗", "trunc", TextRole.ERROR, "Google's response ended early"),
    "client_disconnected": State("↯", "abort", TextRole.WARNING, "the client disconnected"),
    "cut": State("⊘", "cut", TextRole.WARNING, "ended by the gateway before it was complete"),
    "interrupted": State("✗", "crash", TextRole.ERROR, "the gateway was killed during the call"),
}
# Outcomes that the HTTP status sent to the client already shows: it replaces the word.
STATUS_OUTCOMES = frozenset({"ok", "refused", "upstream_error", "upstream_unreachable"})

# Phases of a call's time, in order: texture, name, role.
PHASES = (
    ("▓", "gateway", TextRole.PENDING),
    ("░", "waiting for Google", TextRole.DIM),
    ("█", "streaming", TextRole.SUCCESS),
)


def call_state(call: Call, now: datetime) -> State:
    """The state of a call; in flight its running time takes the place of the status."""
    if call.outcome is None:
        running = elapsed_ms(call, now)
        word = (
            "…"
            if running is None
            else f"{running / 1000:.1f}s"
            if running < 59_950
            else formats.duration(running)
        )
        return State("◌", word, TextRole.PENDING, "in flight")
    state = OUTCOMES.get(call.outcome, State("·", call.outcome, TextRole.PLAIN, call.outcome))
    if call.status is None or call.outcome not in STATUS_OUTCOMES:
        return state
    return State(state.sign, str(call.status), state.role, state.meaning)


def elapsed_ms(call: Call, now: datetime) -> float | None:
    """How long a call has run, in ms; never negative, though the two clocks may differ."""
    return None if call.started_at is None else max((now - call.started_at).total_seconds() * 1000, 0)


def call_text(call: CallDetail, width: int, now: datetime, moment: Moment = formats.moment) -> list[TextLine]:
    """All that is known of a call, for a screen of `width` cells."""
    parts = (
        failure(call, now),
        title_lines(call, width, now),
        identity(call, moment),
        timing(call, width),
        *tokens_and_cost(call, width),
        chain_lines(call, width),
        other_facts(call),
    )
    text: list[TextLine] = []
    for part in parts:
        if part:
            text += [*part, []]
    return text


def failure(call: CallDetail, now: datetime) -> list[TextLine]:
    """Why it failed: in words, the whole message, and what to do about it."""
    known = cause(call)
    if known is None:
        return []
    state = call_state(call, now)
    text: list[TextLine] = [[(f"{state.sign} {known.words}", state.role)]]
    if call.error_message:
        text.append([(call.error_message, TextRole.PLAIN)])
    if known.remedy:
        # Backticks are Markdown's.
        text.append([("what to do: ", TextRole.DIM), (known.remedy.replace("`", ""), TextRole.PLAIN)])
    return text


def title_lines(call: CallDetail, width: int, now: datetime) -> list[TextLine]:
    """The id, and on the right the state."""
    state = call_state(call, now)
    # The meaning is left out where it would repeat the word.
    end = f"{state}  {state.meaning}" if state.meaning not in (state.word, "") else str(state)
    return [
        [
            (padded(call.id, max(width - len(end), len(call.id) + 2), right=False), TextRole.ACCENT),
            (end, state.role),
        ]
    ]


def identity(call: CallDetail, moment: Moment) -> list[TextLine]:
    """Key, request, model, resource, tags, user, start and reason."""
    # Google serves a model alias by a model of another name.
    served = call.model_version if call.model_version and call.model_version != call.model else None
    facts = {
        "key": f"{call.key_alias}  ({call.key_id})" if call.key_alias else call.key_id,
        "request": f"{call.method or ''} {call.path or ''}".strip() or None,
        "model": f"{call.model}  served by {served}" if served else call.model,
        # Most paths end with it.
        "action": None if (call.path or "").endswith(f":{call.action}") else call.action,
        "resource": call.resource,
        "tags": "  ".join(call.tags) if call.tags else None,
        "user": call.user_id,
        "started": moment(call.started_at),
        "reason": call.reason,
    }
    return [field_line(name, value, reason_role(name)) for name, value in facts.items() if value]


def reason_role(name: str) -> TextRole:
    return TextRole.WARNING if name == "reason" else TextRole.PLAIN


def field_line(name: str, value: str, role: TextRole = TextRole.PLAIN) -> TextLine:
    """A name and its value."""
    return [(INDENT, TextRole.PLAIN), (padded(name, 10, right=False), TextRole.DIM), (value, role)]


def other_facts(call: CallDetail) -> list[TextLine]:
    """Finish reason, block reason, bytes, tier, client, upstream key and trace."""
    facts = {
        "finish": call.finish_reason,
        "blocked": call.block_reason,
        "bytes": byte_counts(call),
        "tier": call.service_tier,
        "client": call.user_agent,
        "upstream": f"Google key {call.upstream_key}" if call.upstream_key else None,
        "trace": call.trace_id,
        # The chain has it, if that is known.
        "continues": None if call.chain else call.continues,
    }
    return [field_line(name, value) for name, value in facts.items() if value]


def byte_counts(call: CallDetail) -> str:
    """Bytes sent and received. After a crash of the gateway they are unknown, though stored as 0."""
    up, down = call.request_bytes, call.response_bytes
    # They are recorded only at the end of a call, which an interrupted call has not.
    if call.outcome == "interrupted":
        up, down = up or None, down or None
    until = " so far" if call.outcome is None else ""
    return f"{formats.size(up)} up, {formats.size(down)} down{until}"


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
