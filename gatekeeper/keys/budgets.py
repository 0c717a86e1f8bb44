"""What calls under way may still cost: reservations, so that spend and reservations together never exceed a
budget. In memory and synchronous, but for the wait of a call that only other calls' reservations keep out.

What is reserved for a call (`pico_to_reserve`), by the `CostForecast` that is made of its request:

- A `bound` that the call cannot exceed is reserved as it is, times the most by which one was exceeded.
- Of a stream that can be cut that is reserved until its first usage: the first event of one that thinks may
  have most of its cost. Then it keeps what such streams have cost lately.
- Where nothing bounds a call (no `maxOutputTokens`, a file of unknown length), or a stream whose bound is
  more than all that is left, what such calls of the key (else of all keys) and the model have cost lately is
  enough: `expected`. While few of the key's own are known, only some run at once
  (`MAX_CALLS_WITHOUT_HISTORY`): the next may be far dearer.
- Without any such experience the first call takes what is left of the budget for itself, and the others
  wait for what it costs; so does the last one, for which only as much is left as such calls have cost.
- A stream may begin with what is left, if that covers what such streams have cost by their first event: it is
  cut where the budget ends.

A call for which there is not enough waits while other calls hold so much of the budget that it may become
enough, in the order of arrival and up to `MAX_WAIT` seconds, and is refused otherwise.
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
"""Seconds after which the first that waits looks again: its budget may be higher, or its period over."""
UNLIMITED = 10**30
"""Pico-dollars that an account has left whose budget was taken away while its calls run."""
MAX_CALLS_WITHOUT_HISTORY = 4
"""How many calls may run at once that nothing bounds while none of the key's is known; as many more with each
that is."""


class CostForecast(msgspec.Struct, frozen=True, gc=False):
    """What a call may cost, in pico-dollars. `is_firm`: it cannot cost more than `bound`. `expected`: what
    such calls have cost and some more, `likely` what the key's own have cost; None if there were none.
    `first`: for one that is metered while it runs, and can be cut, what it costs by the time when that is
    first known; None for others. `calls`: of how many calls of the key's own that is known."""

    bound: int
    is_firm: bool
    expected: int | None
    likely: int | None = None
    first: int | None = None
    calls: int = 0


class Shortfall(Enum):
    """Why nothing can be reserved."""

    WAIT = auto()
    """Other calls hold what it needs, and may not use it."""
    REFUSE = auto()


class Reservation(msgspec.Struct, eq=False):
    """So much is reserved of each of these accounts."""

    accounts: tuple[Account, ...]
    pico: int = 0


def accounts_with_budget(accounts: Sequence[Account]) -> tuple[Account, ...]:
    """Those with a budget."""
    return tuple([account for account in accounts if account.record.max_budget_pico is not None])


def has_budget(accounts: Sequence[Account]) -> bool:
    """Whether one of them has a budget, be it for some models only."""
    for account in accounts:
        if account.record.max_budget_pico is not None or account.record.model_max_budget_pico:
            return True
    return False


def may_count(account: Account, model: str | None) -> bool:
    """Whether what a call of this model costs counts against a budget of the account; without a model,
    whether it might."""
    globs = account.record.model_max_budget_pico
    return account.record.max_budget_pico is not None or any(
        model is None or matches_model(glob, model) for glob in globs
    )


def remaining_pico(account: Account, now: int) -> int:
    """What is neither spent nor reserved of an account's budget."""
    budget = account.record.max_budget_pico
    return UNLIMITED if budget is None else budget - current_spend(account, now)[0] - account.reserved_pico


def may_be_overdrawn(account: Account) -> bool:
    """Whether `remaining_pico` may be negative. Does not look at the clock: a window that is over may make
    this too strict, never too lax."""
    budget = account.record.max_budget_pico
    return budget is not None and max(0, account.spend_pico) + account.reserved_pico > budget


def binding_account(accounts: Sequence[Account], now: int) -> Account:
    """The account with the least left of its budget, which decides; of several the narrowest. There is at
    least one."""
    if len(accounts) == 1:
        return accounts[0]
    # `min` takes the first of equal ones, and accounts are from the widest to the narrowest.
    return min(reversed(accounts), key=lambda account: remaining_pico(account, now))


