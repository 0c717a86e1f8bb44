"""The columns of lists of calls, by the width of the screen. 80 cells show the most important: time, key,
model, status, duration, output, cost. 120 cells show all times and tokens; 160 also thoughts, user and finish
reason. Calls that succeeded are dim in their status, so that those that did not are found at a glance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import formats
from gatekeeper.client.call_text import OUTCOMES, call_state
from gatekeeper.client.call_types import Call
from gatekeeper.client.columns import GAP, MEDIUM, WIDE, Cell, Column, TextRole, cells, padded
from gatekeeper.client.reasons import cause

# For values that a call in flight does not have yet.
RUNNING = "…"
# Decimals that the column of the cost reserves.
PLACES = 5
# The smallest cost that fits into the nine cells of the column.
SMALLEST = Decimal("0.00001")
# Cells from which a truncated sentence says something.
MIN_SENTENCE_WIDTH = 12

# Short forms of Google's names, for the narrow column.
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
        return str(state), TextRole.DIM if call.outcome == "ok" else state.role

    state = Column("status", 7, status)
    if width < MEDIUM:
        key = Column("key", 12, key_cell, stretch=1)
        model = Column("model", 18, short_model_cell, stretch=1)
        return [TIME, key, model, state, TOTAL, OUT, SHORT_COST]
    start = [TIME, Column("key", 12, key_cell, stretch=1), Column("model", 22, model_cell, stretch=1)]
    middle = [Column("action", 8, action_cell), state, FIRST, TOTAL, IN, CACHED, OUT]
    # At 120 all times and tokens, at 160 also user and finish reason.
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
    return formats.clock(call.started_at), TextRole.DIM


def key_cell(call: Call) -> Cell:
    return call.key_alias or call.key_id or formats.EMPTY, TextRole.PLAIN


def model_cell(call: Call) -> Cell:
    return call.model or formats.EMPTY, TextRole.PLAIN


def short_model_cell(call: Call) -> Cell:
    return (call.model or formats.EMPTY).removeprefix("gemini-"), TextRole.PLAIN


def action_cell(call: Call) -> Cell:
    action = call.action or formats.EMPTY
    return ACTIONS.get(action, action), TextRole.DIM


def failure_text(call: Call, room: int) -> str:
    """Why a call failed, in words; the message after it, if there is room for some of it."""
    known = cause(call)
    words = known.words if known else ""
    if not call.error_message or room - len(words) < MIN_SENTENCE_WIDTH:
        return words
    return f"{words}: {call.error_message}" if words else call.error_message


def failure_role(call: Call) -> TextRole:
    """The role of the call's outcome; an outcome that this version does not know is an error."""
    state = OUTCOMES.get(call.outcome or "")
    return state.role if state else TextRole.ERROR


def tags_cell(call: Call) -> Cell:
    """The tags; of a call that failed, before them why."""
    tags = " ".join(call.tags or ())
    if cause(call) is None:
        return tags, TextRole.DIM
    return " · ".join(part for part in (failure_text(call, 0), tags) if part), failure_role(call)


def user_cell(call: Call) -> Cell:
    return call.user_id or "", TextRole.DIM


def finish_cell(call: Call) -> Cell:
    """The finish reason; of a blocked prompt, which has none, why it was blocked."""
    return call.finish_reason or call.block_reason or "", TextRole.DIM


def duration_cell(call: Call, milliseconds: float | None) -> Cell:
    """A duration; `…` while the call is in flight, as `–` would mean that there is none."""
    if milliseconds is None and call.outcome is None:
        return RUNNING, TextRole.DIM
    return formats.duration(milliseconds), TextRole.PLAIN


def tokens_cell(number: int | None) -> Cell:
    return formats.tokens(number), TextRole.DIM if number is None else TextRole.PLAIN


def output_tokens(call: Call) -> int | None:
    """What is charged as output: candidates and thoughts; None where neither was reported."""
    if call.output_tokens is None and call.thoughts_tokens is None:
        return None
    return (call.output_tokens or 0) + (call.thoughts_tokens or 0)


def cost_cell(call: Call) -> Cell:
    """`–` for 0; `?` only where the cost of a finished call is unknown."""
    if call.cost_usd is None and call.outcome is None:
        return formats.align_decimal(RUNNING, PLACES), TextRole.DIM
    if call.cost_usd == 0:
        return formats.align_decimal(formats.EMPTY, PLACES), TextRole.DIM
    role = TextRole.WARNING if call.cost_usd is None else TextRole.PLAIN
    return formats.align_decimal(formats.money(call.cost_usd), PLACES), role


def short_cost_cell(call: Call) -> Cell:
    """The cost in nine cells: a smaller one than fits is shown as `<` the smallest, not truncated."""
    text, role = cost_cell(call)
    small = call.cost_usd is not None and 0 < call.cost_usd < SMALLEST
    return (f"<${SMALLEST:f}", role) if small else (text, role)


TIME: Column[Call] = Column("time", 8, time_cell)
FIRST: Column[Call] = Column("first", 6, lambda call: duration_cell(call, call.first_byte_ms), right=True)
TOTAL: Column[Call] = Column("total", 6, lambda call: duration_cell(call, call.duration_ms), right=True)
IN: Column[Call] = Column("in", 6, lambda call: tokens_cell(call.prompt_tokens), right=True)
CACHED: Column[Call] = Column("cached", 6, lambda call: tokens_cell(call.cached_tokens), right=True)
OUT: Column[Call] = Column("out", 6, lambda call: tokens_cell(output_tokens(call)), right=True)
THOUGHTS: Column[Call] = Column("thoughts", 8, lambda call: tokens_cell(call.thoughts_tokens), right=True)
COST: Column[Call] = Column("cost", 9, cost_cell, right=True)
SHORT_COST: Column[Call] = Column("cost", 9, short_cost_cell, right=True)
FINISH: Column[Call] = Column("finish", 10, finish_cell)


TAGS = "tags"


def call_cells(columns: Sequence[Column[Call]], widths: Sequence[int], call: Call) -> list[Cell]:
    """The cells of a call. If it failed without any usage, why takes the place of tokens and cost; and of the
    duration on a narrow screen, of the tags where there are none."""
    line = cells(columns, widths, call)
    # A call that failed late has used something: what it cost must not be covered by why it failed.
    if cause(call) is None or call.total_tokens is not None or call.cost_usd:
        return line
    titles = [column.title for column in columns]
    first, last = titles.index(TOTAL.title), len(titles) - 1
    if TAGS in titles:
        tags = titles.index(TAGS)
        first, last = first + 1, tags
        if call.tags:
            last = tags - 1
            line[tags] = (one_cell(" ".join(call.tags), widths, tags, tags), TextRole.DIM)
    room = sum(widths[first : last + 1]) + GAP * (last - first)
    told = one_cell(failure_text(call, room), widths, first, last)
    return [*line[:first], (told, failure_role(call)), *line[last + 1 :]]


def one_cell(text: str, widths: Sequence[int], first: int, last: int) -> str:
    """One text across several cells, with the gap after them."""
    room = sum(widths[first : last + 1]) + GAP * (last - first)
    return padded(text, room, right=False) + (" " * GAP if last < len(widths) - 1 else "")
