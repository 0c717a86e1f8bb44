"""The pool of the gateway's own Google keys: which of them is used for a call. No I/O; times are parameters,
in microseconds since 1970.

A call gets the healthy key with the lowest load relative to its weight. No call is refused here because of an
earlier response: if no key is healthy, the one whose cool-down ends first is used, and the client gets
Google's response. So a single key is always used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.cool_downs import CoolDowns, CoolingDown, KeyRequirement, of_key
from gatekeeper.keys.globs import matches
from gatekeeper.keys.google_key_health import KeyHealth, PooledKey, health
from gatekeeper.keys.google_key_lease import Lease


class GoogleKeys:
    """All Google keys of one gateway, by label."""

    def __init__(self, keys: Iterable[GoogleKey]) -> None:
        self._keys: dict[str, PooledKey] = {}
        self._cool_downs = CoolDowns()
        # Including removed keys: rows and resources reference their labels, and their secrets are still
        # masked.
        self._projects: dict[str, str] = {}
        self._secrets: dict[str, None] = {}
        self._only: PooledKey | None = None
        self.have_model_limits = False  # whether one is for some models only
        self.projects: tuple[str, ...] = ()  # in the order of their keys
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
        """The project of a key, also of a removed one. An unknown label is its own project."""
        return self._projects.get(label or "", label or "")

    def labels_of(self, project: str) -> Iterable[str]:
        return [label for label, pooled in self._keys.items() if pooled.key.project == project]

    def secret_of(self, label: str | None) -> str | None:
        """The secret of the key with this label, or of another key of its project, if it was removed."""
        pooled = self.find(label)
        if pooled is None and label in self._projects:
            pooled = next((each for each in self if each.key.project == self._projects[label]), None)
        return pooled and pooled.key.secret

    @property
    def secrets(self) -> Collection[str]:
        """The secrets of all keys, including removed ones."""
        return self._secrets.keys()

    def add(self, key: GoogleKey, *, draining: bool = False) -> None:
        """Adds a key, or replaces the one with its label."""
        self._keys[key.label] = PooledKey(key, draining=draining)
        self._projects[key.label] = key.project
        self._secrets[key.secret] = None
        self._changed()

    def remove(self, label: str) -> None:
        """Removes a key: it gets no more calls; running ones continue."""
        del self._keys[label]
        self._changed()

    def resume(self, label: str) -> None:
        """Ends its draining, and forgets earlier errors from Google for it and its project."""
        pooled = self._keys[label]
        pooled.draining, pooled.refused = False, None
        for scope, cool_down in self._cool_downs.of_key(pooled.key):
            self._cool_downs.end(scope, cool_down)

    def _changed(self) -> None:
        only = next(iter(self._keys.values()), None) if len(self._keys) == 1 else None
        self.have_model_limits = any(pooled.key.models for pooled in self)
        self._only = None if self.have_model_limits else only
        self.projects = tuple(dict.fromkeys(pooled.key.project for pooled in self))
        self.has_projects = len(self.projects) > 1

    # The choice

    def choose(self, want: KeyRequirement, now: int, label: str | None = None) -> Lease | None:
        """The key for a call: the one with this label if it still exists, else the best one. None if no key
        serves its model."""
        # Fast path of nearly all calls: a single key without cool-downs.
        if (only := self._only) is not None and not self._cool_downs:
            return self._lease(only, want, now)
        self._cool_downs.forget(now)
        pinned = self.find(label)
        if pinned is not None:
            return self._lease(pinned, want, now)
        serving = self._serving(want)
        if len(serving) == 1:
            return self._lease(serving[0], want, now)
        some = self._cool_downs.of_call(want)
        best = min(serving, key=lambda pooled: _rank(pooled, want, some, now), default=None)
        return best and self._lease(best, want, now)

    def is_for(self, want: KeyRequirement) -> bool:
        """Whether `choose` would find a key."""
        return (self._only is not None and not self._cool_downs) or bool(self._serving(want))

    def _serving(self, want: KeyRequirement) -> list[PooledKey]:
        serving = [pooled for pooled in self if serves(pooled, want)]
        if want.project is not None:
            # Without a key of its project, Google responds that the resource does not exist.
            return [pooled for pooled in serving if pooled.key.project == want.project] or serving
        return [pooled for pooled in serving if not pooled.draining]

    def choose_another(self, want: KeyRequirement, now: int, tried: Collection[str]) -> Lease | None:
        """A healthy key for retrying a request that has failed with the `tried` ones."""
        some = self._cool_downs.of_call(want)
        healthy = (
            pooled
            for pooled in self
            if pooled.key.label not in tried
            and not pooled.draining
            and pooled.refused is None
            and want.project in (None, pooled.key.project)
            and serves(pooled, want)
            and all(each.admits(now) for _, each in of_key(pooled.key, some))
        )
        best = min(healthy, key=lambda pooled: _rank(pooled, want, some, now), default=None)
        return best and self._lease(best, want, now)

    def _lease(self, pooled: PooledKey, want: KeyRequirement, now: int) -> Lease:
        self._used += 1
        pooled.last_used = self._used
        if want.action is None:
            pooled.requests.add(now, 1)
        return Lease(
            self._cool_downs,
            pooled,
            want,
            of_key(pooled.key, self._cool_downs.of_call(want)) if self._cool_downs else (),
        )

    # Their health

    def health(self, now: int) -> list[KeyHealth]:
        """The health of each key, for administrators."""
        self._cool_downs.forget(now)
        return [health(pooled, self._cool_downs.of_key(pooled.key), now) for pooled in self]

    def all_out(self, now: int) -> bool:
        """Whether no key is healthy for calls to any model."""
        some = self._cool_downs.of_call(KeyRequirement())
        return all(
            pooled.refused is not None
            or pooled.draining
            or any(each.lasts(now) for _, each in of_key(pooled.key, some))
            for pooled in self
        )


def _rank(
    pooled: PooledKey, want: KeyRequirement, some: CoolingDown, now: int
) -> tuple[bool, int, bool, bool, bool, float, float, int]:
    """A sort key; the lowest is the best: not refused, not cooling down (else the one that is back first),
    not draining, serving all models if the model is not known yet, not full, and with the lowest load."""
    blocking = [each.until for _, each in of_key(pooled.key, some) if not each.admits(now)]
    counted = want.action is None
    return (
        pooled.refused is not None,
        max(now, *blocking) if blocking else 0,
        pooled.draining,
        counted and want.model is None and bool(pooled.key.models),
        counted and pooled.is_full(now),
        *pooled.load(now, counted=counted),
    )


def serves(pooled: PooledKey, want: KeyRequirement) -> bool:
    """Whether the key may be used for such a call."""
    models = pooled.key.models
    return not models or want.model is None or any(matches(glob, want.model) for glob in models)
