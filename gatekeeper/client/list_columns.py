"""What lists show of a call and of a key, and at which width of the screen.

Of a call at 80 cells what one looks for first: when, who, what, how it went, how long, how much. At 120 the
whole of its times and tokens; at 160 also for whom, and how it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import formats
from gatekeeper.client.api_types import STORED, Call, Key, SpendRow
from gatekeeper.client.call_text import call_state
from gatekeeper.client.formats import MEDIUM, WIDE, Cell, Column, State, Tone

# In the place of what a running call does not have yet.
RUNNING = "…"
# Decimals that columns make room for: of a call's cost, of sums.
PLACES, SUM_PLACES = 5, 4
REST = "░"
NEARLY = 0.9
WORDS = {
    "rpm_limit": "calls a minute",
    "tpm_limit": "tokens a minute",
    "max_parallel_requests": "calls at once",
    "on_disconnect": "on disconnect",
}
# The least that the nine cells of a screen's column can show.
SMALLEST = Decimal("0.00001")
# Cells in which a sentence says more than the reason's name does.
SENTENCE = 30

# Shorter than Google's names, where there is room for a word only.
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
    # At 120 the whole of a call's times and tokens, at 160 also for whom and how it ended.
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
    return formats.clock(call.started_at), Tone.FAINT


def key_cell(call: Call) -> Cell:
    return call.key_alias or call.key_id or formats.NOTHING, Tone.PLAIN


def model_cell(call: Call) -> Cell:
    return call.model or formats.NOTHING, Tone.PLAIN


def short_model_cell(call: Call) -> Cell:
    return (call.model or formats.NOTHING).removeprefix("gemini-"), Tone.PLAIN


def action_cell(call: Call) -> Cell:
    action = call.action or formats.NOTHING
    return ACTIONS.get(action, action), Tone.FAINT


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
    # A time that is yet to come is not the same as none.
    if milliseconds is None and call.outcome is None:
        return RUNNING, Tone.FAINT
    return formats.duration(milliseconds), Tone.PLAIN


def tokens_cell(number: int | None) -> Cell:
    return formats.tokens(number), Tone.FAINT if number is None else Tone.PLAIN


def cost_cell(call: Call) -> Cell:
    """Nothing for what costs nothing; `?` only where a call that ended has a cost that nobody knows."""
    if call.cost_usd is None and call.outcome is None:
        return formats.at_point(RUNNING, PLACES), Tone.FAINT
    if call.cost_usd == 0:
        return formats.at_point(formats.NOTHING, PLACES), Tone.FAINT
    tone = Tone.LIMIT if call.cost_usd is None else Tone.PLAIN
    return formats.at_point(formats.money(call.cost_usd), PLACES), tone


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


def key_columns(width: int, now: Callable[[], datetime]) -> list[Column[Key]]:
    """The columns for a screen of `width` cells."""

    def state(key: Key) -> Cell:
        stands = key_state(key, now())
        return str(stands), stands.tone

    def used(key: Key) -> Cell:
        return formats.ago(key.last_used_at, now()), Tone.PLAIN

    def bar(key: Key) -> Cell:
        return bar_cell(key, bar_width)

    bar_width = 9 if width < WIDE else 12
    name = Column("key", 13, name_cell, stretch=1)
    budget = [Column("spend", 21, budget_cell), Column("", bar_width, bar)]
    stands = Column("state", 22, state, stretch=1)
    if width < MEDIUM:
        return [name, *budget, Column("last used", 9, used), stands]
    models = Column("models", 17, models_cell, stretch=1)
    middle = [Column("rate", 12, rate_cell), Column("last used", 9, used)]
    tags = [Column("tags", 16, key_tags_cell, stretch=1)] if width >= WIDE else []
    return [name, Column("secret", 9, secret_cell), models, *tags, *budget, *middle, stands]


def name_cell(key: Key) -> Cell:
    return key.label, Tone.PLAIN


def secret_cell(key: Key) -> Cell:
    """Its last letters only: the gateway knows no more of it either."""
    return (key.key_name or formats.NOTHING).replace("...", "…"), Tone.FAINT


def models_cell(key: Key) -> Cell:
    return (" ".join(key.models), Tone.PLAIN) if key.models else ("any", Tone.FAINT)


def key_tags_cell(key: Key) -> Cell:
    return " ".join(key.tags or ()), Tone.FAINT


def budget_cell(key: Key) -> Cell:
    """What it has spent, of how much, in what time."""
    spent = formats.money(key.spend)
    if key.max_budget is None:
        return spent, Tone.PLAIN
    each = f"/{key.budget_duration}" if key.budget_duration else ""
    return f"{spent} of {formats.round_money(key.max_budget)}{each}", Tone.PLAIN


def bar_cell(key: Key, width: int) -> Cell:
    part = budget_used(key)
    if part is None:
        return "no budget", Tone.FAINT
    return budget_bar(part, width), Tone.LIMIT if part >= NEARLY else Tone.ACCENT


def rate_cell(key: Key) -> Cell:
    """Calls, else tokens, a minute; in brackets where that is only stored."""
    if key.rpm_limit is not None:
        return rate(key, "rpm_limit", f"{formats.tokens(key.rpm_limit)}/min")
    if key.tpm_limit is not None:
        return rate(key, "tpm_limit", f"{formats.tokens(key.tpm_limit)} tok/m")
    return formats.NOTHING, Tone.FAINT


def rate(key: Key, name: str, text: str) -> Cell:
    return (f"({text})", Tone.FAINT) if name in key.not_enforced else (text, Tone.PLAIN)


def key_state(key: Key, now: datetime) -> State:
    """What keeps a key from calling, the most lasting reason first; else that it is active."""
    if key.blocked:
        return State("○", "blocked", Tone.FAINT)
    if key.expires and key.expires <= now:
        return State("○", f"expired {formats.day(key.expires)}", Tone.FAINT)
    used = budget_used(key)
    # Neither blocked nor expired: a budget that is used up passes with its time.
    if used is not None and used >= 1:
        until = f" until {formats.day(key.budget_reset_at)}" if key.budget_reset_at else ""
        return State("⊘", f"used up{until}", Tone.LIMIT)
    if used is not None and used >= NEARLY:
        return State("●", f"active, {formats.percent(used)} used", Tone.LIMIT)
    return State("●", "active", Tone.FINE)


def budget_used(key: Key) -> float | None:
    """The part of its budget that a key has spent, above 1 where more; None without a budget."""
    if key.max_budget is None:
        return None
    spent = key.spend or Decimal(0)
    # A budget of 0 is used up before anything is spent.
    return float(spent / key.max_budget) if key.max_budget > 0 else 1.0


def budget_bar(used: float, width: int) -> str:
    """How much of a budget is used, and how much is left."""
    return formats.bar(used, width).replace(" ", REST)


def spent_cell(row: SpendRow) -> Cell:
    """What a group of calls cost; `?` where nothing is known."""
    cost = row.known_cost
    return formats.at_point(formats.money(cost), SUM_PLACES), Tone.LIMIT if cost is None else Tone.PLAIN


def share_cell(row: SpendRow, whole: Decimal | None) -> Cell:
    """Its part of what was spent in all."""
    cost = row.known_cost
    return formats.UNKNOWN if cost is None else formats.percent(formats.share(cost, whole)), Tone.PLAIN


def stored_only(keys: Iterable[Key]) -> str:
    """Which limits of these keys nobody can rely on, and how many keys have them; empty if none."""
    # How many keys each limit is stored for: with many keys a list of them would not be read.
    names = Counter(name for key in keys for name in key.not_enforced)
    listed = (f"{WORDS.get(name, name)} ({formats.counted(count, 'key')})" for name, count in names.items())
    return f"{STORED}: {', '.join(listed)}" if names else ""


def of_one(key: Key) -> str:
    """The same of one key."""
    names = ", ".join(WORDS.get(name, name) for name in key.not_enforced)
    return f"{names}: {STORED}" if names else ""
