"""Charges that are not in the answer: what a call leaves to be charged later, and how its row is then
completed."""

from __future__ import annotations

from msgspec.structs import replace

from gatekeeper.keys.pending_charges import PendingCharges
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.ledger.call import Amendment, Call, PendingCharge
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.logs import RateLimitedLog
from gatekeeper.pricing.cost_notes import GIVEN_UP, with_budget_note
from gatekeeper.proxy.deferred_results import ResultMeter
from gatekeeper.proxy.key_spend import correction, settlement


class DeferredCharges:
    """The pending charges of one gateway. All of it is synchronous: no other call sees half of a change."""

    def __init__(
        self, pending: PendingCharges, ledger: Ledger, registry: KeyRegistry, errors: RateLimitedLog
    ) -> None:
        self.pending = pending
        self._errors = errors
        self._ledger = ledger
        self._registry = registry

    def call_ended(self, row: Call, meter: object) -> None:
        """Takes what a call has left, or has seen: `meter` is that of a response that is complete. To be
        called once the row is in the journal. Errors are logged: a charge stays pending then."""
        try:
            self._call_ended(row, meter)
        except Exception as error:  # noqa: BLE001
            self._errors.record_exception(error)

    def _call_ended(self, row: Call, meter: object) -> None:
        self.pending.apply(row)
        for surplus in self.pending.surplus():
            self.give_up(surplus, "too many charges are pending")
        if isinstance(meter, ResultMeter) and (known := meter.result()):
            self.amend(known)

    def amend(self, known: Call) -> None:
        """Completes the row of a call, unless somebody else was first."""
        before = known.pending and self.pending.begun_by(known.pending.begun_by)
        if before is None or before.pending == known.pending:
            return
        if known.charged_pico is not None:
            known = replace(known, usage_note=with_budget_note(known.usage_note, before.usage_note))
        charge = settlement(before)
        amendment = Amendment(
            call=known,
            charged_before=charge.cost_pico if charge else 0,
            estimated_before=charge is not None and charge.estimated,
        )
        self._ledger.amend(amendment)
        self._registry.replay(correction(amendment))
        self.pending.apply(known)

    def give_up(self, call: Call, why: str) -> None:
        """The cost of the call stays unknown."""
        note = f"{GIVEN_UP} {why}"
        self.amend(replace(call, pending=PendingCharge(begun_by=call.id), usage_note=note))
