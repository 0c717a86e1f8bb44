"""Deferred charges: costs that a call's response does not tell (of batches, videos, background interactions,
cached contents), how the call's row is completed once they are known, and the storage of cached contents.
"""

from __future__ import annotations

from msgspec.structs import replace

from gatekeeper.gemini.actions import (
    BATCHES,
    CACHE_CREATE,
    CACHE_STORAGE_ACTION,
    INTERACTIONS,
    OPENAI_BATCH,
    VIDEO_ACTIONS,
)
from gatekeeper.gemini.billed_resources import CachedContent
from gatekeeper.gemini.billed_units import DEFAULT_VIDEOS
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.keys.journal_consumer import charge_of, correction, ended_at
from gatekeeper.keys.pending_charges import PendingCharges
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.ledger.call import Amendment, CallRecord, Outcome, PendingCharge
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import RateLimitedLog
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import GIVEN_UP, PENDING, with_budget_note
from gatekeeper.proxy.cache_storage import (
    UNKNOWN_TOKENS_NOTE,
    is_due,
    is_storage_charge,
    pending_storage,
    storage_rows,
)
from gatekeeper.proxy.tee_meters import CacheMeter, ResultMeter
from gatekeeper.times import DAY

RETENTION_DAYS = 60  # Google deletes the result of a batch after a few days
NOT_SEEN = f"its result was not seen within {RETENTION_DAYS} days"
DELETED = "it was deleted before its result was seen"
TOO_MANY = "too many charges are pending"


IN_PROGRESS = "in_progress"
"""The status of an interaction that still runs."""


def pending_charge(call: CallRecord, request_summary: RequestSummary) -> PendingCharge | None:
    """The pending charge of a call that has just ended, if its cost becomes known later only."""
    made = call.resource
    # Also if the client has left by the time that it was made.
    if call.outcome not in (Outcome.OK, Outcome.CLIENT_DISCONNECTED) or made is None:
        return None
    if call.action in INTERACTIONS:
        # An interaction that does not run in the background ends with its response, and is charged by that.
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


class DeferredCharges:
    """The pending charges of one gateway. All of it is synchronous: no other call sees half of a change."""

    def __init__(
        self, pending: PendingCharges, ledger: Ledger, registry: KeyRegistry, errors: RateLimitedLog
    ) -> None:
        self.pending = pending
        self._ledger = ledger
        self._registry = registry
        self._errors = errors

    def set_pending(self, row: CallRecord, meter: object) -> None:
        """Sets the row's pending charge. To be called before the row is written to the journal."""
        if row.action != CACHE_CREATE or not isinstance(meter, CacheMeter):
            return
        content = meter.content()
        row.pending = content and pending_storage(row, content)
        row.model = row.model or (content and content.model)
        if row.pending is None and row.outcome is Outcome.OK:
            row.cost_pico, row.usage_note = None, UNKNOWN_TOKENS_NOTE

    def apply_ended_call(
        self, row: CallRecord, meter: object, catalogue: Catalogue, *, is_complete: bool
    ) -> None:
        """Applies an ended call: its own pending charge, and the result of an earlier call that its response
        contains. To be called once the row is in the journal. Errors are logged; then a charge stays
        pending."""
        try:
            # Also of an incomplete response: this frees its buffers.
            known = meter.result(is_complete=is_complete) if isinstance(meter, ResultMeter) else None
            if row.pending or row.resource:
                self._apply_ended_call(row, meter if is_complete else None, catalogue)
            if known:
                self.amend(known)
        except Exception as error:  # noqa: BLE001
            self._errors.record_exception(error)

    def _apply_ended_call(self, row: CallRecord, meter: object, catalogue: Catalogue) -> None:
        if row.pending:
            self.pending.apply(row)
            for surplus in self.pending.surplus():
                self.give_up(surplus, TOO_MANY)
        pending_row = self.pending.find(row.resource) if row.resource else None
        if pending_row is None or pending_row.id == row.id:
            return
        if not is_storage_charge(pending_row):
            if row.method == "DELETE" and row.outcome is Outcome.OK:
                self.give_up(pending_row, DELETED)
        elif shows_deletion(row, pending_row):
            self._accrue(pending_row, ended_at(row), catalogue, ended=True)
        elif isinstance(meter, CacheMeter) and (content := meter.content()):
            self._note_expiry(pending_row, content)

    def amend(self, known: CallRecord) -> None:
        """Completes the row of a call, unless another request has read the same result before."""
        before = known.pending and self.pending.begun_by(known.pending.begun_by)
        # Somebody else has read the same result meanwhile.
        if before is None or before.pending == known.pending:
            return
        if known.charged_pico is not None:
            known = replace(known, usage_note=with_budget_note(known.usage_note, before.usage_note))
        charge = charge_of(before)
        amendment = Amendment(
            call=known,
            charged_before=charge.cost_pico if charge else 0,
            estimated_before=charge is not None and charge.estimated,
        )
        # The journal first: if anything raises, the charge stays pending, and the next read of its result
        # completes it.
        self._ledger.amend(amendment)
        self._registry.replay(correction(amendment))
        self.pending.apply(known)

    def give_up(self, pending_row: CallRecord, why: str) -> None:
        """Ends a pending charge: the cost of the call stays unknown, or the uncharged storage of a cached
        content."""
        begun_by = pending_row.pending.begun_by if pending_row.pending else pending_row.id
        note = f"{GIVEN_UP} {why}"
        self.amend(replace(pending_row, pending=PendingCharge(begun_by=begun_by), usage_note=note))

    def sweep(self, now: int, catalogue: Catalogue) -> None:
        """Charges the storage that is due at `now` (microseconds since 1970), and gives up what nobody has
        asked for."""
        for pending_row in self.pending.all():
            try:
                if is_due(pending_row, now):
                    self._accrue(pending_row, now, catalogue)
                elif (
                    not is_storage_charge(pending_row)
                    and pending_row.started_at + RETENTION_DAYS * DAY <= now
                ):
                    self.give_up(pending_row, NOT_SEEN)
            except Exception as error:  # noqa: BLE001  the others are charged
                self._errors.record_exception(error)

    def _accrue(
        self, pending_row: CallRecord, now: int, catalogue: Catalogue, *, ended: bool = False
    ) -> None:
        for row in storage_rows(pending_row, now, catalogue, ended=ended):
            # Nothing is left to be charged: it is the row of before, without anything pending.
            if row.id == pending_row.id:
                self.amend(row)
                return
            self._ledger.end(row)
            if charge := charge_of(row):
                self._registry.replay([charge])
            self.pending.apply(row)

    def _note_expiry(self, pending_row: CallRecord, content: CachedContent) -> None:
        """An update of a cached content moves its expiry."""
        if pending_row.pending and content.expires_at is not None:
            self.amend(
                replace(pending_row, pending=replace(pending_row.pending, expires_at=content.expires_at))
            )


def shows_deletion(row: CallRecord, pending_row: CallRecord) -> bool:
    """Whether a call shows that a cached content is deleted. Google responds 403 or 404 for one that does not
    exist, but also to a key of another project."""
    if row.action == "cachedContents.delete" and row.outcome is Outcome.OK:
        return True
    refused = row.status == 404 or (row.status == 403 and "not found" in (row.error_message or "").lower())
    return (
        refused
        and row.outcome is Outcome.UPSTREAM_ERROR
        and (row.action or "").startswith("cachedContents.")
        and row.action != CACHE_STORAGE_ACTION
        and row.upstream_key == pending_row.upstream_key
    )
