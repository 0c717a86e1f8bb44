"""Which calls leave a charge that only a later answer tells: batches, videos, and interactions that go on in
the background."""

from __future__ import annotations

from gatekeeper.gemini.actions import BATCHES, INTERACTIONS, OPENAI_BATCH, VIDEO_ACTIONS
from gatekeeper.gemini.billed_units import DEFAULT_VIDEOS
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.ledger.call import CallRecord, Outcome, PendingCharge
from gatekeeper.pricing.cost_notes import PENDING

IN_PROGRESS = "in_progress"
"""The status of an interaction that goes on."""


def pending_charge(call: CallRecord, request_summary: RequestSummary) -> PendingCharge | None:
    """What will tell the cost of a call that has just ended, if it is told later. `request_summary` is what
    the request's body names."""
    made = call.resource
    # Also if the client has left by the time that it was made.
    if call.outcome not in (Outcome.OK, Outcome.CLIENT_DISCONNECTED) or made is None:
        return None
    if call.action in INTERACTIONS:
        # One that was not in the background ends with its response: it is charged by what was seen of that.
        if call.outcome is not Outcome.OK or call.finish_reason != IN_PROGRESS:
            return None
        is_awaited = made.startswith("interactions/")
    elif call.action in BATCHES or call.action == OPENAI_BATCH:
        is_awaited = made.startswith("batches/")
    else:
        is_awaited = call.action in VIDEO_ACTIONS and ("operations/" in made or made.startswith("videos/"))
    if not is_awaited:
        return None
    videos = None
    if call.action in VIDEO_ACTIONS and request_summary.media.understood:
        videos = request_summary.media.samples or DEFAULT_VIDEOS
    return PendingCharge(begun_by=call.id, resource=made, videos=videos)


def pending_note(resource: str) -> str:
    """The note to a call whose charge is pending."""
    return f"{PENDING} {resource} will tell it"
