"""Which Google project a resource is in: that of the key with which it was made, or found."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.gemini.owned import root_of
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.owners import Owners
from gatekeeper.keys.pending_charges import PendingCharges

MAX_FOUND = 10_000  # names, in memory only


class ResourceProjects:
    """`found` are resources without a known owner that have been seen with a key."""

    def __init__(self, pool: GoogleKeys, owners: Owners, pending: PendingCharges) -> None:
        self._pool = pool
        self._owners = owners
        self._pending = pending
        self._found: dict[str, str] = {}

    @property
    def matter(self) -> bool:
        """Whether there are several projects."""
        return self._pool.has_projects

    def project_of(self, resources: Iterable[str]) -> str | None:
        """The project of the first of the resources whose is known."""
        for resource in resources:
            root = root_of(resource)
            owner = root and self._owners.owner_of(root)
            if owner and owner.google_key:
                return self._pool.project_of(owner.google_key)
            if (awaiting := self._pending.find(resource)) and awaiting.upstream_key:
                return self._pool.project_of(awaiting.upstream_key)
            if root and root in self._found:
                return self._found[root]
        return None

    def found(self, resources: Iterable[str], project: str) -> None:
        """Notes that a call which names these was answered with a key of the project."""
        for resource in resources:
            if (root := root_of(resource)) and self._owners.owner_of(root) is None:
                self._found.pop(root, None)
                self._found[root] = project
        while len(self._found) > MAX_FOUND:
            del self._found[next(iter(self._found))]
