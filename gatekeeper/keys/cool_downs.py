"""Which Google keys, and which Google projects, are left out for a time, and for which calls.

A cool-down ends in steps: once its time is over one call tries, and each call that succeeds doubles how many
may run at once, until `RAMP_UP_LIMIT` of them may; a quota that is still used up begins it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.google_key import GoogleKey

RAMP_UP_LIMIT = 16
"""Calls at once. A cool-down is over when so many may run."""
CLOCK_TOLERANCE = 60_000_000
"""Microseconds by which the clock may be set back."""
FORGET_AFTER_MICROS = 600_000_000  # microseconds after its end, in which nobody has tried


class KeyRequirement(NamedTuple):
    """What a call needs of a key. `model`: the model that it asks for; `action`: that of a call that no
    quota of models counts (None for any other); `project`: the only one that can answer it."""

    model: str | None = None
    action: str | None = None
    project: str | None = None


class Scope(NamedTuple):
    """What a cool-down holds for: a key (its label) or a whole project, and there a model, an action that no
    model is asked for, or all calls of models (None)."""

    project: bool
    name: str
    of: str | None


class CoolDown:
    """From `since` to `until`: microseconds since 1970; `strikes`: how often in a row it has begun again."""

    __slots__ = ("allowed", "cause", "running", "since", "strikes", "until")

    def __init__(self, cause: str, since: int, until: int, strikes: int = 0) -> None:
        self.cause = cause
        self.since = since
        self.until = until
        self.strikes = strikes
        self.allowed = 1
        self.running = 0

    def admits(self, now: int) -> bool:
        """Whether one more call may try."""
        return not self.lasts(now) and self.running < self.allowed

    def lasts(self, now: int) -> bool:
        """Whether its time is not over; it is also where the clock was set back to before it, by which it
        might last for months."""
        return self.since - CLOCK_TOLERANCE <= now < self.until


CoolingDown = Sequence[tuple[Scope, CoolDown]]


def of_key(key: GoogleKey, some: CoolingDown) -> CoolingDown:
    """Those that hold for this key."""
    names = (key.label, key.project)
    return [each for each in some if each[0].name == names[each[0].project]]


class CoolDowns:
    """Those of one pool."""

    def __init__(self) -> None:
        self._all: dict[Scope, CoolDown] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of_call(self, want: KeyRequirement) -> CoolingDown:
        """What keeps some keys from such a call, or has only just ended."""
        if not self._all:
            return ()
        # None is of all calls of models.
        of = (want.action,) if want.action is not None else (None, want.model)
        return [each for each in self._all.items() if each[0].of in of]

    def of_key(self, key: GoogleKey) -> CoolingDown:
        """All of this key and its project."""
        return of_key(key, [*self._all.items()])

    def begin(self, scope: Scope, cool_down: CoolDown, now: int) -> bool:
        """Begins one, or prolongs it; returns whether it was not known that it is needed."""
        before = self._all.get(scope)
        # Calls that had begun before it get the same answer after it: no news, and no strike.
        if before is not None and before.lasts(now):
            before.until = max(before.until, cool_down.until)
            return False
        self._all[scope] = cool_down
        return True

    def end(self, scope: Scope, cool_down: CoolDown) -> None:
        """Ends one, unless another has begun meanwhile."""
        if self._all.get(scope) is cool_down:
            del self._all[scope]

    def forget(self, now: int) -> None:
        """What is long over, and nobody has tried."""
        for scope, cool_down in [*self._all.items()]:
            if now > cool_down.until + FORGET_AFTER_MICROS and not cool_down.running:
                del self._all[scope]
