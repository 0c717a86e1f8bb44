"""What the meter reads of a response, by route: usage, the created resource, or only an error."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.gemini.resource_names import collection_of
from gatekeeper.gemini.routes import Route


class MeterOptions(NamedTuple):
    """As the arguments of `meter_for`."""

    collection: str | None
    counts_usage: bool


def meter_options(method: str, route: Route, status: int, media_type: bytes | None) -> MeterOptions | None:
    """How to read the response to a call that is not charged by its usage; None: not at all.

    Only a POST uses tokens or makes something. Of a read only errors are read, and streams, to find where
    their events end: lists and downloads may be large, and the tokens of the interaction or cache that is
    fetched were used by the call that made it. An ephemeral token is never read.
    """
    action = route.action or ""
    makes = method == "POST" and (route.billable or "." in action) and "auth_tokens" not in action
    if makes or status >= 400 or (media_type or b"").startswith(b"text/event-stream"):
        # A free POST to a resource answers with it: a cancellation with what was used until then.
        return MeterOptions(collection_of(route.action), makes and route.billable)
    return None
