"""The pool of the gateway's own Google keys: which of them a call is made with, and what its response says
about the next ones. No I/O; times are given, in microseconds since 1970.

A call gets the healthy key that is the least busy for its weight. No call is refused here because of what an
earlier one was told: where no key is healthy, the one that is back first is asked, and Google's answer is the
client's. So a single key is always asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from gatekeeper.gemini.quota_errors import Exhausted
from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.admission import matches
from gatekeeper.keys.google_key_health import (
    RAMPED,
    CoolDown,
    KeyHealth,
    PooledKey,
    Refused,
    Scope,
    health,
)

TIMEOUT_WAIT = 30_000_000  # microseconds; twice as long each time that it happens again
MAX_TIMEOUT_WAIT = 600_000_000
UNTRIED = 600_000_000  # microseconds after its end, in which nobody has tried
TIMEOUT_CAUSE = "no response in time"


class Want(NamedTuple):
    """What a call needs of a key. `model`: the model that it asks for; `action`: that of a call that no
    quota of models counts (None for any other); `project`: the only one that can answer it."""

    model: str | None = None
    action: str | None = None
    project: str | None = None


class Lease:
    """A key for one request of a call. `finish` it, once, whatever has become of it."""

    __slots__ = ("_tried", "key", "pool", "pooled", "want")

    def __init__(
        self, pool: GoogleKeys, pooled: PooledKey, want: Want, tried: tuple[tuple[Scope, CoolDown], ...]
    ) -> None:
        self.pool = pool
        self.pooled: PooledKey | None = pooled
        self.key = pooled.key
        self.want = want
        self._tried = tried
        pooled.in_flight += 1
        for _, cool_down in tried:
            cool_down.running += 1

    @property
    def is_watched(self) -> bool:
        """Whether it matters that Google accepts the key."""
        return bool(self._tried) or (self.pooled is not None and self.pooled.refused is not None)

    def finish(self, now: int, input_tokens: int = 0) -> None:
        """The request is over; a second time changes nothing."""
        if (pooled := self.pooled) is None:
            return
        self.pooled = None
        pooled.in_flight -= 1
        if input_tokens:
            pooled.tokens.add(now, input_tokens)
        for _, cool_down in self._tried:
            cool_down.running -= 1

    def succeeded(self, now: int) -> None:
        """Google has accepted the key, and begun a proper response."""
        if self.pooled is not None and self.pooled.refused is not None:
            self.pooled.refused = None
        for scope, cool_down in self._tried:
            cool_down.until = min(cool_down.until, now)
            cool_down.allowed *= 2
            if cool_down.allowed > RAMPED:
                self.pool.end(scope, cool_down)

    def is_exhausted(self, quotas: Iterable[Exhausted], now: int) -> list[Exhausted]:
        """Google has answered that quotas are used up; returns those that were not known to be."""
        return [quota for quota in quotas if self._cool_down(quota, now)]

    def timed_out(self, now: int) -> None:
        """Google has sent nothing in time: the next calls are made with other keys."""
        of = self.want.model if self.want.action is None else self.want.action
        scope = Scope(project=False, name=self.key.label, of=of)
        strikes = max((each.strikes + 1 for tried, each in self._tried if tried == scope), default=0)
        wait = min(TIMEOUT_WAIT << min(strikes, 10), MAX_TIMEOUT_WAIT)
        self.pool.begin(scope, CoolDown(TIMEOUT_CAUSE, now + wait, strikes), now)

    def is_refused(self, why: str, now: int) -> bool:
        """Google has refused the key itself; returns whether that is new."""
        pooled = self.pooled
        if pooled is None or pooled.refused is not None:
            return False
        pooled.refused = Refused(why, now)
        return True

    def _cool_down(self, quota: Exhausted, now: int) -> bool:
        key, action = self.key, self.want.action
        name = key.project if quota.whole_project else key.label
        # A quota of the storage of files, say, is none of the models'.
        of: tuple[str | None, ...] = quota.models or (action,)
        is_new = [
            self.pool.begin(Scope(quota.whole_project, name, each), CoolDown(quota.cause, quota.until), now)
            for each in of
        ]
        return any(is_new)


class GoogleKeys:
    """All Google keys of one gateway, by label."""

    def __init__(self, keys: Iterable[GoogleKey]) -> None:
        self._keys: dict[str, PooledKey] = {}
        self._cool_downs: dict[Scope, CoolDown] = {}
        self._projects: dict[str, str] = {}
        self._secrets: dict[str, None] = {}
        self._only: PooledKey | None = None
        self.are_choosy = False  # whether one is for some models only
        self.has_projects = False  # more than one
        self._used = 0
        for key in keys:
            self.add(key)

    # The keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[PooledKey]:
        return iter(self._keys.values())

    def find(self, label: str | None) -> PooledKey | None:
        return self._keys.get(label or "")

    def project_of(self, label: str | None) -> str:
        """The project of a key, also of one that was removed; a label that is not known is its own."""
        return self._projects.get(label or "", label or "")

    def labels_of(self, project: str) -> Iterable[str]:
        return [label for label, pooled in self._keys.items() if pooled.key.project == project]

    def secret_of(self, label: str | None) -> str | None:
        """The secret of the key with this label; of another one of its project, if it was removed."""
        pooled = self.find(label)
        if pooled is None and label in self._projects:
            pooled = next((each for each in self if each.key.project == self._projects[label]), None)
        return pooled and pooled.key.secret

    @property
    def secrets(self) -> Collection[str]:
        """Of all keys that there have been."""
        return self._secrets.keys()

    def add(self, key: GoogleKey, *, draining: bool = False) -> None:
        """Adds a key, or replaces the one with its label."""
        self._keys[key.label] = PooledKey(key, draining=draining)
        self._projects[key.label] = key.project
        self._secrets[key.secret] = None
        self._changed()

    def remove(self, label: str) -> None:
        """No more calls are made with it; those that run go on."""
        del self._keys[label]
        self._changed()

    def resume(self, label: str) -> None:
        """Ends its draining, and forgets what Google has said about it and its project."""
        pooled = self._keys[label]
        pooled.draining, pooled.refused = False, None
        for scope in [*self._holding(pooled)]:
            del self._cool_downs[scope]

    def _changed(self) -> None:
        only = next(iter(self._keys.values()), None) if len(self._keys) == 1 else None
        self.are_choosy = any(pooled.key.models for pooled in self)
        self._only = None if self.are_choosy else only
        self.has_projects = len({pooled.key.project for pooled in self}) > 1

    # The choice

    def choose(self, want: Want, now: int, label: str | None = None) -> Lease | None:
        """The key for a call: the one with this label if it is still here, else the best one. None if none is
        for its model."""
        if (only := self._only) is not None and not self._cool_downs:
            return self._lease(only, want, now)
        self._forget(now)
        pinned = self.find(label)
        if pinned is not None:
            return self._lease(pinned, want, now)
        serving = [pooled for pooled in self if serves(pooled, want)]
        if want.project is not None:
            # Without one of its project, Google says that there is no such resource.
            serving = [pooled for pooled in serving if pooled.key.project == want.project] or serving
        else:
            serving = [pooled for pooled in serving if not pooled.draining]
        best = min(serving, key=lambda pooled: self._rank(pooled, want, now), default=None)
        return best and self._lease(best, want, now)

    def choose_another(self, want: Want, now: int, tried: Collection[str]) -> Lease | None:
        """A healthy key for a request that could not be made with those that were `tried`."""
        healthy = (
            pooled
            for pooled in self
            if pooled.key.label not in tried
            and not pooled.draining
            and pooled.refused is None
            and want.project in (None, pooled.key.project)
            and serves(pooled, want)
            and all(each.admits(now) for _, each in self._cooling(pooled, want))
        )
        best = min(healthy, key=lambda pooled: self._rank(pooled, want, now), default=None)
        return best and self._lease(best, want, now)

    def _rank(
        self, pooled: PooledKey, want: Want, now: int
    ) -> tuple[bool, int, bool, bool, float, float, int]:
        """The least is the best: one that is not refused, not cooling down (else the one that is back first),
        not draining, not full, and the least busy."""
        blocking = [each.until for _, each in self._cooling(pooled, want) if not each.admits(now)]
        back_at = max(now, *blocking) if blocking else 0
        counted = want.action is None
        is_full = counted and pooled.is_full(now)
        load = pooled.load(now, counted=counted)
        return pooled.refused is not None, back_at, pooled.draining, is_full, *load

    def _lease(self, pooled: PooledKey, want: Want, now: int) -> Lease:
        self._used += 1
        pooled.last_used = self._used
        if want.action is None:
            pooled.requests.add(now, 1)
        return Lease(self, pooled, want, tuple(self._cooling(pooled, want)) if self._cool_downs else ())

    # Their health

    def _cooling(self, pooled: PooledKey, want: Want) -> Iterator[tuple[Scope, CoolDown]]:
        """What keeps this key from such a call, or has only just ended."""
        if not self._cool_downs:
            return
        # None is of all calls of models.
        of = (want.action,) if want.action is not None else dict.fromkeys((None, want.model))
        for each in of:
            for scope in (Scope(False, pooled.key.label, each), Scope(True, pooled.key.project, each)):
                if cool_down := self._cool_downs.get(scope):
                    yield scope, cool_down

    def _holding(self, pooled: PooledKey) -> dict[Scope, CoolDown]:
        """All that is cooling down of this key and its project."""
        names = (pooled.key.label, pooled.key.project)
        return {scope: each for scope, each in self._cool_downs.items() if scope.name == names[scope.project]}

    def begin(self, scope: Scope, cool_down: CoolDown, now: int) -> bool:
        """Begins a cool-down, or prolongs it; returns whether it was not known that it is needed."""
        before = self._cool_downs.get(scope)
        if before is not None and now < before.until:
            before.until = max(before.until, cool_down.until)
            return False
        self._cool_downs[scope] = cool_down
        return True

    def _forget(self, now: int) -> None:
        """What is long over, and nobody has tried."""
        for scope, cool_down in [*self._cool_downs.items()]:
            if now > cool_down.until + UNTRIED and not cool_down.running:
                del self._cool_downs[scope]

    def end(self, scope: Scope, cool_down: CoolDown) -> None:
        """Ends a cool-down, unless another has begun meanwhile."""
        if self._cool_downs.get(scope) is cool_down:
            del self._cool_downs[scope]

    def health(self, now: int) -> list[KeyHealth]:
        """The state of each key, for people."""
        self._forget(now)
        return [health(pooled, self._holding(pooled), now) for pooled in self]

    def all_out(self, now: int) -> bool:
        """Whether no key is known to work for calls of any model."""
        want = Want()
        return all(
            pooled.refused is not None
            or pooled.draining
            or any(now < each.until for _, each in self._cooling(pooled, want))
            for pooled in self
        )


def serves(pooled: PooledKey, want: Want) -> bool:
    """Whether the key is for such a call."""
    models = pooled.key.models
    return not models or want.model is None or any(matches(glob, want.model) for glob in models)
