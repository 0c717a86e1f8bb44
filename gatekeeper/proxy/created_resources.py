"""The resources that calls create at Google: which ones a response names, who owns them, and in which Google
project they are.

A resource is in the project of the Google key with which it was created or first read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from gatekeeper.gemini.created_names import MAX_NAMES
from gatekeeper.gemini.resource_names import OwnedResource, collection_of, owned_resource
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.keys.owners import Owners
from gatekeeper.keys.pending_charges import PendingCharges
from gatekeeper.ledger.call import CreatedResources

MAX_FOUND = 10_000  # names, in memory only


def created_resources(
    action: str | None, named: OwnedResource, status: int | None, summary: ResponseSummary, owners: Owners
) -> CreatedResources | None:
    """The created resources that go into a call's row. The resource that the path names was not created by
    the call; resources found inside it belong to its owner, whoever reads it."""
    if status is None or status // 100 != 2 or not (summary.resource or summary.found):
        return None
    names = dict.fromkeys(_made(action, summary))
    # Only new ones: the others have an owner already.
    found = filter(None, map(owned_resource, summary.found))
    names.update(dict.fromkeys(name for name in found if not owners.owner_of(name)))
    names.pop(named.name or "", None)
    if not names:
        return None
    some = tuple(islice(names, MAX_NAMES))
    if named.name is None:
        return CreatedResources(some)
    owner = owners.owner_of(named.name)
    return CreatedResources(some, owner.key_id) if owner else None


def with_earlier(earlier: CreatedResources | None, made: CreatedResources | None) -> CreatedResources | None:
    """All that a call has created, including what was recorded while it ran."""
    if earlier is None or made is None:
        return earlier or made
    names = dict.fromkeys((*earlier.names, *made.names))
    return CreatedResources(tuple(islice(names, MAX_NAMES)), earlier.key_id)


def _made(action: str | None, summary: ResponseSummary) -> Iterator[str]:
    owned = owned_resource(summary.resource or "")
    collection = collection_of(action)
    # Where a resource has an id its name is what a client likes.
    if owned and (collection is None or owned.startswith((f"{collection}/", "models/", "operations/"))):
        yield owned


class ResourceProjects:
    """The Google project of each resource: of the key that created it, else of the one with which it was last
    read (`_found`)."""

    def __init__(self, pool: GoogleKeys, owners: Owners, pending: PendingCharges) -> None:
        self._pool = pool
        self._owners = owners
        self._pending = pending
        self._found: dict[str, str] = {}

    @property
    def has_several(self) -> bool:
        """Whether the Google keys are of several projects."""
        return self._pool.has_projects

    def project_of(self, resources: Iterable[str]) -> str | None:
        """The project of the first of the resources whose project is known."""
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

    def record(self, resources: Iterable[str], project: str) -> None:
        """Records that a call which names these resources succeeded with a key of the project."""
        for resource in resources:
            if (owned := owned_resource(resource)) and self.project_of((resource,)) is None:
                self._found.pop(owned, None)
                self._found[owned] = project
        while len(self._found) > MAX_FOUND:
            del self._found[next(iter(self._found))]
