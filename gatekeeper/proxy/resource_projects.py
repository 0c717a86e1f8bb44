"""Which Google project a resource is in: that of the key with which it was made, or found."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.gemini.resource_names import owned_resource
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.owners import Owners
from gatekeeper.keys.pending_charges import PendingCharges

MAX_FOUND = 10_000  # names, in memory only


class ResourceProjects:
    """`found` are resources that no key of the pool is known to have made, and that were seen with one."""

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
            owned = owned_resource(resource)
            owner = owned and self._owners.owner_of(owned)
            awaiting = self._pending.find(resource)
            for label in (owner and owner.google_key, awaiting and awaiting.upstream_key):
                # A key that has been removed since may leave others of its project, under a name of theirs.
                if label and (project := self._pool.project_of(label)) in self._pool.projects:
                    return project
            if owned and self._found.get(owned) in self._pool.projects:
                return self._found[owned]
        return None

    def found(self, resources: Iterable[str], project: str) -> None:
        """Notes that a call which names these was answered with a key of the project."""
        for resource in resources:
            if (owned := owned_resource(resource)) and self.project_of((resource,)) is None:
                self._found.pop(owned, None)
                self._found[owned] = project
        while len(self._found) > MAX_FOUND:
            del self._found[next(iter(self._found))]
