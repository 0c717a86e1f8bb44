"""The state of a Google key: how busy it is, whether Google refuses it, and what people are told of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.cool_downs import CoolingDown
from gatekeeper.times import iso

MINUTE = 60_000_000  # microseconds


class Refused(msgspec.Struct, frozen=True):
    """Google refuses the key: why, and since when (microseconds since 1970)."""

    why: str
    since: int


class LastMinute:
    """About how much of something there was in the last minute: this minute's, and of the one before the
    part that is not over yet."""

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
    """A Google key and its state. `in_flight` calls run with it; one that is `draining` gets no new ones but
    those that only its project can answer; `last_used` orders keys by their last call."""

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
        """Whether it has had as much of the last minute as was set."""
        rpm, tpm = self.key.rpm, self.key.tpm
        # The call itself is one more request; how many tokens it has Google counts only when it is over.
        return (rpm is not None and self.requests.sum(now) + 1 > rpm) or (
            tpm is not None and self.tokens.sum(now) >= tpm
        )

    def load(self, now: int, *, counted: bool) -> tuple[float, float, int]:
        """How busy it is for its weight: the least is the next. `counted`: the calls of the last minute
        matter, too."""
        weight = self.key.weight
        # With the call itself, or weights would not count while there was none: 0 by any weight is 0.
        recent = self.requests.sum(now) + 1 if counted else 0
        return self.in_flight / weight, recent / weight, self.last_used


class KeyHealth(msgspec.Struct, frozen=True):
    """What people are told of a Google key; no secret. `state` is `ok`, `full` (of requests or tokens of this
    minute), `returning`, `cooling`, `refused` or `draining`."""

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
    """`cool_downs` are those that hold for it."""
    key = pooled.key
    state = "full" if pooled.is_full(now) else "ok"
    if cool_downs:
        state = "cooling" if any(each.lasts(now) for _, each in cool_downs) else "returning"
    # What follows hides what is above: however busy a key is, none that drains or is refused gets calls.
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