def wanted_pico(forecast: CostForecast, most: int) -> int:
    """What to reserve where there is enough, of `most` that no call has spent."""
    if forecast.expected is None or (forecast.first is None and forecast.is_firm):
        return forecast.bound
    if forecast.is_firm and forecast.bound <= most:
        return forecast.bound
    wanted = forecast.expected
    if forecast.first is None:
        # The fewer calls are known, the larger a part each gets for itself: the next may be far dearer.
        wanted = max(wanted, most // (MAX_CALLS_WITHOUT_HISTORY * (forecast.calls + 1)))
    return min(forecast.bound, wanted)


def pico_to_reserve(forecast: CostForecast, left: int, reserved: int) -> int | Shortfall:
    """What to reserve where `left` is neither spent nor reserved, and `reserved` is held by other calls."""
    wanted = wanted_pico(forecast, left + reserved)
    if wanted <= left:
        return wanted
    if not _may_fit(forecast, wanted, left + reserved):
        return Shortfall.REFUSE
    # Nobody else uses the budget: all that is left.
    return left if reserved <= 0 else Shortfall.WAIT


def _may_fit(forecast: CostForecast, wanted: int, most: int) -> bool:
    """Whether so much is enough for a call that nobody else's reservations keep out."""
    if forecast.first is not None:
        return most > forecast.first
    if forecast.is_firm:
        return wanted <= most
    return most > 0 and most >= (forecast.likely or 0)


class _Turn:
    """A call's place in a queue."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def come(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


class Budgets:
    """The reservations of one gateway."""

    def __init__(self) -> None:
        # By the account that the first of a queue waits for: those that are short of it, in order of arrival.
        self._queues: dict[Account, deque[_Turn]] = {}

    def try_reserve(
        self, accounts: Sequence[Account], forecast: CostForecast, now: int
    ) -> Reservation | Shortfall:
        """All of these accounts have a budget, and there is at least one."""
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
        """As `try_reserve`, unless others wait for the same: then it is their turn first."""
        if self._queues and any(account in self._queues for account in accounts):
            return Shortfall.WAIT
        return self.try_reserve(accounts, forecast(), clock())

    async def reserve(
        self, accounts: Sequence[Account], forecast: Callable[[], CostForecast], clock: Clock
    ) -> Reservation | Shortfall:
        """As `try_reserve`, but waits where that may help, behind those that wait already. The forecast is
        asked for again after that: by then more is known of what such calls cost."""
        found = self.reserve_at_once(accounts, forecast, clock)
        # Behind those that wait for one of its accounts, whichever would be short: else it would overtake
        # them.
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
        """Waits until something can be reserved, or another account is the one that is short."""
        queue, turn = self._queues.setdefault(short_of, deque()), _Turn()
        queue.append(turn)
        found: Reservation | Shortfall = Shortfall.WAIT
        try:
            # It stays the first while there is too little for it: the next one does not overtake it.
            while found is Shortfall.WAIT and (
                queue[0] is not turn or binding_account(accounts, clock()) is short_of
            ):
                with trio.move_on_after(LOOK_INTERVAL):
                    await turn.wait()
                if queue[0] is turn:
                    found = self._reserve_with_budget(accounts, forecast, clock)
        finally:
            queue.remove(turn)
            # There may be enough for the next one too; and its turn may have come just when this one gave up.
            if queue:
                queue[0].come()
            else:
                del self._queues[short_of]
        return found

    def _reserve_with_budget(
        self, accounts: Sequence[Account], forecast: Callable[[], CostForecast], clock: Clock
    ) -> Reservation | Shortfall:
        """As `try_reserve`, of those accounts that still have a budget; of none nothing."""
        left = accounts_with_budget(accounts)
        return self.try_reserve(left, forecast(), clock()) if left else Reservation(())

    def extend(self, reservation: Reservation, pico: int, now: int) -> bool:
        """Reserves `pico` in all for a call that runs, if there is so much left."""
        # All of them or none: `release` gives the same amount back to each.
        more = pico - reservation.pico
        if any(remaining_pico(account, now) < more for account in reservation.accounts):
            return False
        for account in reservation.accounts:
            account.reserved_pico += more
        reservation.pico = pico
        return True

    def reduce(self, reservation: Reservation, pico: int) -> None:
        """Keeps `pico` of it for a call that runs, and gives back the rest."""
        if (less := reservation.pico - pico) <= 0:
            return
        for account in reservation.accounts:
            account.reserved_pico -= less
        reservation.pico = pico
        if self._queues:
            self._wake(reservation.accounts)

    def available(self, reservation: Reservation, now: int) -> int:
        """What a call that ends may be charged: what is reserved for it, and what is left beside that."""
        left = min(
            [remaining_pico(account, now) for account in accounts_with_budget(reservation.accounts)],
            default=0,
        )
        return reservation.pico + max(0, left)

    def release(self, reservation: Reservation) -> None:
        """Gives it back, once the call's cost is in the spend. Idempotent."""
        for account in reservation.accounts:
            account.reserved_pico -= reservation.pico
        reservation.pico = 0
        if self._queues:
            self._wake(reservation.accounts)

    def _wake(self, accounts: Sequence[Account]) -> None:
        for account in accounts:
            if queue := self._queues.get(account):
                queue[0].come()
