"""One call's part in the budgets of its accounts."""

from __future__ import annotations

from time import time_ns

from gatekeeper.keys.budgets import Budgets, Reservation
from gatekeeper.keys.cost_history import CostHistory
from gatekeeper.ledger.call import CallRecord


class CallBudget:
    """What is reserved for the call, and what it can cost at most by its request (pico-dollars; `is_firm`:
    whether that is certain)."""

    __slots__ = ("_budgets", "_history", "bound_pico", "is_firm", "reservation")

    def __init__(self, budgets: Budgets, history: CostHistory) -> None:
        self._budgets = budgets
        self._history = history
        self.reservation: Reservation | None = None
        self.bound_pico, self.is_firm = 0, False

    def chargeable(self) -> int | None:
        """What the budgets have for a call whose cost is unknown; None without any."""
        # By the time of day, as the periods of budgets are.
        return self._budgets.available(self.reservation, time_ns() // 1000) if self.reservation else None

    def most(self) -> int | None:
        """What the call can cost at most, if its request limits that."""
        return self.bound_pico if self.is_firm else None

    def settle(self, row: CallRecord) -> None:
        """Gives back what is reserved, once the call's cost is in the spend of its accounts."""
        if self.reservation is not None:
            self._budgets.release(self.reservation)
        self._history.note_call(row, self.bound_pico)
