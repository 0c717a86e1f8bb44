"""The columns of lists of calls and of keys, by the width of the screen.

Of a call, 80 cells show what one looks for first: time, key, model, status, duration, cost. 120 cells show
all times and tokens; 160 also user and finish reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import formats
from gatekeeper.client.api_types import Call, Key
from gatekeeper.client.call_text import call_state
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, State, TextRole
from gatekeeper.client.spend_types import SpendRow

# For values that a call in flight does not have yet.
RUNNING = "…"
# Decimals that columns reserve: of a call's cost, of sums.
PLACES, SUM_PLACES = 5, 4
BAR_EMPTY = "░"
NEAR_LIMIT = 0.9
# The smallest cost that fits into the nine cells of the column.
SMALLEST = Decimal("0.00001")
# With fewer cells a truncated sentence says less than the reason's name.
MIN_SENTENCE_WIDTH = 30

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
        return str(state), state.role

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
    """Why a call failed: the message if it fits, else the reason's name."""
    reason = (call.reason or "").removeprefix("GATEKEEPER_")
    sentence = call.error_message or reason
    return sentence if len(sentence) <= room or room >= MIN_SENTENCE_WIDTH or not reason else reason


def failure_role(call: Call) -> TextRole:
    return TextRole.WARNING if call.outcome == "refused" else TextRole.ERROR


def tags_cell(call: Call) -> Cell:
    """The tags; of a failed call the reason, which is more important."""
    if call.reason or call.error_message:
        return failure_text(call, 0), failure_role(call)
    return " ".join(call.tags or ()), TextRole.DIM


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
OUT: Column[Call] = Column("out", 6, lambda call: tokens_cell(call.output_tokens), right=True)
THOUGHTS: Column[Call] = Column("thoughts", 8, lambda call: tokens_cell(call.thoughts_tokens), right=True)
COST: Column[Call] = Column("cost", 9, cost_cell, right=True)
SHORT_COST: Column[Call] = Column("cost", 9, short_cost_cell, right=True)
FINISH: Column[Call] = Column("finish", 10, finish_cell)


def key_columns(width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
    """The columns for a screen of `width` cells."""

    def state(key: Key) -> Cell:
        current = key_state(key, now())
        return str(current), current.role

    def used(key: Key) -> Cell:
        return formats.ago(key.last_used_at, now()), TextRole.PLAIN

    def bar(key: Key) -> Cell:
        return bar_cell(key, bar_width)

    bar_width = 9 if width < WIDE else 12
    name = Column("key", 13, name_cell, stretch=1)
    budget = [Column("spend", 21, budget_cell), Column("", bar_width, bar)]
    state_column = Column("state", 22, state, stretch=1)
    if width < MEDIUM:
        return [name, *budget, Column("last used", 9, used), state_column]
    models = Column("models", 17, models_cell, stretch=1)
    middle = [Column("rate", 12, rate_cell), Column("last used", 9, used)]
    tags = [Column("tags", 16, key_tags_cell, stretch=1)] if width >= WIDE else []
    return [name, Column("secret", 9, secret_cell), models, *tags, *budget, *middle, state_column]


def name_cell(key: Key) -> Cell:
    return key.label, TextRole.PLAIN


def secret_cell(key: Key) -> Cell:
    """The last characters only: the gateway does not store more."""
    return (key.key_name or formats.EMPTY).replace("...", "…"), TextRole.DIM


def models_cell(key: Key) -> Cell:
    return (" ".join(key.models), TextRole.PLAIN) if key.models else ("any", TextRole.DIM)


def key_tags_cell(key: Key) -> Cell:
    return " ".join(key.tags or ()), TextRole.DIM


def budget_cell(key: Key) -> Cell:
    """Spend, budget and period."""
    spent = formats.money(key.spend)
    if key.max_budget is None:
        return spent, TextRole.PLAIN
    each = f"/{key.budget_duration}" if key.budget_duration else ""
    return f"{spent} of {formats.round_money(key.max_budget)}{each}", TextRole.PLAIN


def bar_cell(key: Key, width: int) -> Cell:
    part = budget_used(key)
    if part is None:
        return "no budget", TextRole.DIM
    return budget_bar(part, width), TextRole.WARNING if part >= NEAR_LIMIT else TextRole.ACCENT


def rate_cell(key: Key) -> Cell:
    """Calls, else tokens, a minute."""
    if key.rpm_limit is not None:
        return f"{formats.tokens(key.rpm_limit)}/min", TextRole.PLAIN
    if key.tpm_limit is not None:
        return f"{formats.tokens(key.tpm_limit)} tok/m", TextRole.PLAIN
    return formats.EMPTY, TextRole.DIM


def key_state(key: Key, now: datetime) -> State:
    """Why a key is inactive, the most permanent reason first; else that it is active."""
    if key.blocked:
        return State("○", "blocked", TextRole.DIM)
    if key.expires and key.expires <= now:
        return State("○", f"expired {formats.day(key.expires)}", TextRole.DIM)
    used = budget_used(key)
    # Last, as a used-up budget is reset with its period, unlike a block or an expiry.
    if used is not None and used >= 1:
        until = f" until {formats.day(key.budget_reset_at)}" if key.budget_reset_at else ""
        return State("⊘", f"used up{until}", TextRole.WARNING)
    if used is not None and used >= NEAR_LIMIT:
        return State("●", f"active, {formats.percent(used)} used", TextRole.WARNING)
    return State("●", "active", TextRole.SUCCESS)


def budget_used(key: Key) -> float | None:
    """The used fraction of a key's budget, above 1 where overspent; None without a budget."""
    if key.max_budget is None:
        return None
    spent = key.spend or Decimal(0)
    # A budget of 0 is used up before anything is spent.
    return float(spent / key.max_budget) if key.max_budget > 0 else 1.0


def budget_bar(used: float, width: int) -> str:
    """A bar of the used and the remaining budget."""
    return formats.bar(used, width).replace(" ", BAR_EMPTY)


def spent_cell(row: SpendRow) -> Cell:
    """The cost of a group of calls; `?` where it is unknown."""
    cost = row.known_cost
    return formats.align_decimal(
        formats.money(cost), SUM_PLACES
    ), TextRole.WARNING if cost is None else TextRole.PLAIN


def share_cell(row: SpendRow, whole: Decimal | None) -> Cell:
    """The group's share of the total."""
    cost = row.known_cost
    return formats.UNKNOWN if cost is None else formats.percent(formats.share(cost, whole)), TextRole.PLAIN
