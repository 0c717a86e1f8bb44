"""What a response has shown to be made, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from gatekeeper.gemini.created_names import MAX_NAMES, CreatedNames
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.resource_names import OwnedResource, collection_of, owned_resource
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.keys.owners import Owners
from gatekeeper.ledger.call import CreatedResources
from gatekeeper.proxy.pending_results import TeeMeter

# What tells of other resources once it has ended, or of those that it works with.
_MAY_NAME_CREATED = frozenset(
    {"operations", "models", "batches", "interactions", "triggers", "videos", "tunedModels"}
)


class CreatedNamesMeter(TeeMeter):
    """Also finds what an answer says was made by something else."""

    def __init__(self, meter: Meter, *, is_gzip: bool) -> None:
        self._found = CreatedNames()
        super().__init__(meter, self._found, is_gzip=is_gzip)

    @property
    def summary(self) -> ResponseSummary:
        return self._with_found(super().summary)

    def finish(self) -> ResponseSummary:
        return self._with_found(super().finish())

    def _with_found(self, summary: ResponseSummary) -> ResponseSummary:
        names = self._found.names
        return msgspec.structs.replace(summary, found=(*summary.found, *names)) if names else summary


def may_name_created(action: str | None, named: OwnedResource) -> bool:
    """Whether the answer to a call may tell of resources beside the one that it is about."""
    return action == "interactions.create" or (
        named.name is not None and named.name.partition("/")[0] in _MAY_NAME_CREATED
    )


def created_resources(
    action: str | None, named: OwnedResource, status: int | None, summary: ResponseSummary, owners: Owners
) -> CreatedResources | None:
    """The names for a row. What the call's path names is not made by it; and what is found in that, by
    whoever reads it, belongs to its owner."""
    if status is None or status // 100 != 2 or not (summary.resource or summary.found):
        return None
    names = dict.fromkeys(_made(action, summary))
    # Whose those are is known already, unless they are new.
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
    """All that a call has made: what was noted while it ran, too."""
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
