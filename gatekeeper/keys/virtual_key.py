"""A virtual key: what it may do (`KeyRecord`, as stored), its spend and window (`KeyState`, in memory), and
which calls count against its budget. No I/O; functions change nothing but the state that they are given.

Times are integers of microseconds since 1970 (UTC), money is an integer of pico-dollars. An empty tuple of
`models` or `allowed_routes` and a limit of None set no limit.

A key's spend is the sum over the calls that ended in its running window. Windows follow each other without
gaps, each `budget_duration` long, and no timer rolls them: the first read after a window's end does. A key
without a duration has one window that never ends.

The spend in memory and the one on disk are two sums over the same calls, of which the disk's lacks the most
recent. Both use the same rule (a call counts unless it ended before the window began), so they agree
whenever the rest is added, also after a window has rolled or a duration was changed in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from gatekeeper.money import usd
from gatekeeper.times import iso, parse_duration

MICROS_PER_SECOND = 1_000_000
# Microseconds by which the clock may be set back without moving the window.
CLOCK_TOLERANCE = 60 * 60 * MICROS_PER_SECOND


class OnDisconnect(StrEnum):
    """What happens to a call whose client disconnects."""

    CANCEL = "cancel"
    FINISH = "finish"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a key. The secret is not: `secret_hash` is its SHA-256 in hex."""

    token_id: str
    secret_hash: str
    key_name: str
    key_alias: str | None = None
    models: tuple[str, ...] = ()
    max_budget_pico: int | None = None
    soft_budget_pico: int | None = None
    budget_duration: str | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    user_id: str | None = None
    allowed_routes: tuple[str, ...] = ()
    group: str | None = None
    on_disconnect: OnDisconnect | None = None  # None: that of the gateway's setting
    allow_unpriced: bool = False
    expires_at: int | None = None
    blocked_at: int | None = None
    created_at: int
    updated_at: int

    @property
    def blocked(self) -> bool:
        return self.blocked_at is not None

    @property
    def not_enforced(self) -> list[str]:
        """The limits that are stored but not enforced yet, by their names in the API."""
        limits = {
            "rpm_limit": self.rpm_limit is not None,
            "tpm_limit": self.tpm_limit is not None,
            "max_parallel_requests": self.max_parallel_requests is not None,
        }
        return [name for name, is_set in limits.items() if is_set]

    @property
    def display_name(self) -> str:
        """The alias, or without one the masked secret."""
        return self.key_alias or self.key_name


class Window(NamedTuple):
    """The time whose calls count against a budget: from `start` (0: since the beginning) until `end` (None:
    without end), when the next window starts."""

    start: int = 0
    end: int | None = None


class KeyState(msgspec.Struct, kw_only=True, eq=False):
    """One existing (not deleted) key: one object from its creation to its deletion, whatever changes.
    `estimated_pico` is the part of its spend that is upper bounds for calls of unknown cost."""

    record: KeyRecord
    spend_pico: int = 0
    estimated_pico: int = 0
    window_start: int = 0
    budget_reset_at: int | None = None
    last_used_at: int | None = None

    @property
    def window(self) -> Window:
        return Window(self.window_start, self.budget_reset_at)


def key_document(state: KeyState, on_disconnect: str | None = None) -> dict[str, object]:
    """The key as the API returns it, JSON-ready. `on_disconnect` is shown for a key that has none of its own.
    `spend` is that of the state's window: roll the window first
    (`KeyRegistry.find` and `KeyRegistry.list` do)."""
    record = state.record
    return {
        "token_id": record.token_id,
        "key_name": record.key_name,
        "key_alias": record.key_alias,
        "expires": _time(record.expires_at),
        "blocked": record.blocked,
        "models": list(record.models),
        "max_budget": _money(record.max_budget_pico),
        "soft_budget": _money(record.soft_budget_pico),
        "budget_duration": record.budget_duration,
        "budget_reset_at": _time(state.budget_reset_at),
        # Decimal strings with all their places: a JSON number would pass through a float.
        "spend": usd(state.spend_pico),
        "spend_estimated": usd(state.estimated_pico),
        "tpm_limit": record.tpm_limit,
        "rpm_limit": record.rpm_limit,
        "max_parallel_requests": record.max_parallel_requests,
        "tags": list(record.tags),
        "metadata": record.metadata,
        "user_id": record.user_id,
        "group": record.group,
        "allowed_routes": list(record.allowed_routes),
        "on_disconnect": record.on_disconnect.value if record.on_disconnect else on_disconnect,
        "allow_unpriced": record.allow_unpriced,
        "not_enforced": record.not_enforced,
        "created_at": iso(record.created_at),
        "last_used_at": _time(state.last_used_at),
    }


