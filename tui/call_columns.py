"""What the log shows of a call, and at which width of the screen.

At 80 cells what one looks for first: when, who, what, how it went, how long, how much. At 120 the whole of a
call's times and tokens; at 160 also for whom, and how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from tui import format  # noqa: A004 - the room's word for it
from tui.columns import GAP, Cell, Column, cells, padded
from tui.documents import Call
from tui.states import Tone, call_state

MEDIUM, WIDE = 120, 160
RUNNING = "…"
PLACES = 5
SMALLEST = Decimal("0.00001")
SENTENCE = 30  # cells in which a sentence says more than the reason's name does

ACTIONS = {
    "generateContent": "generate",
    "streamGenerateContent": "stream",
    "countTokens": "count",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}


def call_columns(width: int, now: Callable[[], datetime]) -> list[Column[Call]]:
    """The columns for a screen of `width` cells; `now` is for the clock of calls in flight."""

    def status(call: Call) -> Cell:
        state = call_state(call, now())
        return str(state), state.tone

    state = Column("status", 7, status)
    if width < MEDIUM:
        key = Column("key", 12, key_cell, stretch=1)
        model = Column("model", 18, short_model_cell, stretch=1)
        return [TIME, key, model, state, TOTAL, OUT, SHORT_COST]
    start = [TIME, Column("key", 12, key_cell, stretch=1), Column("model", 22, model_cell, stretch=1)]
    middle = [Column("action", 8, action_cell), state, FIRST, TOTAL, IN, CACHED, OUT]
    if width < WIDE:
        return [*start, *middle, SHORT_COST, Column("tags", 12, tags_cell, stretch=3)]
    end = [
        THOUGHTS,
        SHORT_COST,
        Column("tags", 14, tags_cell, stretch=2),
        Column("user", 10, user_cell, stretch=1),
        FINISH,
    ]
    return [*start, *middle, *end]


def time_cell(call: Call) -> Cell:
    return format.clock(call.started_at), Tone.FAINT


def key_cell(call: Call) -> Cell:
    return call.key_alias or call.key_id or format.NOTHING, Tone.PLAIN


def model_cell(call: Call) -> Cell:
    return call.model or format.NOTHING, Tone.PLAIN


def short_model_cell(call: Call) -> Cell:
    return (call.model or format.NOTHING).removeprefix("gemini-"), Tone.PLAIN


def action_cell(call: Call) -> Cell:
    action = call.action or format.NOTHING
    return ACTIONS.get(action, action), Tone.FAINT


def call_cells(columns: Sequence[Column[Call]], widths: Sequence[int], call: Call) -> list[Cell]:
    """A call's line. Of one that failed before it had used anything the sentence that says why takes the
    place of tokens, cost and tags: it stands beside the status and the time."""
    line = cells(columns, widths, call)
    if (not call.reason and not call.error_message) or call.total_tokens is not None or call.cost_usd:
        return line
    first = columns.index(TOTAL) + 1
    last = next((number for number, column in enumerate(columns) if column.title == "tags"), len(columns) - 1)
    room = sum(widths[first : last + 1]) + GAP * (last - first)
    gap = " " * GAP if last < len(columns) - 1 else ""
    return [
        *line[:first],
        (padded(why(call, room), room, right=False) + gap, failed(call)),
        *line[last + 1 :],
    ]


def why(call: Call, room: int) -> str:
    """Why it failed: the sentence where there is room for one, else the reason's name."""
    reason = (call.reason or "").removeprefix("GATEKEEPER_")
    sentence = call.error_message or reason
    return sentence if len(sentence) <= room or room >= SENTENCE or not reason else reason


def failed(call: Call) -> Tone:
    return Tone.LIMIT if call.outcome == "refused" else Tone.ERROR


def tags_cell(call: Call) -> Cell:
    """Why a call failed says more than its tags."""
    if call.reason or call.error_message:
        return why(call, 0), failed(call)
    return " ".join(call.tags or ()), Tone.FAINT


def user_cell(call: Call) -> Cell:
    return call.user_id or "", Tone.FAINT


def finish_cell(call: Call) -> Cell:
    return call.finish_reason or "", Tone.FAINT


def duration_cell(call: Call, milliseconds: float | None) -> Cell:
    """A time that a running call does not have yet is not the same as none."""
    if milliseconds is None and call.outcome is None:
        return RUNNING, Tone.FAINT
    return format.duration(milliseconds), Tone.PLAIN


def tokens_cell(number: int | None) -> Cell:
    return format.tokens(number), Tone.FAINT if number is None else Tone.PLAIN


def cost_cell(call: Call) -> Cell:
    """Nothing for what costs nothing; `?` only where a call that ended has a cost that nobody knows."""
    if call.cost_usd is None and call.outcome is None:
        return format.at_point(RUNNING, PLACES), Tone.FAINT
    if call.cost_usd == 0:
        return format.at_point(format.NOTHING, PLACES), Tone.FAINT
    tone = Tone.LIMIT if call.cost_usd is None else Tone.PLAIN
    return format.at_point(format.money(call.cost_usd), PLACES), tone


def short_cost_cell(call: Call) -> Cell:
    """In the nine cells of a screen's column: a cost with more digits is said to be small, not cut."""
    text, tone = cost_cell(call)
    small = call.cost_usd is not None and 0 < call.cost_usd < SMALLEST
    return (f"<${SMALLEST:f}", tone) if small else (text, tone)


TIME: Column[Call] = Column("time", 8, time_cell)
FIRST: Column[Call] = Column("first", 6, lambda call: duration_cell(call, call.first_byte_ms), right=True)
TOTAL: Column[Call] = Column("total", 6, lambda call: duration_cell(call, call.duration_ms), right=True)
IN: Column[Call] = Column("in", 6, lambda call: tokens_cell(call.prompt_tokens), right=True)
CACHED: Column[Call] = Column("cached", 6, lambda call: tokens_cell(call.cached_tokens), right=True)
OUT: Column[Call] = Column("out", 6, lambda call: tokens_cell(call.output_tokens), right=True)
THOUGHTS: Column[Call] = Column("thoughts", 8, lambda call: tokens_cell(call.thoughts_tokens), right=True)
COST: Column[Call] = Column("cost", 9, cost_cell, right=True)
SHORT_COST: Column[Call] = Column("cost", 9, short_cost_cell, right=True)
FINISH: Column[Call] = Column("finish", 10, finish_cell)
