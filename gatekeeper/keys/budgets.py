"""Reservations for running calls, so that spend and reservations together never exceed a budget. In memory
and synchronous, except that a call may wait for the reservations of other calls to be released.

The amount that is reserved for a call (`pico_to_reserve`) follows from the `CostForecast` of its request:

- A firm `bound`, which the call cannot exceed, is reserved in full (times the largest factor by which such a
  bound was ever exceeded).
- A stream that can be cut off also reserves its firm bound until its first usage, because the first event
  after thinking may have most of the cost. Then it keeps what such streams have cost recently.
- For a call without a firm bound (no `maxOutputTokens`, a file of unknown length), or a stream whose bound is
  more than all that is left, the `expected` cost is reserved: what such calls of the key (else of all keys)
  to the model have cost recently. While only few calls of the key are known, only some may run at once
  (`MAX_CALLS_WITHOUT_HISTORY`), because the next may be far more expensive.
- Without any history the first call reserves all that is left of the budget, and the others wait until its
  cost is known; likewise the last call, for which only as much is left as such calls have cost.
- A stream may start with whatever is left, if that covers the cost of such streams at their first event: it
  is cut off when the budget is used up.

If too little is left, the call waits as long as the reservations of other calls, once released, may make up
the difference; calls wait in the order of arrival and up to `MAX_WAIT` seconds. Otherwise it is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec
import trio

from gatekeeper.keys.account import Account
from gatekeeper.keys.globs import matches_model
from gatekeeper.keys.spend import current_spend

Clock = Callable[[], int]
"""Microseconds since 1970."""

MAX_WAIT = 10.0
"""Seconds."""
LOOK_INTERVAL = 1.0
"""Seconds after which the first waiting call tries again: its budget may have been raised, or its window may
have ended."""
UNLIMITED = 10**30
"""Pico-dollars left for an account whose budget was removed while its calls run."""
MAX_CALLS_WITHOUT_HISTORY = 4
"""How many unbounded calls may run at once while no call of the key is known; with each known call, this many
more."""


class CostForecast(msgspec.Struct, frozen=True, gc=False):
    """The estimated cost of a call, in pico-dollars. `is_firm`: it cannot cost more than `bound`. `expected`
    is what such calls have cost, plus a margin, and `likely` what the key's own calls have cost; None without
    any. `first` is, for a stream that can be cut off, the cost when its first usage arrives; None for other
    calls. `calls` is the number of the key's own calls that the estimate is based on."""

    bound: int
    is_firm: bool
    expected: int | None
    likely: int | None = None
    first: int | None = None
    calls: int = 0


class Shortfall(Enum):
    """Why nothing was reserved."""

    WAIT = auto()
    """Other calls have reserved what is needed, and may not use it."""
    REFUSE = auto()


class Reservation(msgspec.Struct, eq=False):
    """An amount that is reserved in each of these accounts."""

    accounts: tuple[Account, ...]
    pico: int = 0


def accounts_with_budget(accounts: Sequence[Account]) -> tuple[Account, ...]:
    """The accounts that have a budget."""
    return tuple([account for account in accounts if account.record.max_budget_pico is not None])


def has_budget(accounts: Sequence[Account]) -> bool:
    """Whether one of them has a budget, even if only for some models."""
    for account in accounts:
        if account.record.max_budget_pico is not None or account.record.model_max_budget_pico:
            return True
    return False


def may_count(account: Account, model: str | None) -> bool:
    """Whether the cost of a call to this model counts against a budget of the account; with `model` None,
    whether it might."""
    globs = account.record.model_max_budget_pico
    return account.record.max_budget_pico is not None or any(
        model is None or matches_model(glob, model) for glob in globs
    )


def remaining_pico(account: Account, now: int) -> int:
    """The part of an account's budget that is neither spent nor reserved."""
    budget = account.record.max_budget_pico
    return UNLIMITED if budget is None else budget - current_spend(account, now)[0] - account.reserved_pico


def may_be_overdrawn(account: Account) -> bool:
    """Whether `remaining_pico` may be negative. It ignores the clock: if the window has ended, the result may
    be a false positive, never a false negative."""
    budget = account.record.max_budget_pico
    return budget is not None and max(0, account.spend_pico) + account.reserved_pico > budget


def binding_account(accounts: Sequence[Account], now: int) -> Account:
    """The account with the least left of its budget, which decides; among equal ones the narrowest. There
    must be at least one."""
    if len(accounts) == 1:
        return accounts[0]
    # `min` returns the first of equal ones, and accounts are ordered from the widest to the narrowest.
    return min(reversed(accounts), key=lambda account: remaining_pico(account, now))


