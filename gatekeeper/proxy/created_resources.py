"""What a response has shown to be made, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from gatekeeper.gemini.created_names import MAX_NAMES, CreatedNames
from gatekeeper.gemini.meter_layers import Meter
from gatekeeper.gemini.owned import Named, root_of
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.response_resource import collection_of
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


def may_name_created(action: str | None, named: Named) -> bool:
    """Whether the answer to a call may tell of resources beside the one that it is about."""
    return action == "interactions.create" or (
        named.root is not None and named.root.partition("/")[0] in _MAY_NAME_CREATED
    )


def created_resources(
    action: str | None, named: Named, status: int | None, summary: ResponseSummary, owners: Owners
) -> CreatedResources | None:
    """The names for a row. What the call's path names is not made by it; and what is found in that, by
    whoever reads it, belongs to its owner."""
    if status is None or status // 100 != 2 or not (summary.resource or summary.found):
        return None
    names = dict.fromkeys(_made(action, summary))
    # Whose those are is known already, unless they are new.
    found = (root for name in summary.found if (root := root_of(name)) and not owners.owner_of(root))
    names.update(dict.fromkeys(found))
    names.pop(named.root or "", None)
    if not names:
        return None
    some = tuple(islice(names, MAX_NAMES))
    if named.root is None:
        return CreatedResources(some)
    owner = owners.owner_of(named.root)
    return CreatedResources(some, owner.key_id) if owner else None


def with_earlier(earlier: CreatedResources | None, made: CreatedResources | None) -> CreatedResources | None:
    """All that a call has made: what was noted while it ran, too."""
    if earlier is None or made is None:
        return earlier or made
    names = dict.fromkeys((*earlier.names, *made.names))
    return CreatedResources(tuple(islice(names, MAX_NAMES)), earlier.key_id)


def _made(action: str | None, summary: ResponseSummary) -> Iterator[str]:
    root = root_of(summary.resource or "")
    collection = collection_of(action)
    # Where a resource has an id its name is what a client likes.
    if root and (collection is None or root.startswith((f"{collection}/", "models/", "operations/"))):
        yield root
