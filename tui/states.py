"""How a call or a key stands, as a sign, a word and a tone: colour never says it alone.

Signs: `✓` went well, `◌` under way, `⊘` refused or at a limit, `↯` the other side left, `✗` a fault;
`●` a key that may call, `○` one that may not. Each is one cell wide in every font that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tui import format  # noqa: A004 - the room's word for it
from tui.documents import Call, Key


class Tone(StrEnum):
    """What a text means; the theme gives each its colour."""

    PLAIN = "plain"
    FAINT = "faint"
    ACCENT = "accent"
    FINE = "fine"
    WAITING = "waiting"
    LIMIT = "limit"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class State:
    """`word` fits a column, `meaning` is the sentence of the detail."""

    sign: str
    word: str
    tone: Tone
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


# By outcome. Where the client was sent a status that tells the story, the status is the word.
OUTCOMES = {
    "ok": State("✓", "ok", Tone.FINE, "ok"),
    "refused": State("⊘", "refused", Tone.LIMIT, "refused by the gateway"),
    "upstream_error": State("✗", "error", Tone.ERROR, "refused or failed by Google"),
    "upstream_unreachable": State("✗", "no path", Tone.ERROR, "Google could not be reached"),
    "upstream_broken": State("✗", "broke", Tone.ERROR, "Google's answer ended early"),
    "client_disconnected": State("↯", "left", Tone.LIMIT, "the client left"),
    "cut": State("⊘", "cut", Tone.LIMIT, "cut by the gateway on its way"),
    "interrupted": State("✗", "died", Tone.ERROR, "the gateway died meanwhile"),
}
STATUS_TELLS = frozenset({"ok", "refused", "upstream_error", "upstream_unreachable"})
NEARLY = 0.9


def call_state(call: Call, now: datetime) -> State:
    """A call in flight shows its running clock instead of a status."""
    if call.outcome is None:
        running = elapsed_ms(call, now)
        word = (
            "…"
            if running is None
            else f"{running / 1000:.1f}s"
            if running < 59_950
            else format.duration(running)
        )
        return State("◌", word, Tone.WAITING, "in flight")
    state = OUTCOMES.get(call.outcome, State("·", call.outcome, Tone.PLAIN, call.outcome))
    if call.status is None or call.outcome not in STATUS_TELLS:
        return state
    return State(state.sign, str(call.status), state.tone, state.meaning)


def elapsed_ms(call: Call, now: datetime) -> float | None:
    """How long a call has run; never negative, though the two clocks may differ."""
    return None if call.started_at is None else max((now - call.started_at).total_seconds() * 1000, 0)


def key_state(key: Key, now: datetime) -> State:
    """What keeps a key from calling, the most lasting reason first; else that it is active."""
    if key.blocked:
        return State("○", "blocked", Tone.FAINT)
    if key.expires and key.expires <= now:
        return State("○", f"expired {format.day(key.expires)}", Tone.FAINT)
    used = budget_used(key)
    if used is not None and used >= 1:
        until = f" until {format.day(key.budget_reset_at)}" if key.budget_reset_at else ""
        return State("⊘", f"used up{until}", Tone.LIMIT)
    if used is not None and used >= NEARLY:
        return State("●", f"active, {format.percent(used)} used", Tone.LIMIT)
    return State("●", "active", Tone.FINE)


def budget_used(key: Key) -> float | None:
    """The part of its budget that a key has spent, above 1 where more; None without a budget."""
    if key.max_budget is None:
        return None
    spent = key.spend or Decimal(0)
    return float(spent / key.max_budget) if key.max_budget > 0 else 1.0
