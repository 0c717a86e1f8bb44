"""Which calls count against a key's budget: the arithmetic of windows. Pure but for the state it is given.

A key's spend is the sum over the calls that ended in its running window. Windows follow each other without
gaps, each `budget_duration` long, and nobody's timer turns them: whoever looks at a state first turns it to
the window that holds its `now`. Without a duration there is one window, for good.

The spend in memory and the one on disk are two sums over the same calls, of which the disk's lacks the most
recent. Both count a call by the same question, whether it ended before the window's start, so they agree
whenever the rest is added, also after a window has turned or a duration was changed in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gatekeeper.keys.record import KeyState, Window
from gatekeeper.times import parse_duration

SECOND = 1_000_000  # microseconds
# By which a clock may be set back without a word
DRIFT = 60 * 60 * SECOND


class Settlement(NamedTuple):
    """What one finished call costs its key; `estimated` where that is an upper estimate, the cost unknown."""

    token_id: str
    cost_pico: int
    ended_at: int
    estimated: bool = False


class Charge(NamedTuple):
    """What the stored spend of one key grows by, `estimated_pico` of it by estimates, and the window in which
    it does."""

    window: Window
    spend_pico: int = 0
    last_used_at: int | None = None
    estimated_pico: int = 0


def roll(window_end: int, budget_duration: str, now: int) -> int:
    """The end of the window that holds `now`: `window_end` or the next end after `now` in its rhythm."""
    if now < window_end:
        return window_end
    length = parse_duration(budget_duration) * SECOND
    # In whole lengths, however long nobody looked: windows keep their rhythm.
    return window_end + ((now - window_end) // length + 1) * length


def first_end(budget_duration: str | None, now: int) -> int | None:
    """The end of a window that begins at `now`; None where the budget is for good."""
    return None if budget_duration is None else now + parse_duration(budget_duration) * SECOND


def standing(state: KeyState, now: int) -> tuple[int, int | None]:
    """What counts against the budget at `now`, and when it starts anew. Changes nothing."""
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None:
        return state.spend_pico, end
    if now < end:
        return state.spend_pico, brought_back(end, duration, now)
    return 0, roll(end, duration, now)


def brought_back(window_end: int, budget_duration: str, now: int) -> int:
    """The end of a window that cannot have begun yet, because a clock was ahead when it was reached, back in
    its rhythm; any other end as it is. Its spend stays: those calls were made."""
    length = parse_duration(budget_duration) * SECOND
    ahead = window_end - length - now
    return window_end if ahead <= DRIFT else window_end - -(-ahead // length) * length


def turn(state: KeyState, now: int) -> None:
    """Brings the state to the window that holds `now`, if it is in one that is over or far from begun."""
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None:
        return
    back = brought_back(end, duration, now)
    if back < end:
        state.budget_reset_at = back
        # Never later: what was spent in this window stays in it.
        state.window_start = min(state.window_start, back - parse_duration(duration) * SECOND)
    _advance(state, now)


def _advance(state: KeyState, now: int) -> None:
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None or now < end:
        return
    state.budget_reset_at = roll(end, duration, now)
    state.window_start = state.budget_reset_at - parse_duration(duration) * SECOND
    state.spend_pico = state.estimated_pico = 0


def settle(state: KeyState, cost_pico: int, at: int, *, estimated: bool = False) -> None:
    """Counts a call that ends now, at `at`, in the window that holds it."""
    turn(state, at)
    # A live call cannot be of a window that is over. If the clock says so, it was set back, and the window
    # reaches back with it: otherwise the key would spend unseen until the clock has caught up.
    state.window_start = min(state.window_start, at)
    replay(state, cost_pico, at, estimated=estimated)


def replay(state: KeyState, cost_pico: int, at: int, *, estimated: bool = False) -> None:
    """Counts a call of the past that the stored spend lacks, unless its window is over already."""
    # Never back: what is past now may be far before a window that is right
    _advance(state, at)
    if at >= state.window_start:
        state.spend_pico += cost_pico
        state.estimated_pico += cost_pico if estimated else 0
    state.last_used_at = max(at, state.last_used_at or at)


def charges(states: Mapping[str, KeyState], settled: Iterable[Settlement]) -> dict[str, Charge]:
    """What the stored spends grow by for calls that the states have counted, without keys that are gone."""
    grown: dict[str, Charge] = {}
    for token_id, cost_pico, ended_at, estimated in settled:
        if state := states.get(token_id):
            before = grown.get(token_id, Charge(state.window))
            # The same question as in `replay`, or the sums on disk and in memory would drift apart.
            counted = cost_pico if ended_at >= state.window_start else 0
            grown[token_id] = Charge(
                state.window,
                before.spend_pico + counted,
                state.last_used_at,
                before.estimated_pico + (counted if estimated else 0),
            )
    return grown
