"""The state of a Google key: its load, whether Google rejects it, and its health as shown to
administrators."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.cool_downs import CoolingDown
from gatekeeper.times import iso

MINUTE = 60_000_000  # microseconds


class Refused(msgspec.Struct, frozen=True):
    """Google rejects the key: why, and since when (microseconds since 1970)."""

    why: str
    since: int


class LastMinute:
    """An approximate sum over the last minute: that of the current minute, plus that of the previous one
    weighted by its overlap."""

    __slots__ = ("_before", "_current", "_minute")

    def __init__(self) -> None:
        self._minute = self._current = self._before = 0

    def add(self, now: int, amount: int) -> None:
        self._turn(now)
        self._current += amount

    def sum(self, now: int) -> float:
        self._turn(now)
        return self._current + self._before * (1 - now % MINUTE / MINUTE)

    def _turn(self, now: int) -> None:
        # A clock that was set back a little goes on with the minute that it was in.
        if not self._minute - 1 <= (minute := now // MINUTE) <= self._minute:
            self._before = self._current if minute == self._minute + 1 else 0
            self._minute, self._current = minute, 0


class PooledKey:
    """A Google key and its state. `in_flight` is the number of running calls. A `draining` key gets no new
    calls, except those that only its project can serve. `last_used` orders keys by their last call."""

    __slots__ = ("draining", "in_flight", "key", "last_used", "refused", "requests", "tokens")

    def __init__(self, key: GoogleKey, *, draining: bool = False) -> None:
        self.key = key
        self.draining = draining
        self.refused: Refused | None = None
        self.in_flight = 0
        self.last_used = 0
        self.requests = LastMinute()
        self.tokens = LastMinute()

    def is_full(self, now: int) -> bool:
        """Whether it has used up its rate limit of the last minute."""
        rpm, tpm = self.key.rpm, self.key.tpm
        # The call itself is one more request; its tokens are only known when it has ended.
        return (rpm is not None and self.requests.sum(now) + 1 > rpm) or (
            tpm is not None and self.tokens.sum(now) >= tpm
        )

    def load(self, now: int, *, counted: bool) -> tuple[float, float, int]:
        """Its load relative to its weight: the key with the lowest is used next. `counted`: include the calls
        of the last minute."""
        weight = self.key.weight
        # Includes the call itself, or weights would have no effect without calls: 0 by any weight is 0.
        recent = self.requests.sum(now) + 1 if counted else 0
        return self.in_flight / weight, recent / weight, self.last_used


class KeyHealth(msgspec.Struct, frozen=True):
    """The health of a Google key for administrators, without its secret. `state` is `ok`, `full` (its rate
    limit of this minute is used up), `returning`, `cooling`, `refused` or `draining`."""

    label: str
    project: str
    state: str
    detail: str | None
    in_flight: int
    requests_last_minute: int
    input_tokens_last_minute: int
    weight: float
    models: tuple[str, ...]
    rpm: int | None
    tpm: int | None


def health(pooled: PooledKey, cool_downs: CoolingDown, now: int) -> KeyHealth:
    """The health of a key; `cool_downs` are those that apply to it."""
    key = pooled.key
    state = "full" if pooled.is_full(now) else "ok"
    if cool_downs:
        state = "cooling" if any(each.lasts(now) for _, each in cool_downs) else "returning"
    # Later states take precedence: a key that is draining or refused gets no calls, whatever its load.
    if pooled.draining:
        state = "draining"
    told = list(_told(cool_downs, now))
    if pooled.refused:
        state = "refused"
        told.insert(0, f"Google has refused it since {iso(pooled.refused.since)}: {pooled.refused.why}")
    return KeyHealth(
        label=key.label,
        project=key.project,
        state=state,
        detail="; ".join(told) or None,
        in_flight=pooled.in_flight,
        requests_last_minute=round(pooled.requests.sum(now)),
        input_tokens_last_minute=round(pooled.tokens.sum(now)),
        weight=key.weight,
        models=key.models,
        rpm=key.rpm,
        tpm=key.tpm,
    )


def _told(cool_downs: CoolingDown, now: int) -> Iterator[str]:
    for scope, each in cool_downs:
        whose = f"all of project {scope.name}" if scope.project else "this key"
        of = f" for {scope.of}" if scope.of else ""
        when = f"until {iso(each.until)}" if each.lasts(now) else f"over, {each.allowed} at once may try"
        yield f"{each.cause}: {whose}{of}, {when}"