def _time(micros: int | None) -> str | None:
    return None if micros is None else iso(micros)


def _money(pico: int | None) -> str | None:
    return None if pico is None else usd(pico)


class Settlement(NamedTuple):
    """What one finished call costs its key; `estimated`: the cost is unknown, and this is an upper bound;
    `is_use`: the key was used for it."""

    token_id: str
    cost_pico: int
    ended_at: int
    estimated: bool = False
    is_use: bool = True


class SpendDelta(NamedTuple):
    """The amount to add to a key's stored spend, of which `estimated_pico` is estimates, and the window that
    it belongs to."""

    window: Window
    spend_pico: int = 0
    last_used_at: int | None = None
    estimated_pico: int = 0


def next_window_end(window_end: int, budget_duration: str, now: int) -> int:
    """The end of the window that contains `now`: `window_end`, or the first later end at the same phase."""
    if now < window_end:
        return window_end
    length = parse_duration(budget_duration) * MICROS_PER_SECOND
    # In whole lengths, however long the key was not read: windows keep their phase.
    return window_end + ((now - window_end) // length + 1) * length


def initial_window_end(budget_duration: str | None, now: int) -> int | None:
    """The end of a window that begins at `now`; None without a `budget_duration`."""
    return None if budget_duration is None else now + parse_duration(budget_duration) * MICROS_PER_SECOND


def current_spend(state: KeyState, now: int) -> tuple[int, int | None]:
    """The spend that counts against the budget at `now`, and when the budget resets. Changes nothing."""
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None:
        return state.spend_pico, end
    if now < end:
        return state.spend_pico, clamped_window_end(end, duration, now)
    return 0, next_window_end(end, duration, now)


def clamped_window_end(window_end: int, budget_duration: str, now: int) -> int:
    """`window_end`, moved back by whole lengths if its window cannot have begun yet because the clock was
    ahead when it was set. The spend of the window stays: those calls were made."""
    length = parse_duration(budget_duration) * MICROS_PER_SECOND
    ahead = window_end - length - now
    return window_end if ahead <= CLOCK_TOLERANCE else window_end - -(-ahead // length) * length


def roll_window(state: KeyState, now: int) -> None:
    """Moves the state to the window that contains `now`, if its window is over or far from begun."""
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None:
        return
    back = clamped_window_end(end, duration, now)
    if back < end:
        state.budget_reset_at = back
        # Never later: what was spent in this window stays in it.
        state.window_start = min(state.window_start, back - parse_duration(duration) * MICROS_PER_SECOND)
    _advance(state, now)


def _advance(state: KeyState, now: int) -> None:
    end, duration = state.budget_reset_at, state.record.budget_duration
    if end is None or duration is None or now < end:
        return
    state.budget_reset_at = next_window_end(end, duration, now)
    state.window_start = state.budget_reset_at - parse_duration(duration) * MICROS_PER_SECOND
    state.spend_pico = state.estimated_pico = 0


def settle(state: KeyState, cost_pico: int, at: int, *, estimated: bool = False, is_use: bool = True) -> None:
    """Counts a call that ends now, at `at`, in the window that contains `at`."""
    roll_window(state, at)
    # A live call cannot belong to a window that is over. If its time says so, the clock was set back, and the
    # window is extended backwards: otherwise the key's spend would not be counted until the clock has caught
    # up.
    state.window_start = min(state.window_start, at)
    replay(state, cost_pico, at, estimated=estimated, is_use=is_use)


def replay(state: KeyState, cost_pico: int, at: int, *, estimated: bool = False, is_use: bool = True) -> None:
    """Counts a past call that the stored spend lacks, unless its window is over already."""
    # Never moved back: a replayed call may be far older than a correct window.
    _advance(state, at)
    if at >= state.window_start:
        state.spend_pico += cost_pico
        state.estimated_pico += cost_pico if estimated else 0
    if is_use:
        state.last_used_at = max(at, state.last_used_at or at)


def spend_deltas(states: Mapping[str, KeyState], settled: Iterable[Settlement]) -> dict[str, SpendDelta]:
    """What to add to the stored spends for calls that the states have counted; deleted keys are left out."""
    deltas: dict[str, SpendDelta] = {}
    for token_id, cost_pico, ended_at, estimated, _ in settled:
        if state := states.get(token_id):
            before = deltas.get(token_id, SpendDelta(state.window))
            # The same rule as in `replay`, or the sums on disk and in memory would diverge.
            counted = cost_pico if ended_at >= state.window_start else 0
            deltas[token_id] = SpendDelta(
                state.window,
                before.spend_pico + counted,
                state.last_used_at,
                before.estimated_pico + (counted if estimated else 0),
            )
    return deltas
