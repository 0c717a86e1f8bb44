"""Cool-downs: Google keys or projects that are not used for a time, for all calls or some.

A cool-down ends gradually (like a half-open circuit breaker): when its time is over, one call is tried, and
each call that succeeds doubles the number that may run at once, up to `RAMP_UP_LIMIT`. If the quota is still
exhausted, the cool-down starts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.google_key import GoogleKey

RAMP_UP_LIMIT = 16
"""Concurrent calls. A cool-down is over when this many may run."""
CLOCK_TOLERANCE = 60_000_000
"""Microseconds by which the clock may be set back."""
FORGET_AFTER_MICROS = 600_000_000  # microseconds after its end without a call


class KeyRequirement(NamedTuple):
    """What a call requires of a Google key. `model` is the requested model. `action` is set only for a call
    that does not count towards quotas of models. `project` is set if only that project has the resource."""

    model: str | None = None
    action: str | None = None
    project: str | None = None


class Scope(NamedTuple):
    """What a cool-down applies to: a key (by its label) or a whole project, and there a model, an action
    without a model, or all calls to models (None)."""

    project: bool
    name: str
    of: str | None


class CoolDown:
    """From `since` to `until` (microseconds since 1970); `strikes` is how many times in a row it has started
    again."""

    __slots__ = ("allowed", "cause", "running", "since", "strikes", "until")

    def __init__(self, cause: str, since: int, until: int, strikes: int = 0) -> None:
        self.cause = cause
        self.since = since
        self.until = until
        self.strikes = strikes
        self.allowed = 1
        self.running = 0

    def admits(self, now: int) -> bool:
        """Whether one more call may be made."""
        return not self.lasts(now) and self.running < self.allowed

    def lasts(self, now: int) -> bool:
        """Whether its time is not over; it is also where the clock was set back to before it, by which it
        might last for months."""
        return self.since - CLOCK_TOLERANCE <= now < self.until


CoolingDown = Sequence[tuple[Scope, CoolDown]]


def of_key(key: GoogleKey, some: CoolingDown) -> CoolingDown:
    """The cool-downs that apply to this key."""
    names = (key.label, key.project)
    return [each for each in some if each[0].name == names[each[0].project]]


class CoolDowns:
    """The cool-downs of one pool."""

    def __init__(self) -> None:
        self._all: dict[Scope, CoolDown] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of_call(self, want: KeyRequirement) -> CoolingDown:
        """The cool-downs that apply to such a call, including those that are ending."""
        if not self._all:
            return ()
        # None stands for all calls to models.
        of = (want.action,) if want.action is not None else (None, want.model)
        return [each for each in self._all.items() if each[0].of in of]

    def of_key(self, key: GoogleKey) -> CoolingDown:
        """The cool-downs of this key and its project."""
        return of_key(key, [*self._all.items()])

    def begin(self, scope: Scope, cool_down: CoolDown, now: int) -> bool:
        """Starts or extends a cool-down; returns whether this is news."""
        before = self._all.get(scope)
        # Calls that started before it get the same response after it: this is neither news nor a strike.
        if before is not None and before.lasts(now):
            before.until = max(before.until, cool_down.until)
            return False
        self._all[scope] = cool_down
        return True

    def end(self, scope: Scope, cool_down: CoolDown) -> None:
        """Ends a cool-down, unless another one has started meanwhile."""
        if self._all.get(scope) is cool_down:
            del self._all[scope]

    def forget(self, now: int) -> None:
        """Removes cool-downs that ended long ago without a call."""
        for scope, cool_down in [*self._all.items()]:
            if now > cool_down.until + FORGET_AFTER_MICROS and not cool_down.running:
                del self._all[scope]
