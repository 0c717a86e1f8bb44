"""What a response has shown to be made, and whose it is."""

from __future__ import annotations

from gatekeeper.gemini.owned import root_of
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.keys.owners import Owners
from gatekeeper.ledger.call import MadeResources


def made_resources(
    route: Route, status: int | None, summary: ResponseSummary, owners: Owners
) -> MadeResources | None:
    """The names that a row notes. What the call's path names is there already: it is not made, and what is
    found in it, by whoever reads it, belongs to its owner."""
    if summary.resource is None or status is None or status // 100 != 2:
        return None
    read = route.resource and root_of(route.resource)
    made = root_of(summary.resource)
    if made is None or made == read:
        return None
    if read is None:
        return MadeResources((made,))
    owner = owners.owner_of(read)
    return MadeResources((made,), owner.key_id) if owner else None
