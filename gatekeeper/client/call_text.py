"""The state of a call, and all that is known of it as lines of styled text: times, tokens, cost.

Colour is never the only sign of a state. Signs: `✓` succeeded, `◌` in flight, `⊘` refused or at a limit, `↯`
client disconnected, `✗` error. Each is one cell wide in every font that has it.

Pure. It computes no sums: those and every line of the arithmetic come from the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import zip_longest
from typing import cast

from rich.cells import cell_len

from gatekeeper.client import formats
from gatekeeper.client.api_types import Call, CallDetail
from gatekeeper.client.chain_text import chain_lines
from gatekeeper.client.cost_text import INDENT, STACKED, Widths, cost_notes, cost_text
from gatekeeper.client.formats import Cell, State, TextRole, padded
from gatekeeper.client.reasons import cause
from gatekeeper.client.timing_text import timing

TextLine = list[Cell]
Moment = Callable[[datetime | None], str]
"""Shows a time."""

# Cells of a text from which the cost stands beside the tokens, and between the two.
WIDE, SIDE_GAP = 98, 2
SIDE_TOKENS, SIDE_COST = Widths(16, 9), Widths(13, 9)

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


def tokens_and_cost(call: CallDetail, width: int) -> tuple[list[TextLine], ...]:
    """Tokens and cost, beside each other where both have room."""
    right = cost(call, SIDE_COST)
    for left in (tokens(call, SIDE_TOKENS), tokens(call, SIDE_TOKENS, notes=False)):
        column = line_width(left) + SIDE_GAP
        if width >= WIDE and left and right and column + line_width(right) <= width:
            return (beside(left, right, column),)
    return tokens(call), cost(call)


def line_width(text: list[TextLine]) -> int:
    return max((sum(cell_len(cell) for cell, _ in line) for line in text), default=0)


def beside(left: list[TextLine], right: list[TextLine], column: int) -> list[TextLine]:
    """Two texts as one, the second from a column on."""
    text: list[TextLine] = []
    for one, other in zip_longest(left, right, fillvalue=cast("TextLine", [])):
        gap = " " * (column - line_width([one])) if other else ""
        text.append([*one, (gap, TextRole.PLAIN), *other])
    return text


def tokens(call: CallDetail, widths: Widths = STACKED, notes: bool = True) -> list[TextLine]:
    """Tokens by kind, as Google reported them; kinds that it did not report are left out. Then what is noted
    of them."""
    kinds = {
        "prompt": (call.prompt_tokens, ""),
        "of which cached": (call.cached_tokens, ""),
        "output": (call.output_tokens, ""),
        "thoughts": (call.thoughts_tokens, "counted as output"),
        "tool prompts": (call.tool_tokens, ""),
        "total": (call.total_tokens, "as reported by Google"),
    }
    known = [
        row(name, formats.count(number), note if notes else "", widths)
        for name, (number, note) in kinds.items()
        if number is not None
    ]
    remarks = [title(call.usage_note)] if call.usage_note and call.usage_note not in cost_notes(call) else []
    so_far = " so far" if call.outcome is None else ""
    return [title(f"tokens{so_far}"), *known, *remarks] if known else []


def title(text: str) -> TextLine:
    return [(INDENT + text, TextRole.DIM)]


def row(name: str, number: str, note: str, widths: Widths) -> TextLine:
    """A name, a right-aligned number and a note."""
    cells = [
        (INDENT + padded(name, widths.name, right=False), TextRole.PLAIN),
        (padded(number, widths.number, right=True), TextRole.PLAIN),
    ]
    return [*cells, (f"  {note}", TextRole.DIM)] if note else cells


def cost(call: CallDetail, widths: Widths = STACKED) -> list[TextLine]:
    """The arithmetic of the cost."""
    # In flight the cost is not unknown, only not final.
    if call.outcome is None and call.cost_usd is None:
        return []
    # Without tokens a note is about what else is charged: pictures, films, a result that is awaited.
    note = None if tokens(call) or call.usage_note in cost_notes(call) else call.usage_note
    return [*cost_text(call, widths), *([title(note)] if note else [])]


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