def wanted_pico(forecast: CostForecast, most: int) -> int:
    """The amount to reserve if enough is left; `most` is the unspent part of the budget."""
    if forecast.expected is None or (forecast.first is None and forecast.is_firm):
        return forecast.bound
    if forecast.is_firm and forecast.bound <= most:
        return forecast.bound
    wanted = forecast.expected
    if forecast.first is None:
        # The fewer calls are known, the larger the share that each reserves: the next may be far more
        # expensive.
        wanted = max(wanted, most // (MAX_CALLS_WITHOUT_HISTORY * (forecast.calls + 1)))
    return min(forecast.bound, wanted)


def pico_to_reserve(forecast: CostForecast, left: int, reserved: int) -> int | Shortfall:
    """The amount to reserve, given what is `left` and what other calls have `reserved`."""
    wanted = wanted_pico(forecast, left + reserved)
    if wanted <= left:
        return wanted
    if not _may_fit(forecast, wanted, left + reserved):
        return Shortfall.REFUSE
    # No other call uses the budget: all that is left.
    return left if reserved <= 0 else Shortfall.WAIT


def _may_fit(forecast: CostForecast, wanted: int, most: int) -> bool:
    """Whether `most` would be enough for the call if no other call had reservations."""
    if forecast.first is not None:
        return most > forecast.first
    if forecast.is_firm:
        return wanted <= most
    return most > 0 and most >= (forecast.likely or 0)


class _Waiter:
    """A waiting call in a queue."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


class Budgets:
    """The reservations of one gateway."""

    def __init__(self) -> None:
        # Waiting calls in the order of arrival, by the account that has too little left.
        self._queues: dict[Account, deque[_Waiter]] = {}

    def try_reserve(
        self, accounts: Sequence[Account], forecast: CostForecast, now: int
    ) -> Reservation | Shortfall:
        """Reserves without waiting. All of the accounts must have a budget, and there must be at least
        one."""
        binding = binding_account(accounts, now)
        found = pico_to_reserve(forecast, remaining_pico(binding, now), binding.reserved_pico)
        if isinstance(found, Shortfall):
            return found
        for account in accounts:
            account.reserved_pico += found
        return Reservation(tuple(accounts), found)

    def reserve_at_once(
        self, accounts: Sequence[Account], forecast: Callable[[], CostForecast], clock: Clock
    ) -> Reservation | Shortfall:
        """As `try_reserve`, unless other calls are already waiting for one of the accounts."""
        if self._queues and any(account in self._queues for account in accounts):
            return Shortfall.WAIT
        return self.try_reserve(accounts, forecast(), clock())

    async def reserve(
        self, accounts: Sequence[Account], forecast: Callable[[], CostForecast], clock: Clock
    ) -> Reservation | Shortfall:
        """As `try_reserve`, but waits if that may help, behind the calls that are already waiting. The
        forecast is calculated again after the wait, because more costs are known by then."""
        found = self.reserve_at_once(accounts, forecast, clock)
        # Queue behind the calls that wait for any of its accounts, or it would overtake them.
        short_of = next((account for account in accounts if account in self._queues), None)
        with trio.move_on_after(MAX_WAIT):
            while found is Shortfall.WAIT:
                found = await self._wait(
                    short_of or binding_account(accounts, clock()), accounts, forecast, clock
                )
                short_of = None
        return found

    async def _wait(
        self,
        short_of: Account,
        accounts: Sequence[Account],
        forecast: Callable[[], CostForecast],
        clock: Clock,
    ) -> Reservation | Shortfall:
        """Waits until the reservation succeeds or is refused, or another account becomes the one with too
        little left."""
        queue, waiter = self._queues.setdefault(short_of, deque()), _Waiter()
        queue.append(waiter)
        found: Reservation | Shortfall = Shortfall.WAIT
        try:
            # It stays first in the queue while too little is left for it: the next one does not overtake it.
            while found is Shortfall.WAIT and (
                queue[0] is not waiter or binding_account(accounts, clock()) is short_of
            ):
                with trio.move_on_after(LOOK_INTERVAL):
                    await waiter.wait()
                if queue[0] is waiter:
                    found = self._reserve_with_budget(accounts, forecast, clock)
        finally:
            queue.remove(waiter)
            # Wake the next one: enough may be left for it, too, or this one was woken just as it gave up.
            if queue:
                queue[0].wake()
            else:
                del self._queues[short_of]
        return found

    def _reserve_with_budget(
        self, accounts: Sequence[Account], forecast: Callable[[], CostForecast], clock: Clock
    ) -> Reservation | Shortfall:
        """As `try_reserve`, in those accounts that still have a budget; an empty reservation if none has."""
        left = accounts_with_budget(accounts)
        return self.try_reserve(left, forecast(), clock()) if left else Reservation(())

    def extend(self, reservation: Reservation, pico: int, now: int) -> bool:
        """Raises the reservation of a running call to `pico`, if enough is left."""
        # In all accounts or none: `release` returns the same amount to each.
        more = pico - reservation.pico
        if any(remaining_pico(account, now) < more for account in reservation.accounts):
            return False
        for account in reservation.accounts:
            account.reserved_pico += more
        reservation.pico = pico
        return True

    def reduce(self, reservation: Reservation, pico: int) -> bool:
        """Keeps `pico` of it for a call that runs, and gives back the rest, if there is any."""
        if (less := reservation.pico - pico) <= 0:
            return False
        for account in reservation.accounts:
            account.reserved_pico -= less
        reservation.pico = pico
        if self._queues:
            self._wake(reservation.accounts)
        return True

    def available(self, reservation: Reservation, now: int) -> int:
        """The most that a call that ends may be charged: its reservation plus what is left."""
        left = min(
            [remaining_pico(account, now) for account in accounts_with_budget(reservation.accounts)],
            default=0,
        )
        return reservation.pico + max(0, left)

    def release(self, reservation: Reservation) -> None:
        """Releases the reservation; call it when the cost is in the spend. Idempotent."""
        for account in reservation.accounts:
            account.reserved_pico -= reservation.pico
        reservation.pico = 0
        if self._queues:
            self._wake(reservation.accounts)

    def _wake(self, accounts: Sequence[Account]) -> None:
        for account in accounts:
            if queue := self._queues.get(account):
                queue[0].wake()
